"""Small questions about a model before and while it is loaded: its name, its device, its ties."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def ties_kept(model: torch.nn.Module) -> Iterator[None]:
    """Let `model.tie_weights()` do nothing inside the context.

    `from_pretrained` has tied what belongs together, by the configuration and the checkpoint. HFLM
    ties once more, by the configuration alone, where a wrong value, or an older transformers'
    default (Qwen2-Audio's in 5.10), would put the input embeddings in place of a loaded head.
    """
    vars(model)["tie_weights"] = lambda *args, **kwargs: None
    try:
        yield
    finally:
        del vars(model)["tie_weights"]


def is_true(value: bool | int | str) -> bool:
    """Read what a model argument says; lm_eval leaves some as text."""
    return str(value).lower() not in ("false", "0")


def name_of(pretrained: Any) -> str:
    """Return the name of a model given by name or loaded."""
    return str(pretrained if isinstance(pretrained, str) else pretrained.name_or_path)


def best_device() -> str:
    """Return the device that a model goes to where none is named."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"

"""Logits of a prompt's last positions only: a large vocabulary makes the others dear."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def last_logits(model: Any, n_last: int) -> Iterator[dict[str, int]]:
    """Keep forward calls inside the context from unembedding more than their last positions.

    A model whose forward takes `logits_to_keep` is told by that argument, which `generate` gives by
    itself. Others (Qwen2-Audio, Qwen-Omni) unembed all positions: there a hook hands no more than
    the last hidden states to the output embeddings.

    Args:
        model: The model, without a wrapper.
        n_last: Positions whose logits are needed.

    Yields:
        The arguments to add to a forward call.
    """
    if "logits_to_keep" in inspect.signature(type(model).forward).parameters:
        yield {"logits_to_keep": n_last}
        return
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if not isinstance(head, nn.Module):
        yield {}
        return

    def cut(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if args and isinstance(args[0], Tensor) and args[0].dim() == 3:
            return (args[0][:, -n_last:], *args[1:])
        return args

    handle = head.register_forward_pre_hook(cut)
    try:
        yield {}
    finally:
        handle.remove()

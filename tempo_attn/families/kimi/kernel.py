"""Kimi-Audio's remote code imports flash-attn; where that is not installed, torch's attention.

The code raises an error without flash-attn, before anything else. Here it is imported with a
placeholder of that name, and the one method that calls it is replaced afterwards: the result is the
same but for rounding, and it runs on any device.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from unittest import mock

import torch
import transformers.utils
from torch import Tensor, nn

_NAMES = {
    "flash_attn": ("flash_attn_func", "flash_attn_varlen_func"),
    "flash_attn.bert_padding": ("index_first_axis", "pad_input", "unpad_input"),
}


def has_flash_attention() -> bool:
    """Return whether flash-attn is installed."""
    return find_spec("flash_attn") is not None


@contextmanager
def importable() -> Iterator[None]:
    """Let code that imports flash-attn be imported without it."""
    if has_flash_attention():
        yield
        return
    # Imported before: transformers itself would look for more of flash-attn.
    from transformers.models.qwen2 import modeling_qwen2  # noqa: F401

    for name, functions in _NAMES.items():
        placeholder = ModuleType(name)
        placeholder.__spec__ = ModuleSpec(name, None)
        vars(placeholder).update(dict.fromkeys(functions))
        sys.modules[name] = placeholder
    asked = {"is_flash_attn_2_available": mock.Mock(return_value=True)}
    there = mock.patch.multiple(transformers.utils, **asked)
    try:
        with there:
            yield
    finally:
        for name in _NAMES:
            del sys.modules[name]


class _TorchInFloat32(ModuleType):
    """What the code knows as `torch`: it casts float32 to 16 bits, as flash-attn takes no other."""

    float16 = torch.float32

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def use_torch_attention(model: nn.Module) -> None:
    """Replace the method that calls flash-attn, in the class of a model's attention modules.

    A model in float32 then attends in float32.
    """
    for kind in {type(module) for module in model.modules()}:
        if "_flash_attention_forward" in vars(kind):
            kind._flash_attention_forward = _attend  # type: ignore[attr-defined]
            vars(sys.modules[kind.__module__])["torch"] = _TorchInFloat32("torch")


def _attend(
    self: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding_mask: Tensor | None,
    query_length: int,
    dropout: float = 0.0,
    softmax_scale: float | None = None,
    **kwargs: Any,
) -> Tensor:
    """Return causal attention aligned at the last key; (batch, tokens, heads, dim) in and out."""
    n_keys = key.shape[1]
    place = torch.arange(n_keys, device=key.device)
    rows = place[-query_length:, None]
    seen = (rows >= place)[None]
    if padding_mask is not None:
        # A padded row sees itself: else its softmax would be of nothing.
        seen = (seen & padding_mask.bool()[:, None]) | (rows == place)
    groups = query.shape[2] // key.shape[2]
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    out = nn.functional.scaled_dot_product_attention(
        query,
        key.repeat_interleave(groups, 1),
        value.repeat_interleave(groups, 1),
        attn_mask=seen[:, None],
        dropout_p=dropout,
        scale=softmax_scale,
    )
    return out.transpose(1, 2)

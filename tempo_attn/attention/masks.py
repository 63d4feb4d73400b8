"""Which keys a query row may see, read from the mask that the base kernel was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tempo_attn.errors import UnsupportedInputError

HIDDEN = -1e4
"""Additive masks hide a key by this or less; the lowest number and -1e9 are both in use."""


@dataclass(frozen=True)
class Visibility:
    """What query rows see of the keys.

    Attributes:
        allowed: (..., 1 or heads, rows, keys) bool: the keys that each row may see.
        bias: What the mask adds to the logits, of that shape, at least float32; None where it only
            hides keys. A distance penalty such as ALiBi's is more than that.
    """

    allowed: Tensor
    bias: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Visibility:
        """Return it with its tensors indexed, expanded or reshaped by `change`."""
        return Visibility(change(self.allowed), None if self.bias is None else change(self.bias))

    def mask(self, dtype: torch.dtype) -> Tensor:
        """Return it as a mask for torch's own attention: bool, or additive in `dtype`."""
        if self.bias is None:
            return self.allowed
        # Not -inf: a padding row sees nothing, and its NaN would spread through its value.
        return self.bias.to(dtype).masked_fill(~self.allowed, torch.finfo(dtype).min)


def visible_keys(
    mask: Any,
    rows: Tensor,
    first: int,
    n_queries: int,
    n_keys: int,
    sliding_window: int | None,
    is_causal: bool,
) -> Visibility:
    """Return which keys the chosen rows may see.

    Args:
        mask: None, (batch, keys) padding, (batch, 1 or heads, queries, keys) bool or additive, or
            a flex-attention block mask.
        rows: (batch, rows) query indices within the call.
        first: Absolute position of the call's first query.
        n_queries: Queries of the call.
        n_keys: Keys of the call. A sliding cache holds the last ones only, a static one has room
            for keys to come.
        sliding_window: Number of keys that a query sees, itself included; None for all.
        is_causal: Whether no mask means a causal one.

    Returns:
        Of the shape (batch, 1 or heads, rows, keys).

    Raises:
        UnsupportedInputError: A mask of another kind.
    """
    if isinstance(mask, Tensor) and mask.dim() == 4:
        mask = mask[..., :n_keys]
        index = rows[:, None, :, None].expand(-1, mask.shape[1], -1, n_keys)
        chosen = mask.expand(len(rows), -1, n_queries, n_keys).gather(2, index)
        if chosen.dtype == torch.bool:
            return Visibility(chosen)
        bias = chosen.to(torch.promote_types(chosen.dtype, torch.float32))
        return Visibility(chosen > HIDDEN, bias)
    at = (rows + first)[:, None, :, None]
    if mask is None or (isinstance(mask, Tensor) and mask.dim() == 2):
        keys = torch.arange(n_keys, device=rows.device) + key_offset(first, n_queries, n_keys)
        allowed = keys <= at if is_causal else (keys < first + n_queries) & (at >= 0)
        if sliding_window is not None:
            allowed = allowed & (keys > at - sliding_window)
        if mask is not None:
            padding = fit_width(mask.bool()[:, -n_keys:], n_keys)
            allowed = allowed & padding[:, None, None, :]
        return Visibility(allowed)
    if hasattr(mask, "mask_mod"):  # flex attention: indices within the call
        batch = torch.arange(len(rows), device=rows.device)[:, None, None, None]
        head = torch.zeros((), dtype=torch.long, device=rows.device)
        keys = torch.arange(n_keys, device=rows.device)
        allowed = mask.mask_mod(batch, head, rows[:, None, :, None], keys)
        return Visibility(allowed.expand(len(rows), 1, rows.shape[1], n_keys))
    raise UnsupportedInputError(
        f"cannot read an attention mask of type {type(mask).__name__}; expected None, a 2-D "
        "padding mask, a 4-D mask or a flex-attention block mask. Load the model with "
        "attn_implementation='sdpa'"
    )


def key_offset(first: int, n_queries: int, n_keys: int) -> int:
    """Return the absolute position of a call's first key."""
    return max(0, first + n_queries - n_keys)


def fit_width(mask: Tensor, width: int) -> Tensor:
    """Fill a (batch, keys) bool mask with False to `width` keys."""
    return nn.functional.pad(mask, (0, width - mask.shape[1]))

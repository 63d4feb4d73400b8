"""Attention of some query rows, worked out by hand: the one copy of its arithmetic.

The wrapper edits rows with it, and the laboratory runs layers again with it, so the two cannot
differ in what a logit is. Everything is at least float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tempo_attn.attention.masks import Visibility

LOWEST = torch.finfo(torch.float32).min
"""Hides a key. Not -inf: a padding row sees nothing, and its NaN would spread through its value."""


def logits_of(query: Tensor, key: Tensor, scaling: float, softcap: float | None) -> Tensor:
    """Return attention logits, scaled and soft-capped, unmasked, at least in float32.

    Args:
        query: (..., heads, rows, dim).
        key: (..., key/value heads, keys, dim).
        scaling: Factor of query times key.
        softcap: Bound of tanh soft-capping, or None.
    """
    dtype = torch.promote_types(query.dtype, torch.float32)
    n_kv, n_keys, dim = key.shape[-3:]
    # Query heads of one key/value head side by side: no copy of the keys.
    grouped = (query.to(dtype) * scaling).reshape(*query.shape[:-3], n_kv, -1, dim)
    logits: Tensor = grouped @ key.to(dtype).transpose(-1, -2)
    logits = logits.view(*query.shape[:-1], n_keys)
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


def probabilities_of(logits: Tensor, seen: Visibility, hidden: float = LOWEST) -> Tensor:
    """Return the softmax over the keys that each row sees.

    Args:
        logits: (..., heads, rows, keys); overwritten.
        seen: What each row sees, broadcastable to `logits`; its bias is added to them.
        hidden: The logit of a key that a row does not see.
    """
    if seen.bias is not None:
        logits = logits + seen.bias
    return logits.masked_fill_(~seen.allowed, hidden).softmax(-1)


def weighted(probabilities: Tensor, value: Tensor) -> Tensor:
    """Return the values' sum, (..., heads, rows, dim), in the probabilities' dtype.

    Args:
        probabilities: (..., heads, rows, keys).
        value: (..., key/value heads, keys, dim).
    """
    n_kv, n_keys, dim = value.shape[-3:]
    grouped = probabilities.reshape(*probabilities.shape[:-3], n_kv, -1, n_keys)
    total: Tensor = grouped @ value.to(probabilities.dtype)
    return total.view(*probabilities.shape[:-1], dim)


def context_of(logits: Tensor, seen: Visibility, value: Tensor) -> Tensor:
    """Return the attention's output; see `probabilities_of` and `weighted`."""
    return weighted(probabilities_of(logits, seen), value)

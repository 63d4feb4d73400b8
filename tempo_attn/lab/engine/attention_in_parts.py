"""Attention of many variants of an item to the keys that they share, and to those of their own.

Variants of one prefill differ in their suffix alone. Putting the shared keys before each variant's
own would copy them for every variant and layer; here the two parts are attended apart and joined by
the logarithms of their sums, as in flash attention. Exact: the same softmax in another order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tempo_attn.attention.masks import Visibility

_KERNEL = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
"""torch's own kernel, which also gives the logarithm of each row's sum; of CPUs alone."""


@dataclass(frozen=True)
class PartMasks:
    """What the rows of a suffix see of the two parts.

    Attributes:
        shared: Added to the logits of shared keys, (items, 1, 1, keys); None: all are seen.
        own: Added to those of the suffix's keys, (items, 1, rows, keys); None: they are causal.
    """

    shared: Tensor | None
    own: Tensor | None

    @classmethod
    def of(cls, sight: Visibility, start: int, like: Tensor) -> PartMasks | None:
        """Read the masks; None where there is no kernel for these.

        Args:
            sight: What the rows see, (items, 1 or heads, rows, keys).
            start: Number of shared keys.
            like: Queries, for device and dtype.
        """
        if _KERNEL is None or like.device.type != "cpu" or sight.bias is not None:
            return None
        shared, own = sight.allowed[..., :start], sight.allowed[..., start:]
        if shared.shape[1] != 1 or bool((shared != shared[:, :, :1]).any()):
            return None  # heads or rows differ in what they see, as in a sliding window
        if not bool(shared[:, :, 0].any(-1).all()):
            return None  # a row that sees nothing has no sum
        causal = bool((own == torch.ones_like(own).tril()).all())
        return cls(
            None if bool(shared.all()) else _additive(shared[:, :, :1], like),
            None if causal else _additive(own, like),
        )


def attend_in_parts(
    query: Tensor,
    shared: tuple[Tensor, Tensor],
    own: tuple[Tensor, Tensor],
    masks: PartMasks,
    scaling: float,
) -> Tensor:
    """Return attention of all variants, (items * variants, heads, rows, dim).

    Args:
        query: Likewise, item by item.
        shared: Keys and values of each item, (items, key/value heads, keys, dim).
        own: Those of the variants' suffixes, (items * variants, key/value heads, rows, dim).
        masks: What the rows see.
        scaling: Factor of query times key.
    """
    assert _KERNEL is not None
    n_items, n_kv = shared[0].shape[:2]
    n_all, n_heads, n_rows, dim = query.shape
    n_variants, n_group = n_all // n_items, n_heads // n_kv
    # Variants and query heads side by side, as rows of the key/value head that they share.
    by_key = query.view(n_items, n_variants, n_kv, n_group, n_rows, dim).permute(0, 2, 3, 1, 4, 5)
    rows = by_key.reshape(n_items, n_kv, n_group * n_variants * n_rows, dim)
    mask = masks.shared
    if mask is not None:
        mask = mask.expand(-1, n_kv, rows.shape[2], -1)
    to_shared, sum_shared = _KERNEL(rows, *shared, attn_mask=mask, scale=scaling)
    sum_shared = sum_shared.view(n_items, n_kv, rows.shape[2])

    def back(part: Tensor) -> Tensor:
        whole = part.reshape(n_items, n_kv, n_group, n_variants, n_rows, -1)
        return whole.permute(0, 3, 1, 2, 4, 5).reshape(n_all, n_heads, n_rows, -1)

    key, value = (part.repeat_interleave(n_group, 1) if n_group > 1 else part for part in own)
    mask = masks.own
    if mask is not None:
        mask = mask.repeat_interleave(n_variants, 0).expand(-1, n_heads, -1, -1)
    causal = mask is None
    to_own, sum_own = _KERNEL(query, key, value, 0.0, causal, attn_mask=mask, scale=scaling)
    share = torch.sigmoid(back(sum_shared[..., None]) - sum_own.view(n_all, n_heads, n_rows, 1))
    joined = torch.lerp(to_own.to(share), back(to_shared).to(share), share)
    return joined.to(query.dtype)


def _additive(allowed: Tensor, like: Tensor) -> Tensor:
    # Not -inf: a padding row may see nothing of its own part.
    mask = torch.zeros(allowed.shape, dtype=like.dtype, device=like.device)
    return mask.masked_fill_(~allowed, torch.finfo(like.dtype).min)

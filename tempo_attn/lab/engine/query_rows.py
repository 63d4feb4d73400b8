"""Chosen token positions of a batch, and what attention does in them alone.

An experiment looks at some positions of every prompt: the query rows that it edits, measures or
reads, or those whose states it patches. Prompts have different numbers of them, and tensors are
rectangular, so shorter lists are filled up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tempo_attn.attention.edited_attention import AttentionCall
from tempo_attn.attention.masks import Visibility, visible_keys
from tempo_attn.attention.row_attention import logits_of


@dataclass(frozen=True)
class QueryRows:
    """Chosen positions of every item of a batch.

    Attributes:
        index: (items, rows) positions, ascending; shorter lists repeat their last one.
        counts: (items,): how many there really are.
    """

    index: Tensor
    counts: Tensor

    @classmethod
    def of(cls, chosen: Tensor) -> QueryRows:
        """Return the chosen positions of (items, tokens) bool; at least one of each item."""
        counts = chosen.sum(1)
        index = torch.zeros(len(chosen), int(counts.max()), dtype=torch.long)
        for item, mask in enumerate(chosen):
            at = mask.nonzero().flatten()
            index[item] = at[-1]
            index[item, : len(at)] = at
        return cls(index, counts)

    @property
    def first(self) -> int:
        """The first position of all items."""
        return int(self.index.min())

    @property
    def valid(self) -> Tensor:
        """(items, rows) bool: not a repetition."""
        return torch.arange(self.index.shape[1]) < self.counts[:, None]

    @property
    def weights(self) -> Tensor:
        """(items, rows): what each row counts in its item's mean; repetitions count nothing."""
        return self.valid / self.counts[:, None]


def row_logits(call: AttentionCall, index: Tensor) -> tuple[Tensor, Visibility]:
    """Return the logits of some query rows of an attention call over all keys.

    Args:
        call: The call; queries and keys of all positions.
        index: (items, rows) positions.

    Returns:
        (items, heads, rows, keys), scaled, soft-capped, unmasked, at least float32; and what the
        rows see, (items, 1 or heads, rows, keys).
    """
    n_heads, n_queries, dim = call.query.shape[1:]
    at = index[:, None, :, None].expand(-1, n_heads, -1, dim)
    logits = logits_of(call.query.gather(2, at), call.key, call.scaling, call.softcap)
    n_keys = call.key.shape[2]
    how = (0, n_queries, n_keys, call.sliding_window, call.is_causal)
    return logits, visible_keys(call.mask, index, *how)

"""Edited query rows: their logits, the edit or its random perturbation, and what audio gets.

Shared by the fast engine and the full one, so the two cannot differ in what an edit is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tempo_attn.attention.masks import Visibility
from tempo_attn.attention.mode_formulas import edit_logits, edit_states
from tempo_attn.lab.engine.query_rows import QueryRows
from tempo_attn.lab.engine.random_nulls import (
    ENRICHED,
    draw_keys_and_signs,
    draw_state_signs,
    item_seeds,
)
from tempo_attn.lab.items import Batch
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.modes import MODES


@dataclass
class EditedRows:
    """The edited query rows of a batch for one set of rows.

    Attributes:
        index: (items, rows) positions, ascending; shorter lists repeat their last one.
        valid: (items, rows) bool: not such a repetition.
        audio: (items, tokens) bool: audio keys.
        random: (items, tokens) bool: random keys that are not audio, as many where there are so
            many, up to the last edited row; drawn by the item's content, the same for all
            variants. A row edits those that it sees, but never its own key: some key must be left.
        signs: (items, tokens): 1 or -1, random at audio keys, likewise.
        seeds: Seed of each item's draws.
    """

    index: Tensor
    valid: Tensor
    audio: Tensor
    random: Tensor
    signs: Tensor
    seeds: list[list[int]] = field(kw_only=True)
    _moved: dict[torch.device, EditedRows] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(
        cls, batch: Batch, names: tuple[str, ...], seed: int, device: torch.device
    ) -> EditedRows:
        """Find the rows of a set, and draw what its random perturbations need."""
        rows = QueryRows.of(batch.rows(names))
        index, valid = rows.index, rows.valid
        seeds = item_seeds(batch.items, seed)
        random, signs = draw_keys_and_signs(batch, index[:, -1], seeds)
        tensors = (index, valid, batch.audio, random, signs)
        return cls(*(tensor.to(device) for tensor in tensors), seeds=seeds)

    def on(self, device: torch.device) -> EditedRows:
        """Return the rows with their tensors on a device (layers may lie on several)."""
        if self.index.device == device:
            return self
        if device not in self._moved:
            parts = (self.index, self.valid, self.audio, self.random, self.signs)
            moved = EditedRows(*(part.to(device) for part in parts), seeds=self.seeds)
            self._moved[device] = moved
        return self._moved[device]

    @property
    def first(self) -> int:
        """The first edited position of all items."""
        return int(self.index.min())

    def edit(
        self, logits: Tensor, sight: Visibility, variants: Sequence[Variant]
    ) -> tuple[Tensor, Tensor]:
        """Edit the rows' logits.

        Args:
            logits: (items, 1 or variants, heads, rows, keys), scaled, unmasked, float32.
            sight: What each row sees, (items, 1, 1 or heads, rows, keys).
            variants: All of one mode, role and group of heads (a control counts as an edit).

        Returns:
            The edited logits (items, variants, heads, rows, keys), and the audio statistics
            (items, variants, 4): see `AUDIO_STATISTICS`; NaN where undefined.
        """
        n_items, n_variants = len(logits), len(variants)
        one = variants[0]
        keys = self.random if one.role == "keys" else self.audio
        seen = keys[:, None, None, None, :] & sight.allowed
        if one.role == "keys":
            places = torch.arange(seen.shape[-1], device=seen.device)
            seen = seen & (places != self.index[:, None, None, :, None])
        old = logits.expand(-1, n_variants, -1, -1, -1)
        strength: Tensor | None = None
        if one.strength is not None:
            strengths = torch.tensor([variant.strength for variant in variants])
            strength = strengths.repeat(n_items).to(logits)
        keys_seen = Visibility(seen, sight.bias).map(
            lambda part: part.expand(-1, n_variants, -1, -1, -1).flatten(0, 1)
        )
        new = edit_logits(
            old.flatten(0, 1), keys_seen.allowed, one.mode, strength, keys_seen.bias
        ).view(old.shape)
        if one.role == "sign":
            new = old + self.signs[:, None, None, None, :] * (new - old)
        heads = torch.ones(logits.shape[2], dtype=torch.bool, device=logits.device)
        if one.heads is not None:
            heads[:] = False
            heads[list(one.heads)] = True
            new = torch.where(heads[:, None, None], new, old)
        audio = self.audio[:, None, None, None, :] & sight.allowed
        before = self._statistics(logits, sight, audio, heads).expand(-1, n_variants, -1)
        after = self._statistics(new, sight, audio, heads)
        both = torch.stack([before, after], -1)  # mass and entropy, before and after
        return new, both.flatten(2)

    def enrich(self, deep: Tensor, early: Tensor, variants: Sequence[Variant]) -> Tensor:
        """Mix early states into the rows' deep ones; see `edit_states`.

        Args:
            deep: (items, variants, rows, width).
            early: (items, rows, width).
            variants: All of one mode that edits states.

        Returns:
            The mixed states, as `deep`.
        """
        weights = torch.tensor([variant.strength for variant in variants], device=deep.device)
        weights = weights[:, None, None].float()
        new = edit_states(deep, early[:, None], variants[0].mode, weights)
        signs = draw_state_signs(self.seeds, new.shape[-1], ENRICHED)
        flipped = deep + signs.to(new)[:, None, None] * (new - deep)
        random = torch.tensor([v.role == "sign" for v in variants], device=deep.device)
        return torch.where(random[:, None, None], flipped, new).to(deep.dtype)

    def _statistics(
        self, logits: Tensor, sight: Visibility, audio: Tensor, heads: Tensor
    ) -> Tensor:
        """Mean mass and entropy of audio over heads and rows, (items, variants, 2)."""
        if sight.bias is not None:
            logits = logits + sight.bias
        total = logits.masked_fill(~sight.allowed, -torch.inf).logsumexp(-1)
        heard = logits.masked_fill(~audio, -torch.inf)
        on_audio = heard.logsumexp(-1)
        mass = (on_audio - total).exp()
        share = (heard - on_audio[..., None]).exp()
        entropy = on_audio - (share * logits.masked_fill(~audio, 0.0)).sum(-1)
        entropy = entropy.masked_fill(~on_audio.isfinite(), torch.nan)
        weights = (heads[:, None] & self.valid[:, None, None, :]).to(logits)
        both = torch.stack([mass, entropy], -1)
        return (both * weights[..., None]).sum((2, 3)) / weights.sum((2, 3))[..., None]


def groups(variants: Sequence[Variant], layer: int) -> list[list[int]]:
    """Return the variants that edit a layer's attention, in groups for `EditedRows.edit`."""
    found: dict[tuple[object, ...], list[int]] = {}
    for number, variant in enumerate(variants):
        if layer in variant.layers and not MODES[variant.mode].edits_states:
            role = "edit" if variant.role == "control" else variant.role
            found.setdefault((variant.mode, role, variant.heads), []).append(number)
    return list(found.values())

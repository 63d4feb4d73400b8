"""The fast engine: only the rows from the first edited one on run again, from the edited layer up.

A growing batch (see `GrowingBatch`). At its first edited layer only a variant's edited rows differ
from the prefill's, so only they are computed there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tempo_attn.attention.edited_attention import AttentionCall
from tempo_attn.attention.masks import Visibility
from tempo_attn.attention.row_attention import context_of, logits_of
from tempo_attn.lab.engine.growing_batch import GrowingBatch, Now, rows_at
from tempo_attn.lab.engine.prefill import Decoder, LayerState, Prefill
from tempo_attn.lab.sweep.edited_rows import EditedRows, groups
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.modes import MODES


class EditedBatch(GrowingBatch):
    """Variants with the same rows, run again on one remembered prefill.

    Args:
        decoder: The decoder, in hand.
        prefill: The remembered prefill; `edited.first` lies behind its start.
        edited: The rows.
        variants: What to run.

    Attributes:
        statistics: (items, variants, 4): the audio statistics, once it has run; NaN for states.
    """

    def __init__(
        self, decoder: Decoder, prefill: Prefill, edited: EditedRows, variants: Sequence[Variant]
    ) -> None:
        first_layers = [variant.layers[0] for variant in variants]
        super().__init__(decoder, prefill, edited.first, first_layers)
        self._edited = edited
        self._variants = list(variants)
        n_items, device = len(edited.index), edited.index.device
        self.statistics = torch.zeros(n_items, len(variants), 4, device=device)

    def run(self) -> Tensor:
        """Run the variants; see `GrowingBatch`."""
        hidden = super().run()
        counts = torch.tensor([len(variant.layers) for variant in self._variants])
        self.statistics /= counts.to(self.statistics)[:, None]
        of_states = [
            n for n, variant in enumerate(self._variants) if MODES[variant.mode].edits_states
        ]
        self.statistics[:, of_states] = torch.nan
        return hidden

    def _changes(self, number: int, layer: int) -> bool:
        return layer in self._variants[number].layers

    # ------------------------------------------------------------------ the first edited layer

    def _join(self, layer: int, state: LayerState, joining: list[int]) -> Tensor:
        index = self._edited.on(state.hidden.device).index
        plain = self._rows_of_prefill(layer, index)[:, None]
        rows = plain.repeat(1, len(joining), 1, 1)
        of_attention = [n for n in joining if not MODES[self._variants[n].mode].edits_states]
        if of_attention:
            entering = self._rows_of_prefill(layer - 1, index)[:, None]
            self._now = Now(of_attention, index, joining=True)
            leaving = self._run(layer, state, entering.repeat(1, len(of_attention), 1, 1))
            rows[:, [joining.index(n) for n in of_attention]] = leaving.to(rows.device)
        rows = self._enriched(layer, rows, joining)
        return self._with_rows(layer, len(joining), index, rows)

    def _attend_joining(self, layer: int, call: AttentionCall, seen: AttentionCall) -> Tensor:
        """Attention where variants join: all rows are edited, queries are the same for all."""
        sight, numbers = self._visible_keys(seen), self._now.numbers
        query = call.query.view(-1, len(numbers), *call.query.shape[1:])[:, 0]
        logits = logits_of(query, seen.key, seen.scaling, seen.softcap)[:, None]
        new = logits.new_empty(len(logits), len(numbers), *logits.shape[2:])
        variants = [self._variants[number] for number in numbers]
        for group in groups(variants, layer):
            new[:, group] = self._edited_logits(logits, sight, [numbers[at] for at in group])
        sight = sight.map(lambda part: part[:, None])
        return context_of(new, sight, seen.value[:, None]).flatten(0, 1)

    # ------------------------------------------------------------------ further edited layers

    def _edit(
        self, layer: int, query: Tensor, seen: AttentionCall, sight: Visibility, context: Tensor
    ) -> None:
        now = self._now
        variants = [self._variants[number] for number in now.numbers]
        chosen = groups(variants, layer)
        if not chosen:
            return
        assert now.own is not None
        n_items = len(self._suffix)
        key, value = self._whole(seen.key, now.own[0]), self._whole(seen.value, now.own[1])
        query, key, value, context = (
            part.view(n_items, len(variants), *part.shape[1:])
            for part in (query, key, value, context)
        )
        index = self._edited.on(query.device).index
        at = (index - self._start)[:, None, None, :, None]
        of_rows = sight.map(
            lambda part: part.gather(2, at[:, 0].expand(-1, part.shape[1], -1, part.shape[-1]))
        )
        of_variants = of_rows.map(lambda part: part[:, None])
        for group in chosen:
            at_rows = at.expand(-1, len(group), query.shape[2], -1, query.shape[-1])
            rows = query[:, group].gather(3, at_rows)
            logits = logits_of(rows, key[:, group], seen.scaling, seen.softcap)
            new = self._edited_logits(logits, of_rows, [now.numbers[n] for n in group])
            edited = context_of(new, of_variants, value[:, group])
            at_rows = at.expand(-1, len(group), edited.shape[2], -1, edited.shape[-1])
            context[:, group] = context[:, group].scatter(3, at_rows, edited.to(context.dtype))

    def _leave(self, layer: int, hidden: Tensor, numbers: list[int]) -> Tensor:
        n_items, n_variants, n_rows, width = hidden.shape
        index = self._edited.on(hidden.device).index - self._start
        index = index.repeat_interleave(n_variants, 0)
        flat = hidden.flatten(0, 1)
        rows = rows_at(flat, index).view(n_items, n_variants, -1, width)
        rows = self._enriched(layer, rows, numbers)
        at = index[..., None].expand(-1, -1, width)
        new = flat.scatter(1, at, rows.flatten(0, 1))
        return new.view(n_items, n_variants, n_rows, width)

    # ------------------------------------------------------------------ edits

    def _edited_logits(self, logits: Tensor, sight: Visibility, numbers: list[int]) -> Tensor:
        """Edit (items, 1 or variants, heads, rows, keys) and note the audio statistics."""
        variants = [self._variants[number] for number in numbers]
        sight = sight.map(lambda part: part[:, None])
        new, statistics = self._edited.on(logits.device).edit(logits, sight, variants)
        self.statistics[:, numbers] += statistics.to(self.statistics)
        return new

    def _enriched(self, layer: int, rows: Tensor, numbers: list[int]) -> Tensor:
        """Enrich the edited rows' states, (items, variants, rows, width), where variants do."""
        edited = self._edited.on(rows.device)
        variants = [self._variants[n] for n in numbers]
        for source, mode in sorted({(v.source, v.mode) for v in variants if v.source is not None}):
            # The source lies before every edited layer, so its states are the prefill's.
            early = self._rows_of_prefill(source, edited.index).to(rows.device)
            mine = [n for n in numbers if layer in self._variants[n].layers]
            mine = [n for n in mine if self._variants[n].source == source]
            mine = [n for n in mine if self._variants[n].mode == mode]
            if not mine:
                continue
            at = [numbers.index(n) for n in mine]
            rows[:, at] = edited.enrich(rows[:, at], early, [self._variants[n] for n in mine])
        return rows

"""The fast way: only the rows behind the first edited one run again, from the edited layer up.

Rows before the first edited one never change, nor do layers below the edited one. So one prefill is
remembered, and all variants run as one growing batch: at its first edited layer a variant joins
with the hidden states that the prefill left there. At that layer only the edited rows differ, so
only they are computed; keys and values of the rows before are shared by all variants, never copied.
Exact: the same arithmetic as a full forward in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tempo_attn.attention import Attention, AttentionCall
from tempo_attn.lab.capture import Decoder, LayerState, Prefill
from tempo_attn.lab.grid import Variant
from tempo_attn.lab.rows import (
    EditedRows,
    context_of,
    groups,
    logits_of,
    probabilities_of,
    weighted,
)
from tempo_attn.visibility import visible_keys

FEW_ROWS = 8
"""Up to so many rows, variants share their prefix's keys; else these are put before their own."""


class _KeysAreThere(Exception):
    """Leaves a layer as soon as its keys and values are worked out."""


@dataclass
class _Now:
    """What runs at the moment.

    Attributes:
        numbers: The variants in the batch.
        rows: (items, rows): positions of the queries.
        joining: The variants are at their first edited layer: queries are the same for all, keys
            and values are the prefill's.
        own: Keys and values of the variants' own suffix, where they are known already.
        keys_only: Only these are wanted.
    """

    numbers: list[int]
    rows: Tensor
    joining: bool = False
    own: tuple[Tensor, Tensor] | None = None
    keys_only: bool = False


class Replay:
    """Variants with the same rows, run again on one remembered prefill.

    Args:
        decoder: The decoder, in hand.
        prefill: The remembered prefill; `edited.first` lies behind its start.
        edited: The rows.
        variants: What to run.
    """

    def __init__(
        self, decoder: Decoder, prefill: Prefill, edited: EditedRows, variants: Sequence[Variant]
    ) -> None:
        self._decoder = decoder
        self._prefill = prefill
        self._edited = edited
        self._variants = list(variants)
        self._start = edited.first
        n_items, device = len(edited.index), edited.index.device
        suffix = torch.arange(self._start, prefill.n_tokens, device=device)
        self._suffix = suffix.expand(n_items, -1)
        self._statistics = torch.zeros(n_items, len(variants), 4, device=device)
        self._visible: dict[tuple[object, ...], Tensor] = {}
        self._now = _Now([], self._suffix)

    def run(self) -> tuple[Tensor, Tensor]:
        """Run the variants.

        Returns:
            What leaves the last layer at the last position, (items, variants, width), and the
            audio statistics (items, variants, 4).
        """
        with self._decoder.attending(self._attend):
            hidden, order = self._run_layers()
        back = torch.tensor(order, device=hidden.device).argsort()
        counts = torch.tensor([len(variant.layers) for variant in self._variants])
        return hidden[:, back], self._statistics / counts.to(self._statistics)[:, None]

    # ------------------------------------------------------------------ layers

    def _run_layers(self) -> tuple[Tensor, list[int]]:
        """Return the last rows, (items, variants, width), and the order of the variants in it."""
        joined: list[int] = []
        hidden: Tensor | None = None  # (items, variants, suffix, width)
        last = len(self._prefill.layers) - 1
        for layer, state in enumerate(self._prefill.layers):
            short = hidden is not None and hidden.shape[2] > 1 and not self._any_edits(joined, last)
            if hidden is not None and layer == last and short:
                hidden = self._last_row(state, hidden, joined)
            elif hidden is not None:
                self._now = _Now(joined, self._suffix)
                hidden = self._run(layer, state, hidden)
            joining = [n for n, v in enumerate(self._variants) if v.layers[0] == layer]
            if joining:
                new = self._join(layer, state, joining)
                if hidden is not None:
                    new = torch.cat([hidden.to(new.device), new[:, :, -hidden.shape[2] :]], 1)
                hidden = new
                joined = joined + joining
        assert hidden is not None
        return hidden[:, :, -1], joined

    def _any_edits(self, numbers: Sequence[int], layer: int) -> bool:
        return any(layer in self._variants[number].layers for number in numbers)

    def _run(self, layer: int, state: LayerState, hidden: Tensor) -> Tensor:
        """Run a layer on (items, variants, rows, width) at the rows of `_now`."""
        flat = self._decoder.run_again(layer, state, hidden.flatten(0, 1), self._now.rows)
        return flat.view(hidden.shape)

    def _last_row(self, state: LayerState, hidden: Tensor, joined: list[int]) -> Tensor:
        """Run the last layer: all rows for keys and values, but only the last one to its end."""
        layer = len(self._prefill.layers) - 1
        self._now = _Now(joined, self._suffix, keys_only=True)
        with suppress(_KeysAreThere):
            self._run(layer, state, hidden)
        self._now = _Now(joined, self._suffix[:, -1:], own=self._now.own)
        return self._run(layer, state, hidden[:, :, -1:].contiguous())

    def _join(self, layer: int, state: LayerState, joining: list[int]) -> Tensor:
        """Return what leaves a layer that is the first one edited, (items, variants, rows, width).

        Only the edited rows differ from the prefill's.
        """
        index, width = self._edited.on(state.hidden.device).index, state.hidden.shape[-1]
        at = (index - self._prefill.start)[..., None].expand(-1, -1, width)
        entering = state.hidden.gather(1, at)[:, None].repeat(1, len(joining), 1, 1)
        self._now = _Now(joining, index, joining=True)
        leaving = self._run(layer, state, entering)
        plain = self._prefill.entering(layer + 1)[:, self._start - self._prefill.start :]
        new = plain.to(leaving.device)[:, None].repeat(1, len(joining), 1, 1)
        at = (index.to(new.device) - self._start)[:, None, :, None].expand(
            -1, len(joining), -1, width
        )
        return new.scatter_(2, at, leaving)

    # ------------------------------------------------------------------ attention

    def _attend(self, layer: int, call: AttentionCall) -> Attention:
        """Attention of the rows that run; see `AttentionCall`."""
        now, seen = self._now, self._prefill.layers[layer].call
        allowed = self._visible_keys(seen, now)
        if now.joining:
            context = self._joining_attention(layer, call, seen, allowed)
            return context.transpose(1, 2).to(call.query.dtype).contiguous(), None
        if now.own is None:
            now.own = (call.key, call.value)
        if now.keys_only:
            raise _KeysAreThere
        n_rows = call.query.shape[2]
        if n_rows > FEW_ROWS and seen.softcap is None:
            context = nn.functional.scaled_dot_product_attention(
                call.query,
                self._whole(seen.key, now.own[0]),
                self._whole(seen.value, now.own[1]),
                attn_mask=allowed.repeat_interleave(len(now.numbers), 0),
                scale=seen.scaling,
                enable_gqa=seen.key.shape[1] != call.query.shape[1],
            )
        else:
            context = self._sharing_attention(call.query, seen, allowed)
        self._edit(layer, call.query, seen, allowed, context)
        return context.transpose(1, 2).contiguous(), None

    def _sharing_attention(self, query: Tensor, seen: AttentionCall, allowed: Tensor) -> Tensor:
        """Attention in which all variants of an item share its prefix; (rows of) `query`'s shape.

        For few rows: putting the prefix before every variant's own keys would cost more than it.
        """
        assert self._now.own is not None
        n_items, n_variants = len(self._suffix), len(self._now.numbers)
        by_item = (n_items, n_variants, *query.shape[1:])
        key, value = (part[:, :, : self._start] for part in (seen.key, seen.value))
        # The variants' rows side by side, as rows of one query.
        rows = query.view(by_item).transpose(1, 2).flatten(2, 3)
        to_prefix = logits_of(rows, key, seen.scaling, seen.softcap)
        to_prefix = to_prefix.view(n_items, query.shape[1], n_variants, query.shape[2], -1)
        to_own = logits_of(query, self._now.own[0], seen.scaling, seen.softcap)
        to_own = to_own.view(*by_item[:-1], -1)
        logits = torch.cat([to_prefix.transpose(1, 2), to_own], -1)
        shares = probabilities_of(logits, allowed[:, None])
        rows = shares[..., : self._start].transpose(1, 2).flatten(2, 3)
        from_prefix = weighted(rows, value)
        from_prefix = from_prefix.view(n_items, query.shape[1], n_variants, query.shape[2], -1)
        from_own = weighted(shares[..., self._start :].flatten(0, 1), self._now.own[1]).view(
            *by_item[:-1], -1
        )
        context = from_prefix.transpose(1, 2) + from_own
        return context.flatten(0, 1).to(query.dtype)

    def _whole(self, of_prefill: Tensor, own: Tensor) -> Tensor:
        """Put each variant's own keys (or values) behind those of the prefix they share."""
        n_items, n_variants = len(of_prefill), len(own) // len(of_prefill)
        prefix = of_prefill[:, None, :, : self._start]
        shape = (n_items, n_variants, own.shape[1], self._prefill.n_tokens, own.shape[3])
        whole = own.new_empty(shape)
        whole[..., : self._start, :] = prefix
        whole[..., self._start :, :] = own.view(n_items, n_variants, *own.shape[1:])
        return whole.flatten(0, 1)

    def _visible_keys(self, seen: AttentionCall, now: _Now) -> Tensor:
        """Return which of all positions the rows see, (items, 1 or heads, rows, keys) bool."""
        name = "joining" if now.joining else now.rows.shape[1]
        key = (id(seen.mask), seen.sliding_window, seen.is_causal, name)
        if key not in self._visible:
            n = self._prefill.n_tokens
            how = (0, n, n, seen.sliding_window, seen.is_causal)
            self._visible[key] = visible_keys(seen.mask, now.rows.to(seen.key.device), *how)[0]
        return self._visible[key]

    def _joining_attention(
        self, layer: int, call: AttentionCall, seen: AttentionCall, allowed: Tensor
    ) -> Tensor:
        """Attention where variants join, (items * variants, heads, rows, dim): all rows edited."""
        numbers = self._now.numbers
        query = call.query.view(-1, len(numbers), *call.query.shape[1:])[:, 0]
        logits = logits_of(query, seen.key, seen.scaling, seen.softcap)[:, None]
        new = logits.new_empty(len(logits), len(numbers), *logits.shape[2:])
        variants = [self._variants[number] for number in numbers]
        for group in groups(variants, layer):
            new[:, group] = self._edited_logits(logits, allowed, [numbers[at] for at in group])
        return context_of(new, allowed[:, None], seen.value[:, None]).flatten(0, 1)

    def _edit(
        self, layer: int, query: Tensor, seen: AttentionCall, allowed: Tensor, context: Tensor
    ) -> None:
        """Write the edited rows over `context`, (items * variants, heads, rows, dim)."""
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
        seen_by_rows = allowed.gather(
            2, at[:, 0].expand(-1, allowed.shape[1], -1, allowed.shape[-1])
        )
        for group in chosen:
            at_rows = at.expand(-1, len(group), query.shape[2], -1, query.shape[-1])
            rows = query[:, group].gather(3, at_rows)
            logits = logits_of(rows, key[:, group], seen.scaling, seen.softcap)
            new = self._edited_logits(logits, seen_by_rows, [now.numbers[n] for n in group])
            edited = context_of(new, seen_by_rows[:, None], value[:, group])
            at_rows = at.expand(-1, len(group), edited.shape[2], -1, edited.shape[-1])
            context[:, group] = context[:, group].scatter(3, at_rows, edited.to(context.dtype))

    def _edited_logits(self, logits: Tensor, allowed: Tensor, numbers: list[int]) -> Tensor:
        """Edit (items, 1 or variants, heads, rows, keys) and note the audio statistics."""
        variants = [self._variants[number] for number in numbers]
        new, statistics = self._edited.on(logits.device).edit(logits, allowed[:, None], variants)
        self._statistics[:, numbers] += statistics.to(self._statistics)
        return new

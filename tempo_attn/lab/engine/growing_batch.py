"""A growing batch: variants of one remembered prefill that join it at different layers.

Rows before the first changed one never change, nor do layers before the first changed one. So one
prefill is remembered, and all variants run as one batch that grows: behind its first changed layer
a variant joins with states made of those that the prefill left there. Keys and values of the rows
before are shared by all variants, never copied. Exact: the same arithmetic as a full forward in
another order.

What a change is, subclasses say: the sweep's `EditedBatch` edits attention and states, the trace's
`PatchedBatch` writes states of another run.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tempo_attn.attention.edited_attention import Attention, AttentionCall
from tempo_attn.attention.masks import Visibility, visible_keys
from tempo_attn.attention.row_attention import logits_of, probabilities_of, weighted
from tempo_attn.lab.engine.attention_in_parts import PartMasks, attend_in_parts
from tempo_attn.lab.engine.prefill import Decoder, LayerState, Prefill

FEW_ROWS = 8
"""Up to so many rows are worked out by hand, all variants of an item at once; more by a kernel."""


class _KeysAreThere(Exception):
    """Leaves a layer as soon as its keys and values are worked out."""


@dataclass
class Now:
    """What runs at the moment.

    Attributes:
        numbers: The variants in the batch.
        rows: (items, rows): positions of the queries.
        joining: The variants are at their first changed layer: keys and values are the prefill's.
        own: Keys and values of the variants' own suffix, where they are known already.
        keys_only: Only these are wanted.
    """

    numbers: list[int]
    rows: Tensor
    joining: bool = False
    own: tuple[Tensor, Tensor] | None = None
    keys_only: bool = False


class GrowingBatch:
    """Variants run on from one remembered prefill.

    Args:
        decoder: The decoder, in hand.
        prefill: The remembered prefill.
        start: The first position that any variant changes; behind the prefill's own start.
        first_layers: The first layer that each variant changes; -1 for what enters the first one.
    """

    def __init__(
        self, decoder: Decoder, prefill: Prefill, start: int, first_layers: Sequence[int]
    ) -> None:
        self._decoder = decoder
        self._prefill = prefill
        self._start = start
        self._first_layers = list(first_layers)
        state = prefill.layers[0].hidden
        suffix = torch.arange(start, prefill.n_tokens, device=state.device)
        self._suffix = suffix.expand(len(state), -1)
        self._visible: dict[tuple[object, ...], tuple[Tensor, Visibility]] = {}
        self._parts: dict[int, PartMasks | None] = {}
        self._now = Now([], self._suffix)

    def run(self) -> Tensor:
        """Run the variants.

        Returns:
            What leaves the last layer at the last position, (items, variants, width).
        """
        with self._decoder.attending(self._attend):
            hidden, order = self._run_layers()
        return hidden[:, torch.tensor(order, device=hidden.device).argsort()]

    # ------------------------------------------------------------------ for subclasses

    def _join(self, layer: int, state: LayerState, joining: list[int]) -> Tensor:
        """Return what leaves the first changed layer, (items, variants, suffix, width)."""
        raise NotImplementedError

    def _attend_joining(self, layer: int, call: AttentionCall, seen: AttentionCall) -> Tensor:
        """Return attention of the rows that `_join` runs, (items * variants, heads, rows, dim)."""
        raise NotImplementedError

    def _changes(self, number: int, layer: int) -> bool:
        """Return whether a variant changes a layer behind its first one."""
        return False

    def _edit(
        self, layer: int, query: Tensor, seen: AttentionCall, sight: Visibility, context: Tensor
    ) -> None:
        """Write over attention's output, (items * variants, heads, suffix, dim)."""

    def _leave(self, layer: int, hidden: Tensor, numbers: list[int]) -> Tensor:
        """Change what leaves a layer, (items, variants, suffix, width)."""
        return hidden

    def _run(self, layer: int, state: LayerState, hidden: Tensor) -> Tensor:
        """Run a layer on (items, variants, rows, width) at the rows of `_now`."""
        rows = self._now.rows - self._prefill.n_before
        flat = self._decoder.run_again(layer, state, hidden.flatten(0, 1), rows)
        return flat.view(hidden.shape)

    def _rows_of_prefill(self, layer: int, index: Tensor) -> Tensor:
        """Return what left a layer of the prefill at some rows, (items, rows, width)."""
        return rows_at(self._prefill.entering(layer + 1), index - self._prefill.start)

    def _with_rows(self, layer: int, n_variants: int, index: Tensor, rows: Tensor) -> Tensor:
        """Return what left a layer of the prefill, for every variant, with some rows replaced.

        Args:
            layer: The layer.
            n_variants: How many variants.
            index: (items, rows) positions.
            rows: (items, variants, rows, width).
        """
        plain = self._prefill.entering(layer + 1)[:, self._start - self._prefill.start :]
        new = plain.to(rows.device)[:, None].repeat(1, n_variants, 1, 1)
        at = (index.to(new.device) - self._start)[:, None, :, None]
        return new.scatter_(2, at.expand_as(rows), rows.to(new.dtype))

    # ------------------------------------------------------------------ layers

    def _run_layers(self) -> tuple[Tensor, list[int]]:
        """Return the last rows, (items, variants, width), and the order of the variants in it."""
        last = len(self._prefill.layers) - 1
        # Those that change what enters the first layer.
        joined = [n for n, first in enumerate(self._first_layers) if first < 0]
        hidden: Tensor | None = None  # (items, variants, suffix, width)
        if joined:
            hidden = self._join(-1, self._prefill.layers[0], joined)
        for layer, state in enumerate(self._prefill.layers):
            changed = any(self._changes(number, layer) for number in joined)
            if hidden is not None and layer == last and hidden.shape[2] > 1 and not changed:
                hidden = self._last_row(state, hidden, joined)
            elif hidden is not None:
                self._now = Now(joined, self._suffix)
                hidden = self._run(layer, state, hidden)
                hidden = self._leave(layer, hidden, joined) if changed else hidden
            joining = [n for n, first in enumerate(self._first_layers) if first == layer]
            if joining:
                new = self._join(layer, state, joining)
                if hidden is not None:
                    new = torch.cat([hidden.to(new.device), new[:, :, -hidden.shape[2] :]], 1)
                hidden = new
                joined = joined + joining
        assert hidden is not None
        return hidden[:, :, -1], joined

    def _last_row(self, state: LayerState, hidden: Tensor, joined: list[int]) -> Tensor:
        """Run the last layer: all rows for keys and values, but only the last one to its end."""
        layer = len(self._prefill.layers) - 1
        self._now = Now(joined, self._suffix, keys_only=True)
        with suppress(_KeysAreThere):
            self._run(layer, state, hidden)
        self._now = Now(joined, self._suffix[:, -1:], own=self._now.own)
        return self._run(layer, state, hidden[:, :, -1:].contiguous())

    # ------------------------------------------------------------------ attention

    def _attend(self, layer: int, call: AttentionCall) -> Attention:
        """Attention of the rows that run; see `AttentionCall`."""
        now, seen = self._now, self._prefill.layers[layer].call
        if now.joining:
            context = self._attend_joining(layer, call, seen)
            return context.transpose(1, 2).to(call.query.dtype).contiguous(), None
        if now.own is None:
            now.own = (call.key, call.value)
        if now.keys_only:
            raise _KeysAreThere
        sight = self._visible_keys(seen)
        n_rows = call.query.shape[2]
        many = n_rows > FEW_ROWS and seen.softcap is None
        parts = self._part_masks(sight, call.query) if many else None
        if parts is not None:
            shared = seen.key[:, :, : self._start], seen.value[:, :, : self._start]
            context = attend_in_parts(call.query, shared, now.own, parts, seen.scaling)
        elif many:
            context = nn.functional.scaled_dot_product_attention(
                call.query,
                self._whole(seen.key, now.own[0]),
                self._whole(seen.value, now.own[1]),
                attn_mask=sight.mask(call.query.dtype).repeat_interleave(len(now.numbers), 0),
                scale=seen.scaling,
                enable_gqa=seen.key.shape[1] != call.query.shape[1],
            )
        else:
            context = self._sharing_attention(call.query, seen, sight)
        self._edit(layer, call.query, seen, sight, context)
        return context.transpose(1, 2).contiguous(), None

    def _sharing_attention(self, query: Tensor, seen: AttentionCall, sight: Visibility) -> Tensor:
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
        shares = probabilities_of(logits, sight.map(lambda part: part[:, None]))
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

    def _part_masks(self, sight: Visibility, query: Tensor) -> PartMasks | None:
        """Return the masks of shared and own keys; None where the two are attended together."""
        if id(sight) not in self._parts:  # `_visible` keeps it, so that no other is at its place
            self._parts[id(sight)] = PartMasks.of(sight, self._start, query)
        return self._parts[id(sight)]

    def _visible_keys(self, seen: AttentionCall) -> Visibility:
        """Return which of all positions the rows see, (items, 1 or heads, rows, keys)."""
        rows = self._now.rows
        name = id(rows) if self._now.joining else rows.shape[1]
        key = (id(seen.mask), seen.sliding_window, seen.is_causal, self._now.joining, name)
        if key not in self._visible:
            n, before = self._prefill.n_tokens, self._prefill.n_before
            how = (before, n - before, n, seen.sliding_window, seen.is_causal)
            sight = visible_keys(seen.mask, rows.to(seen.key.device) - before, *how)
            # With the rows, so that no others can take their identity.
            self._visible[key] = rows, sight
        return self._visible[key][1]


def rows_at(states: Tensor, index: Tensor) -> Tensor:
    """Return states at some rows, (items, rows, width).

    Args:
        states: (items, tokens, width).
        index: (items, rows), on any device.
    """
    at = index.to(states.device)[..., None].expand(-1, -1, states.shape[-1])
    return states.gather(1, at)

"""Patches: one run with the states of another one written at some places.

`PatchedBatch` runs many patches at once on one remembered prefill: the fast engine, see
`GrowingBatch`. `run_patched` runs one in a full forward of the model, for models whose layers
cannot be run one by one and for checking the fast engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from tempo_attn.attention.edited_attention import AttentionCall
from tempo_attn.attention.hidden_states import StateHooks
from tempo_attn.attention.row_attention import context_of, logits_of
from tempo_attn.lab.engine.growing_batch import GrowingBatch, Now, rows_at
from tempo_attn.lab.engine.hidden_states import (
    Component,
    States,
    modules_of,
    place,
)
from tempo_attn.lab.engine.model_under_study import RowsLeftOut
from tempo_attn.lab.engine.prefill import Decoder, LayerState, Prefill
from tempo_attn.lab.engine.query_rows import QueryRows
from tempo_attn.lab.engine.random_nulls import PATCHED, draw_state_signs
from tempo_attn.lab.trace.sites import Site

R = TypeVar("R")


class Source:
    """The states that are written: those of another run of the same prompts.

    Args:
        states: What left the components of that run.
        start: The first position in them.
        seeds: Seed of each item's random signs.
    """

    def __init__(self, states: States, start: int, seeds: Sequence[Sequence[int]]) -> None:
        self._states = states
        self._start = start
        self._seeds = seeds
        self._signs: dict[int, Tensor] = {}

    def written(
        self, component: Component, layer: int, index: Tensor, old: Tensor, random: Sequence[bool]
    ) -> Tensor:
        """Return what is written over old states.

        Args:
            component: The component whose states are written.
            layer: The layer of these states.
            index: (items, rows) positions.
            old: (items, variants, rows, width).
            random: Of each variant: whether a random change of the same size is written instead.

        Returns:
            Of the shape and dtype of `old`.
        """
        states = self._states[component][place(component, layer)]
        new = rows_at(states, index - self._start)[:, None].to(old)
        change = self._sign(old.shape[-1]).to(old)[:, None, None] * (new - old)
        flags = torch.tensor(list(random), device=old.device)[:, None, None]
        return torch.where(flags, old + change, new)

    def _sign(self, width: int) -> Tensor:
        """Return 1 or -1 for each item and component, (items, width)."""
        if width not in self._signs:
            self._signs[width] = draw_state_signs(self._seeds, width, PATCHED)
        return self._signs[width]


class PatchedBatch(GrowingBatch):
    """Patches of one group of positions.

    Args:
        decoder: The decoder, in hand.
        prefill: The remembered prefill of the run that is patched.
        source: What is written.
        places: Where.
        sites: The patches, all of that group.
    """

    def __init__(
        self,
        decoder: Decoder,
        prefill: Prefill,
        source: Source,
        places: QueryRows,
        sites: Sequence[Site],
    ) -> None:
        super().__init__(decoder, prefill, places.first, [site.layer for site in sites])
        self._source = source
        self._sites = list(sites)
        self._index = places.index.to(prefill.layers[0].hidden.device)

    def _join(self, layer: int, state: LayerState, joining: list[int]) -> Tensor:
        index = self._index.to(state.hidden.device)
        plain = self._rows_of_prefill(layer, index)[:, None]
        rows = plain.repeat(1, len(joining), 1, 1)
        for component in dict.fromkeys(self._sites[n].component for n in joining):
            mine = [n for n in joining if self._sites[n].component == component]
            at = [joining.index(n) for n in mine]
            random = [self._sites[n].random for n in mine]
            if component == "residual":
                new = self._source.written(component, layer, index, rows[:, at], random)
            else:
                new = self._run_changed(component, layer, state, index, mine, random)
            rows[:, at] = new.to(rows)
        return self._with_rows(layer, len(joining), index, rows)

    def _run_changed(
        self,
        component: Component,
        layer: int,
        state: LayerState,
        index: Tensor,
        mine: list[int],
        random: list[bool],
    ) -> Tensor:
        """Run a layer with the output of its attention or MLP written over."""
        entering = self._rows_of_prefill(layer - 1, index)[:, None].repeat(1, len(mine), 1, 1)
        self._now = Now(mine, index, joining=True)

        def change(old: Tensor) -> Tensor:
            by_item = old.view(len(index), len(mine), *old.shape[1:])
            new = self._source.written(component, layer, index, by_item, random)
            return new.view(old.shape)

        with StateHooks() as hooks:
            hooks.on_output(modules_of(self._decoder, component)[layer], change)
            return self._run(layer, state, entering)

    def _attend_joining(self, layer: int, call: AttentionCall, seen: AttentionCall) -> Tensor:
        n_variants = len(self._now.numbers)
        query = call.query.view(-1, n_variants, *call.query.shape[1:])[:, 0]
        logits = logits_of(query, seen.key, seen.scaling, seen.softcap)
        context = context_of(logits, self._visible_keys(seen), seen.value)
        return context.repeat_interleave(n_variants, 0)


def run_patched(
    decoder: Decoder,
    forward: Callable[[], R],
    source: Source,
    places: QueryRows,
    site: Site,
    n_tokens: int,
) -> R:
    """Run the model with one patch.

    Args:
        decoder: The decoder.
        forward: Calls the model without a cache.
        source: What is written.
        places: Where.
        site: The patch.
        n_tokens: Positions of the forward.

    Returns:
        What `forward` returned.

    Raises:
        RowsLeftOut: The layer did not run for all rows.
    """

    def change(states: Tensor) -> Tensor:
        index = places.index.to(states.device)
        if states.shape[1] < n_tokens:
            raise RowsLeftOut
        old = rows_at(states, index)[:, None]
        new = source.written(site.component, site.layer, index, old, [site.random])[:, 0]
        return states.scatter(1, index[..., None].expand_as(new), new)

    with StateHooks() as hooks:
        if site.layer < 0:
            hooks.on_input(decoder.layers[0], change)
        else:
            hooks.on_output(modules_of(decoder, site.component)[site.layer], change)
        return forward()

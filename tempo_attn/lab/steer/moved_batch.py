"""Pushes of one batch: many at once on a remembered prefill, or one in a full forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from tempo_attn.attention.hidden_states import StateHooks
from tempo_attn.attention.mode_formulas import edit_states
from tempo_attn.lab.engine.growing_batch import GrowingBatch, rows_at
from tempo_attn.lab.engine.model_under_study import RowsLeftOut
from tempo_attn.lab.engine.prefill import Decoder, LayerState, Prefill
from tempo_attn.lab.engine.query_rows import QueryRows
from tempo_attn.lab.steer.pushes import Push, Steps

R = TypeVar("R")


def moved(states: Tensor, layer: int, push: Push, steps: Steps, signs: Tensor) -> Tensor:
    """Return states that a push has moved; those of a layer that it does not move stay.

    Args:
        states: (items, rows, width).
        layer: The layer that they leave.
        push: The push.
        steps: What strength 1 adds.
        signs: (items,): 1 where an option wins by being later, -1 where by being earlier.
    """
    if layer not in push.layers:
        return states
    strength = (push.strength * signs.to(states.device))[:, None, None]
    step = steps.of(layer, push.draw, states)
    return edit_states(states, step, "steer", strength.float()).to(states.dtype)


class MovedBatch(GrowingBatch):
    """Pushes of the same option's name, run again on one remembered prefill.

    Args:
        decoder: The decoder, in hand.
        prefill: The remembered prefill; the places lie behind its start.
        places: The tokens of that option's name.
        pushes: What to run.
        steps: What strength 1 adds.
        signs: See `moved`.
    """

    def __init__(
        self,
        decoder: Decoder,
        prefill: Prefill,
        places: QueryRows,
        pushes: Sequence[Push],
        steps: Steps,
        signs: Tensor,
    ) -> None:
        super().__init__(decoder, prefill, places.first, [push.layers[0] for push in pushes])
        self._index = places.index
        self._pushes = list(pushes)
        self._steps = steps
        self._signs = signs

    def _changes(self, number: int, layer: int) -> bool:
        return layer in self._pushes[number].layers

    def _join(self, layer: int, state: LayerState, joining: list[int]) -> Tensor:
        index = self._index.to(state.hidden.device)
        plain = self._rows_of_prefill(layer, index)
        rows = torch.stack([self._moved(plain, layer, number) for number in joining], 1)
        return self._with_rows(layer, len(joining), index, rows)

    def _leave(self, layer: int, hidden: Tensor, numbers: list[int]) -> Tensor:
        index = self._index.to(hidden.device) - self._start
        new = hidden.clone()
        for at, number in enumerate(numbers):
            rows = self._moved(rows_at(hidden[:, at], index), layer, number)
            new[:, at] = hidden[:, at].scatter(1, index[..., None].expand_as(rows), rows)
        return new

    def _moved(self, rows: Tensor, layer: int, number: int) -> Tensor:
        return moved(rows, layer, self._pushes[number], self._steps, self._signs)


def run_moved(
    decoder: Decoder,
    forward: Callable[[], R],
    places: QueryRows,
    push: Push,
    steps: Steps,
    signs: Tensor,
    n_tokens: int,
) -> R:
    """Run the model with one push.

    Args:
        decoder: The decoder.
        forward: Calls the model without a cache.
        places: The tokens of the pushed option's name.
        push: The push.
        steps: What strength 1 adds.
        signs: See `moved`.
        n_tokens: Positions of the forward.

    Returns:
        What `forward` returned.

    Raises:
        RowsLeftOut: A layer did not run for all rows.
    """

    def change(layer: int, states: Tensor) -> Tensor:
        if states.shape[1] < n_tokens:
            raise RowsLeftOut
        index = places.index.to(states.device)
        rows = moved(rows_at(states, index), layer, push, steps, signs)
        return states.scatter(1, index[..., None].expand_as(rows), rows)

    with StateHooks() as hooks:
        for layer in push.layers:
            hooks.on_output(decoder.layers[layer], partial(change, layer))
        return forward()

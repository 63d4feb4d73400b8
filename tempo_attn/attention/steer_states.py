"""Edits of states on a wrapped model: those of chosen rows are moved along stored directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from tempo_attn.attention.edited_states import change_rows
from tempo_attn.attention.hidden_states import StateHooks
from tempo_attn.attention.mode_formulas import edit_states
from tempo_attn.attention.row_plan import RowPlan, Session
from tempo_attn.directions import Directions


def steer_layers(
    layers: Sequence[nn.Module], directions: Directions, edited: Sequence[int], session: Session
) -> Callable[[], None]:
    """Put the hooks of an edit along directions on a decoder's layers.

    Args:
        layers: The decoder's layers.
        directions: The directions, of at least the edited layers.
        edited: Numbers of the layers whose states are moved.
        session: Tells which rows each call edits.

    Returns:
        A function that takes the hooks off.

    Raises:
        UnsupportedModelError: In a call: a layer gives no states of (batch, tokens, width).
    """
    # In float32 and once; a copy moves to a layer's device with its first states.
    steps = {layer: torch.tensor(directions.step(layer)) for layer in edited}

    def move(layer: int, states: Tensor) -> Tensor:
        step = steps[layer] = steps[layer].to(states.device)

        def along(rows: Tensor, plan: RowPlan) -> Tensor:
            return edit_states(rows, step, plan.mode, plan.strength)

        return change_rows(session, layer, states, along)

    def is_edited(layer: int) -> bool:
        return session.plan_for(layer) is not None

    hooks = StateHooks()
    for layer in edited:
        hooks.on_output(layers[layer], partial(move, layer), only_if=partial(is_edited, layer))
    return hooks.remove

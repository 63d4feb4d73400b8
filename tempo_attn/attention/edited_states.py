"""What all edits of states have in common: a call's chosen rows are changed, all others stay."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tempo_attn.attention.row_plan import RowPlan, Session


def change_rows(
    session: Session, layer: int, states: Tensor, change: Callable[[Tensor, RowPlan], Tensor]
) -> Tensor:
    """Return what leaves an edited layer, with the call's chosen rows changed.

    Args:
        session: Tells which rows, and is told that they were edited.
        layer: The layer; the session has a plan for it.
        states: What leaves it, (batch, tokens, width).
        change: Returns the new states of the chosen rows, (n, width), at least float32.
    """
    plan = session.plan_for(layer)
    assert plan is not None
    plan = plan.tail(states.shape[1]).on(states.device)
    seen = torch.zeros(len(states), dtype=torch.bool, device=states.device)
    batch, _, queries = plan.where
    seen[batch] = True
    session.applied(layer, seen)
    changed = states.clone()  # who listened before keeps what it heard
    changed[batch, queries] = change(states[batch, queries], plan).to(states.dtype)
    return changed

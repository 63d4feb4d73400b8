"""Edits of states on a wrapped model: those of an early layer are mixed into deeper ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from tempo_attn.attention.edited_states import change_rows
from tempo_attn.attention.hidden_states import StateHooks
from tempo_attn.attention.mode_formulas import edit_states
from tempo_attn.attention.row_plan import RowPlan, Session
from tempo_attn.errors import EditNotAppliedError


def enrich_layers(
    layers: Sequence[nn.Module], source: int, edited: Sequence[int], session: Session
) -> Callable[[], None]:
    """Put the hooks of an edit of states on a decoder's layers.

    Args:
        layers: The decoder's layers.
        source: Number of the layer whose states are mixed in.
        edited: Numbers of the layers that get them, ascending; all deeper than `source`.
        session: Tells which rows each call edits.

    Returns:
        A function that takes the hooks off.

    Raises:
        UnsupportedModelError: In a call: a layer gives no states of (batch, tokens, width).
        EditNotAppliedError: In a call: an edited layer ran and the source did not.
    """
    kept: list[Tensor] = []

    def is_edited(layer: int) -> bool:
        return session.plan_for(layer) is not None

    def source_is_needed() -> bool:
        kept.clear()
        return is_edited(edited[0])

    def mix(layer: int, deep: Tensor) -> Tensor:
        def with_early(rows: Tensor, plan: RowPlan) -> Tensor:
            if not kept:
                raise EditNotAppliedError(
                    f"layer {layer} is edited and layer {source}, whose states it is enriched "
                    "with, ran without its hook: unload() and wrap the model again"
                )
            batch, _, queries = plan.where
            early = kept[0][:, -deep.shape[1] :].to(deep.device)[batch, queries]
            if layer == edited[-1]:
                kept.clear()  # neither hold a prompt's states nor give them to another call
            return edit_states(rows, early, plan.mode, plan.strength)

        return change_rows(session, layer, deep, with_early)

    hooks = StateHooks()
    hooks.on_output(layers[source], kept.append, only_if=source_is_needed)
    for layer in edited:
        hooks.on_output(layers[layer], partial(mix, layer), only_if=partial(is_edited, layer))
    return hooks.remove

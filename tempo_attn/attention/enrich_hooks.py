"""Mode `enrich` on a wrapped model: early states are mixed into what leaves deeper layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tempo_attn.attention.edited_attention import Session
from tempo_attn.attention.edits import enrich_states
from tempo_attn.errors import EditNotAppliedError, UnsupportedModelError


def enrich_layers(
    layers: Sequence[nn.Module], source: int, edited: Sequence[int], session: Session
) -> Callable[[], None]:
    """Put hooks on a decoder's layers.

    Args:
        layers: The decoder's layers.
        source: Whose states are mixed in.
        edited: Into which ones' they are mixed; all deeper than `source`.
        session: Knows the rows of each call.

    Returns:
        What takes the hooks off.

    Raises:
        UnsupportedModelError: In a call: a layer gives no states of (batch, tokens, width).
        EditNotAppliedError: In a call: an edited layer ran and the source did not.
    """
    kept: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        kept.clear()
        if session.plan_for(edited[0]) is not None:
            kept.append(states_of(module, output))

    def mix(layer: int) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            plan = session.plan_for(layer)
            if plan is None:
                return None
            deep = states_of(module, output)
            n_rows = deep.shape[1]
            plan = plan.tail(n_rows).on(deep.device)
            seen = torch.zeros(len(deep), dtype=torch.bool, device=deep.device)
            batch, _, queries = plan.where
            seen[batch] = True
            session.applied(layer, seen)
            if not kept:
                raise EditNotAppliedError(
                    f"layer {layer} is edited and layer {source}, whose states it is enriched "
                    "with, ran without its hook: unload() and wrap the model again"
                )
            early = kept[0][:, -n_rows:].to(deep.device)[batch, queries]
            if layer == edited[-1]:
                kept.clear()  # neither hold a prompt's states nor give them to another call
            assert plan.strength is not None
            mixed = deep.clone()
            mixed[batch, queries] = enrich_states(deep[batch, queries], early, plan.strength).to(
                deep.dtype
            )
            return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

        return hook

    hooks = [layers[source].register_forward_hook(keep)]
    hooks += [layers[layer].register_forward_hook(mix(layer)) for layer in edited]

    def remove() -> None:
        for hook in hooks:
            hook.remove()

    return remove


def states_of(layer: nn.Module, output: Any) -> Tensor:
    """Return the states in a decoder layer's output, (batch, tokens, width).

    Raises:
        UnsupportedModelError: It has no such states.
    """
    states = output[0] if isinstance(output, tuple) else output
    if not isinstance(states, Tensor) or states.dim() != 3:
        found = tuple(states.shape) if isinstance(states, Tensor) else type(states).__name__
        raise UnsupportedModelError(
            f"{type(layer).__name__} gives {found}; expected states of (batch, tokens, width)"
        )
    return states

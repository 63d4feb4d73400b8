"""What leaves the layers of a decoder, their attention and their MLPs, kept from one forward."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from torch import Tensor, nn

from tempo_attn.attention.hidden_states import StateHooks
from tempo_attn.errors import UnsupportedModelError
from tempo_attn.lab.engine.model_under_study import RowsLeftOut
from tempo_attn.lab.engine.prefill import Decoder

Component = Literal["residual", "attention", "mlp"]
COMPONENTS: tuple[Component, ...] = ("residual", "attention", "mlp")
States = dict[Component, list[Tensor]]
"""By component and layer: (items, tokens from a start on, width). What enters the first layer comes
first in the residual stream; see `place`."""
_MLPS = ("mlp", "feed_forward", "block_sparse_moe", "moe", "ffn")


def modules_of(decoder: Decoder, component: Component) -> list[nn.Module]:
    """Return the module of every layer whose output a component is.

    Raises:
        UnsupportedModelError: A layer has none.
    """
    if component == "residual":
        return decoder.layers
    found = [
        attention if component == "attention" else _mlp(layer)
        for layer, attention in zip(decoder.layers, decoder.attentions, strict=True)
    ]
    without = [number for number, module in enumerate(found) if module is None]
    if without:
        raise UnsupportedModelError(
            f"layers {without} of {type(decoder.layers[0]).__name__} have no {component} module "
            f"that tempo knows; trace the residual stream instead"
        )
    return found  # type: ignore[return-value]


def _mlp(layer: nn.Module) -> nn.Module | None:
    children = dict(layer.named_children())
    return next((children[name] for name in _MLPS if name in children), None)


@contextmanager
def keeping(
    decoder: Decoder, components: Sequence[Component], start: int, n_tokens: int
) -> Iterator[States]:
    """Keep what leaves the components in the one forward inside the context.

    Args:
        decoder: The decoder.
        components: Which components' states are kept.
        start: The first position that is kept.
        n_tokens: Positions of the forward.

    Raises:
        UnsupportedModelError: In the forward: a layer gives no states of (batch, tokens, width).
        RowsLeftOut: Likewise: a layer ran for the last rows only.
    """
    states: States = {component: [] for component in components}

    def keep(kept: list[Tensor]) -> Callable[[Tensor], None]:
        def visit(found: Tensor) -> None:
            if found.shape[1] < n_tokens:
                raise RowsLeftOut
            # A copy: a slice would keep all positions in memory.
            kept.append(found[:, start:].clone())

        return visit

    with StateHooks() as hooks:
        if "residual" in components:
            hooks.on_input(decoder.layers[0], keep(states["residual"]))
        for component in components:
            for module in modules_of(decoder, component):
                hooks.on_output(module, keep(states[component]))
        yield states


def place(component: Component, layer: int) -> int:
    """Return where a layer's states are in `States`."""
    return layer + 1 if component == "residual" else layer

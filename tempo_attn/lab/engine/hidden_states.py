"""What leaves the layers of a decoder, their attention and their MLPs; written over, or kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn

from tempo_attn.attention.hidden_states import states_of
from tempo_attn.errors import UnsupportedModelError
from tempo_attn.lab.engine.model_under_study import RowsLeftOut
from tempo_attn.lab.engine.prefill import Decoder

Component = Literal["residual", "attention", "mlp"]
COMPONENTS: tuple[Component, ...] = ("residual", "attention", "mlp")
States = dict[Component, list[Tensor]]
"""By component and layer: (items, tokens from a start on, width). What enters the first layer comes
first in the residual stream; see `place`."""
Change = Callable[[Tensor], Tensor]
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
        components: Of which.
        start: The first position that is kept.
        n_tokens: Positions of the forward.

    Raises:
        UnsupportedModelError: In the forward: a layer gives no states of (batch, tokens, width).
        RowsLeftOut: Likewise: a layer ran for the last rows only.
    """
    states: States = {component: [] for component in components}
    hooks = []

    def keep(kept: list[Tensor]) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            found = states_of(module, output)
            if found.shape[1] < n_tokens:
                raise RowsLeftOut
            # A copy: a slice would keep all positions in memory.
            kept.append(found[:, start:].clone())

        return hook

    try:
        if "residual" in components:
            enter = keep(states["residual"])
            first = decoder.layers[0]
            hooks.append(
                first.register_forward_pre_hook(
                    lambda module, args, kwargs: enter(module, args, entering(args, kwargs)),
                    with_kwargs=True,
                    prepend=True,  # as the prefill is remembered: before the hooks of others
                )
            )
        for component in components:
            for module in modules_of(decoder, component):
                hooks.append(module.register_forward_hook(keep(states[component])))
        yield states
    finally:
        for handle in hooks:
            handle.remove()


def entering(args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Return the hidden states that a layer is called with."""
    return args[0] if args else kwargs["hidden_states"]


def with_entering(args: Any, kwargs: Mapping[str, Any], states: Tensor) -> Any:
    """Return a layer's arguments with other hidden states."""
    if args:
        return (states, *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": states}


def place(component: Component, layer: int) -> int:
    """Return where a layer's states are in `States`."""
    return layer + 1 if component == "residual" else layer


@contextmanager
def changing_input(layer: nn.Module, change: Change) -> Iterator[None]:
    """Change what enters a layer in every forward inside the context; see `changing`."""

    def hook(module: nn.Module, args: Any, kwargs: Any) -> Any:
        states = states_of(module, entering(args, kwargs))
        return with_entering(args, kwargs, change(states))

    handle = layer.register_forward_pre_hook(hook, with_kwargs=True, prepend=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def changing(module: nn.Module, change: Change) -> Iterator[None]:
    """Change what leaves a module in every forward inside the context.

    Args:
        module: A layer, or its attention or MLP.
        change: Returns the new states of old ones, (batch, tokens, width).
    """

    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        new = change(states_of(module, output))
        return (new, *output[1:]) if isinstance(output, tuple) else new

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()

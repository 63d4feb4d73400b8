"""Hidden states that enter and leave a module, and hooks that read or change them.

A module is a decoder layer, or its attention or MLP. Hidden states are (batch, tokens, width).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tempo_attn.errors import UnsupportedModelError

Visit = Callable[[Tensor], Tensor | None]
"""Is shown hidden states; returns others to put in their place, or None to leave them."""


def states_of(module: nn.Module, output: Any) -> Tensor:
    """Return the hidden states in a module's output.

    Raises:
        UnsupportedModelError: The output has no states of (batch, tokens, width).
    """
    return _checked(module, output[0] if isinstance(output, tuple) else output, "gives")


def with_states(output: Any, states: Tensor) -> Any:
    """Return a module's output with other hidden states; the rest of a tuple stays."""
    return (states, *output[1:]) if isinstance(output, tuple) else states


def entering(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> Tensor:
    """Return the hidden states that a module is called with.

    Raises:
        UnsupportedModelError: It is called with no states of (batch, tokens, width).
    """
    return _checked(module, args[0] if args else kwargs.get("hidden_states"), "is called with")


def with_entering(args: Any, kwargs: Mapping[str, Any], states: Tensor) -> tuple[Any, Any]:
    """Return the arguments of a module's call with other hidden states."""
    if args:
        return (states, *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": states}


class StateHooks:
    """Hooks on the hidden states of modules; all of them come off together.

    They come off with `remove`, or where a `with` block ends, also after an error.

    Example:
        >>> import torch
        >>> layer, seen = nn.Identity(), []
        >>> with StateHooks() as hooks:
        ...     hooks.on_output(layer, seen.append)
        ...     _ = layer(torch.zeros(1, 2, 3))
        >>> [states.shape for states in seen]
        [torch.Size([1, 2, 3])]
    """

    def __init__(self) -> None:
        self._hooks = ExitStack()

    def on_input(self, module: nn.Module, visit: Visit) -> None:
        """Show what enters a module to `visit`, before the hooks that are there already."""

        def hook(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> Any:
            new = visit(entering(module, args, kwargs))
            return None if new is None else with_entering(args, kwargs, new)

        self.add(module.register_forward_pre_hook(hook, with_kwargs=True, prepend=True))

    def on_output(
        self, module: nn.Module, visit: Visit, *, only_if: Callable[[], bool] | None = None
    ) -> None:
        """Show what leaves a module to `visit`, after the hooks that are there already.

        Args:
            module: The module.
            visit: Is shown the states of each call.
            only_if: Is asked first in each call; where it says no, the output is not looked at.
        """

        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            if only_if is not None and not only_if():
                return None
            new = visit(states_of(module, output))
            return None if new is None else with_states(output, new)

        self.add(module.register_forward_hook(hook))

    def add(self, handle: RemovableHandle) -> None:
        """Take charge of another hook of torch's."""
        self._hooks.callback(handle.remove)

    def remove(self) -> None:
        """Take all hooks off."""
        self._hooks.close()

    def __enter__(self) -> StateHooks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


def _checked(module: nn.Module, states: Any, verb: str) -> Tensor:
    if not isinstance(states, Tensor) or states.dim() != 3:
        found = tuple(states.shape) if isinstance(states, Tensor) else type(states).__name__
        raise UnsupportedModelError(
            f"{type(module).__name__} {verb} {found}; expected states of (batch, tokens, width)"
        )
    return states

"""One prefill, remembered: what enters each decoder layer behind a position, its keys and values.

With these, any layer can be run again on some rows alone (`RunAgain`), which is what makes a sweep
fast. It holds for decoders whose layers take hidden states (batch, tokens, width) one after another
and attend to keys of their own; what is found otherwise is an `UnsupportedModelError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from tempo_attn.attention.edited_attention import Attention, AttentionCall, LayerTakeover
from tempo_attn.attention.hidden_states import StateHooks, states_of
from tempo_attn.errors import AdapterError, UnsupportedModelError
from tempo_attn.families import Family
from tempo_attn.runtime.forward_call import arguments, refuse_compiled
from tempo_attn.runtime.key_value_cache import CACHE_NAMES

Run = Callable[[int, AttentionCall], Attention]

_BY_ROW = ("position_embeddings", "position_embeddings_global", "position_embeddings_local")
_MASKS = ("attention_mask", "padding_mask")
_DROPPED = (*_MASKS, *CACHE_NAMES, "past_key_value", "use_cache", "cache_position")


@dataclass
class LayerState:
    """One layer of a prefill.

    Attributes:
        hidden: (items, suffix, width): what enters the layer, from `Prefill.start` on.
        arguments: Its further arguments by name.
        call: Its attention call; keys and values are those of all positions.
    """

    hidden: Tensor
    arguments: Mapping[str, Any]
    call: AttentionCall


@dataclass
class Prefill:
    """A remembered prefill.

    Attributes:
        start: Position from which hidden states are kept.
        n_tokens: Number of positions.
        layers: Its layers.
        output: (items, suffix, width): what leaves the last layer.
        n_before: Positions whose keys and values were in a cache before it; `start` is behind
            them, and the layers' arguments and masks begin there.
    """

    start: int
    n_tokens: int
    layers: list[LayerState]
    output: Tensor
    n_before: int = 0

    def entering(self, layer: int) -> Tensor:
        """Return what enters a layer, or leaves the last one."""
        return self.layers[layer].hidden if layer < len(self.layers) else self.output


class Decoder:
    """The layers of a model's decoder, with their attention in the laboratory's hands.

    Args:
        model: The model; not wrapped.
        family: Its family.

    Attributes:
        layers: The decoder's layers.
        attentions: The attention module of each; None where it has none.
        without_attention: The layers that have none.

    Raises:
        AdapterError: An edit is on the model.
        UnsupportedModelError: Its attention is compiled.
    """

    def __init__(self, model: nn.Module, family: Family) -> None:
        attentions = family.attentions(model)
        if any(hasattr(attention, "_tempo_edit") for attention in attentions):
            raise AdapterError("the model is wrapped with an edit: unload() it first")
        refuse_compiled(model, attentions)
        self._family = family
        self.attentions: list[Any] = attentions
        self.without_attention = [n for n, module in enumerate(attentions) if module is None]
        layers: Any = family.decoder(model).layers
        self.layers: list[nn.Module] = list(layers)
        self._run: Run | None = None

    @contextmanager
    def in_hand(self) -> Iterator[None]:
        """Send attention of every layer through `attending` inside the context."""
        undo = []
        try:
            for layer, attention in enumerate(self.attentions):
                if attention is None:
                    continue
                attention._tempo_edit = LayerTakeover(layer, self._attend)
                undo.append(self._family.redirect(attention))
            yield
        finally:
            for back in undo:
                back()
            for attention in self.attentions:
                if hasattr(attention, "_tempo_edit"):
                    del attention._tempo_edit

    @contextmanager
    def attending(self, run: Run) -> Iterator[None]:
        """Let `run` work out the attention of every layer inside the context."""
        before, self._run = self._run, run
        try:
            yield
        finally:
            self._run = before

    @contextmanager
    def leaving(self) -> Iterator[list[Tensor]]:
        """Collect what leaves the last layer in every forward inside the context."""
        outputs: list[Tensor] = []
        with StateHooks() as hooks:
            hooks.on_output(self.layers[-1], outputs.append)
            yield outputs

    def _attend(self, layer: int, call: AttentionCall) -> Attention:
        return call.base() if self._run is None else self._run(layer, call)

    def remember(
        self, forward: Callable[[], Any], start: int, n_before: int = 0
    ) -> tuple[Prefill, Any]:
        """Run one prefill and remember it from a position on.

        Args:
            forward: Calls the model, without a cache, or with one that holds `n_before` positions.
            start: The first position whose hidden states are kept; none of those in a cache.
            n_before: Positions in the cache.

        Returns:
            The prefill, and what `forward` returned.

        Raises:
            UnsupportedModelError: The decoder's layers cannot be run one by one.
        """
        if self.without_attention:
            raise UnsupportedModelError(
                f"layers {self.without_attention} have no attention (they are of another kind, "
                "such as a state-space layer)"
            )
        n_layers = len(self.layers)
        inputs: list[tuple[Tensor, Mapping[str, Any]]] = []
        lengths: list[int] = []
        calls: dict[int, AttentionCall] = {}

        def enter(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
            named = arguments(module, args, kwargs)
            hidden = named.pop("hidden_states", None)
            if not isinstance(hidden, Tensor) or hidden.dim() != 3:
                raise UnsupportedModelError(
                    f"{type(module).__name__} is not called with hidden states of the shape "
                    "(batch, tokens, width)"
                )
            lengths.append(hidden.shape[1])
            # A copy: a slice would keep all positions in memory.
            inputs.append((hidden[:, start - n_before :].clone(), named))

        def attend(layer: int, call: AttentionCall) -> Attention:
            calls[layer] = call
            return call.base()

        with StateHooks() as hooks, self.attending(attend), self.leaving() as outputs:
            for layer in self.layers:
                # First of all hooks: those of others will run again when the layer does.
                hooks.add(layer.register_forward_pre_hook(enter, with_kwargs=True, prepend=True))
            returned = forward()
        if len(inputs) != n_layers or len(calls) != n_layers or len(outputs) != 1:
            raise UnsupportedModelError(
                f"{len(inputs)} of {n_layers} decoder layers and {len(calls)} attention calls were "
                "seen in one forward"
            )
        n_tokens = n_before + lengths[0]
        for at, call in calls.items():
            if call.key.shape[2] != n_tokens or call.query.shape[2] != lengths[0]:
                raise UnsupportedModelError(
                    f"layer {at} has {call.query.shape[2]} queries and {call.key.shape[2]} keys "
                    f"for {lengths[0]} of {n_tokens} positions"
                )
        states = [
            LayerState(hidden, named, _without_query(calls[layer]))
            for layer, (hidden, named) in enumerate(inputs)
        ]
        output = outputs[0][:, start - n_before :].clone()
        return Prefill(start, n_tokens, states, output, n_before), returned

    def run_again(self, layer: int, state: LayerState, hidden: Tensor, rows: Tensor) -> Tensor:
        """Run one layer on some rows; attention is what `attending` says.

        Args:
            layer: The layer.
            state: What the prefill remembers of it.
            hidden: (items * variants, rows, width), item by item.
            rows: (items, rows): the rows' positions among those that the prefill ran.

        Returns:
            What leaves the layer, of the shape of `hidden`.
        """
        times = len(hidden) // len(rows)
        named = {
            name: _at_rows(name, value, rows, times)
            for name, value in state.arguments.items()
            if name not in _DROPPED
        }
        named |= {name: None for name in _MASKS if name in state.arguments}
        return states_of(self.layers[layer], self.layers[layer](hidden, **named))


def _without_query(call: AttentionCall) -> AttentionCall:
    """Keep of a call what running again needs."""

    def gone() -> Attention:
        raise AssertionError("a remembered call has no kernel")

    return replace(call, base=gone, query=call.query[:, :, :0].clone())


def _at_rows(name: str, value: Any, rows: Tensor, times: int) -> Any:
    """Return a layer's argument for some rows of every item, `times` each."""
    if name in _BY_ROW and value is not None:
        parts = tuple(_gather(part, rows, times, axis=-2) for part in value)
        return parts
    if name == "position_ids" and value is not None:
        return _gather(value, rows, times, axis=-1)
    if name == "per_layer_input" and value is not None:
        return _gather(value, rows, times, axis=-2)
    if isinstance(value, (Tensor, dict)) or (
        isinstance(value, (tuple, list)) and any(isinstance(part, Tensor) for part in value)
    ):
        raise UnsupportedModelError(f"its layers take {name!r}, which cannot be told by row")
    return value


def _gather(value: Tensor, rows: Tensor, times: int, axis: int) -> Tensor:
    """Choose rows along the tokens' axis; the axis before it is the batch (1 or all items)."""
    axis = value.dim() + axis
    if axis < 1:  # no batch: the same for all items
        value = value.unsqueeze(0)
        axis += 1
    shape = list(value.shape)
    shape[axis - 1] = len(rows)
    view = [1] * value.dim()
    view[axis - 1], view[axis] = rows.shape
    index_shape = [*shape[:axis], rows.shape[1], *shape[axis + 1 :]]
    index = rows.to(value.device).view(view).expand(index_shape)
    chosen = value.expand(shape).gather(axis, index)
    return chosen.repeat_interleave(times, axis - 1)

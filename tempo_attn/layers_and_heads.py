"""Layer and head numbers of a decoder: counted from the end, checked against its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from tempo_attn import config_fields as check
from tempo_attn.errors import ConfigError

Layers = Sequence[int] | Literal["all"]
Heads = Sequence[int] | Mapping[int, Sequence[int]] | None


def layer_number(layer: int, n_layers: int, model: str = "this model") -> int:
    """Return the number of a layer from 0; negative ones count from the end.

    Args:
        layer: The layer, from `-n_layers` to `n_layers - 1`.
        n_layers: Layers of the decoder.
        model: What an error calls the model.

    Raises:
        ConfigError: There is no such layer.
    """
    if not -n_layers <= layer < n_layers:
        raise ConfigError(
            f"layers: layer {layer} is out of range: {model} has {n_layers} layers; "
            f"expected 0 to {n_layers - 1}, or -{n_layers} to -1 from the end"
        )
    return layer % n_layers


def layer_numbers(layers: Layers, n_layers: int, model: str = "this model") -> list[int]:
    """Return the numbers of some layers, ascending, from 0; see `layer_number`.

    Raises:
        ConfigError: A layer is out of range, or named twice (as 27 and as -1).
    """
    if isinstance(layers, str):
        return list(range(n_layers))
    numbers = [layer_number(layer, n_layers, model) for layer in layers]
    if len(set(numbers)) < len(numbers):
        raise check.wrong("layers", layers, f"every layer of {n_layers} once")
    return sorted(numbers)


def heads_by_layer(
    heads: Heads, layers: Layers, n_layers: int, n_heads: int, model: str = "this model"
) -> dict[int, list[int] | None]:
    """Return the query heads of every layer; None for all of them.

    Args:
        heads: None for all, a list for every layer, or lists by layer, where a layer without an
            entry has all its heads.
        layers: The layers.
        n_layers: Layers of the decoder.
        n_heads: Query heads of each layer.
        model: What an error calls the model.

    Raises:
        ConfigError: A layer or head is out of range, or a layer has two entries.
    """
    by_layer: dict[int, list[int] | None] = dict.fromkeys(layer_numbers(layers, n_layers, model))
    if isinstance(heads, Mapping):
        named = {layer_number(layer, n_layers, model): list(h) for layer, h in heads.items()}
        if len(named) < len(heads):
            raise check.wrong("heads", heads, f"every layer of {n_layers} once")
        by_layer |= named
    elif heads is not None:
        by_layer = {layer: list(heads) for layer in by_layer}
    for layer, of_layer in by_layer.items():
        for head in of_layer or ():
            if head >= n_heads:
                raise ConfigError(
                    f"heads: head {head} of layer {layer} is out of range: {model} has "
                    f"{n_heads} query heads a layer; expected 0 to {n_heads - 1}"
                )
    return by_layer

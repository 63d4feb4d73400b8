"""What a configuration's layers, heads, source and directions are in one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from tempo_attn.directions import Directions
from tempo_attn.errors import ConfigError
from tempo_attn.layers_and_heads import heads_by_layer, layer_number, layer_numbers


class InAModel:
    """The part of `AttnScaleConfig` that brings its fields together with a decoder's size."""

    layers: Sequence[int] | Literal["all"]
    heads: Sequence[int] | Mapping[int, Sequence[int]] | None
    source: int | None
    directions: Directions | None
    base_model_name_or_path: str | None

    def resolve_layers(self, n_layers: int) -> list[int]:
        """Return the edited layers of a decoder with `n_layers` layers, ascending, from 0.

        Raises:
            ConfigError: A layer is out of range, or named twice (as 27 and as -1).
        """
        return layer_numbers(self.layers, n_layers, self._base())

    def resolve_source(self, n_layers: int) -> int:
        """Return the layer whose states mode `enrich` mixes in, from 0.

        Raises:
            ConfigError: It is out of range, or not before every edited layer.
        """
        assert self.source is not None
        source = layer_number(self.source, n_layers, self._base())
        layers = self.resolve_layers(n_layers)
        if source >= layers[0]:
            raise ConfigError(
                f"source is layer {source} and layer {layers[0]} is edited; expected a source "
                "before every edited layer"
            )
        return source

    def resolve_directions(self, n_layers: int, width: int | None) -> Directions:
        """Return the directions of mode `steer`, which fit a decoder.

        Args:
            n_layers: Layers of the decoder.
            width: Components of its states; None where that is not known.

        Raises:
            ConfigError: They are not loaded, an edited layer has none, or states have another
                width.
        """
        assert self.directions is not None
        self.directions.require(self.resolve_layers(n_layers), width, self._base())
        return self.directions

    def resolve_heads(self, n_layers: int, n_heads: int) -> dict[int, list[int] | None]:
        """Return the edited query heads of every edited layer; None for all of them.

        Raises:
            ConfigError: A layer or head is out of range, or a layer has two entries.
        """
        return heads_by_layer(self.heads, self.layers, n_layers, n_heads, self._base())

    def _base(self) -> str:
        """Return what an error calls the model."""
        name = self.base_model_name_or_path
        return "this model" if name is None else f"this model (the edit is for {name})"

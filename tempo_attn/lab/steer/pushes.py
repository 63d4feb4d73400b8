"""What is tried: pushes along each layer's direction, and along random ones of the same size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tempo_attn.config_fields import strength as checked_strength
from tempo_attn.directions import Directions
from tempo_attn.errors import ConfigError, RunFolderError
from tempo_attn.files.json_types import misfit
from tempo_attn.layers_and_heads import layer_numbers


@dataclass(frozen=True, kw_only=True)
class Push:
    """One way to move the states of one option's name.

    Attributes:
        layers: Layers whose states are moved, ascending.
        strength: alpha. Above 0 the option is pushed to where it wins: earlier where the question
            is which event is earliest, later where it is which is latest. Below 0 the other way.
        draw: 0 for the direction itself; random directions of the same size count from 1.
    """

    layers: tuple[int, ...]
    strength: float
    draw: int = 0

    @property
    def name(self) -> str:
        """The push in words."""
        layers = "+".join(map(str, self.layers))
        along = "" if self.draw == 0 else f", random direction {self.draw}"
        return f"layer {layers}, {self.strength:+g}{along}"

    def to_dict(self) -> dict[str, Any]:
        """Return the push as JSON data."""
        return asdict(self) | {"layers": list(self.layers)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Push:
        """Read what `to_dict` wrote.

        Raises:
            RunFolderError: It is no push.
        """
        if wrong := misfit(data, cls):
            raise RunFolderError(f"no push of a run of tempo steer: {wrong}")
        return cls(**{**data, "layers": tuple(data["layers"])})


def pushes(
    directions: Directions,
    layer_sets: Sequence[Sequence[int]],
    strengths: Sequence[float],
    n_random: int,
    n_layers: int,
) -> list[Push]:
    """Return every push, each followed by those along random directions.

    Args:
        directions: The direction of each layer.
        layer_sets: Layers that are steered at once; negative ones count from the end.
        strengths: alpha; every one but 0, which is the control and runs anyway.
        n_random: Random directions beside each.
        n_layers: Layers of the decoder.

    Raises:
        ConfigError: There is nothing to try, something is named twice, or a layer has no direction.
    """
    if not layer_sets or not strengths:
        raise ConfigError("there is nothing to try: expected at least one layer and one strength")
    numbers = [checked_strength("strengths", strength, "steer") for strength in strengths]
    if 0 in numbers:
        raise ConfigError(
            "strength 0 changes nothing; leave it out: it is run anyway, as the control"
        )
    sets = [tuple(layer_numbers(list(layers), n_layers)) for layers in layer_sets]
    for name, values in (("layers", sets), ("strengths", numbers)):
        twice = next((one for one in values if list(values).count(one) > 1), None)
        if twice is not None:
            raise ConfigError(f"{name}: {twice} is named twice; name it once")
    for layers in sets:
        directions.require(layers)
    return [
        Push(layers=layers, strength=strength, draw=draw)
        for layers in sets
        for strength in numbers
        for draw in range(n_random + 1)
    ]


class Steps:
    """What strength 1 adds to the states of each layer, along a direction or a random one.

    Random ones are as long as the layer's direction, one for all items, and depend on the seed,
    the layer and the number of the draw alone.

    Args:
        directions: The direction of each layer.
        seed: Seed of the random ones.
    """

    def __init__(self, directions: Directions, seed: int) -> None:
        self._directions = directions
        self._seed = seed
        self._made: dict[tuple[int, int], Tensor] = {}

    def of(self, layer: int, draw: int, like: Tensor) -> Tensor:
        """Return what is added, (width,), float32 on the device of `like`."""
        key = layer, draw
        if key not in self._made or self._made[key].device != like.device:
            self._made[key] = torch.tensor(self._step(layer, draw), device=like.device)
        return self._made[key]

    def _step(self, layer: int, draw: int) -> Any:
        step = self._directions.step(layer)
        if draw == 0:
            return step
        drawn = np.random.default_rng([self._seed, layer, draw]).standard_normal(len(step))
        size = np.linalg.norm(step.astype(float)) / np.linalg.norm(drawn)
        return (size * drawn).astype(np.float32)

"""Directions that hidden states are steered along: one a layer, in a file beside a configuration.

Mode `steer` adds `alpha * rho * d` to states: d is a layer's direction and rho the usual norm of
the states that leave it. A configuration is a few hundred bytes of JSON; its directions lie beside
it in a safetensors file, which holds numbers and no code, and the configuration names the SHA-256
of that file's bytes.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tempo_attn.errors import ConfigError
from tempo_attn.files.strict_json import read_bounded

DIRECTIONS_NAME = "attn_scale_directions.safetensors"
"""The file's name, fixed: a configuration of a stranger's cannot point anywhere else."""
MAX_DIRECTIONS_BYTES = 2**25
"""32 MiB: a thousand layers of 8,192 components, in 32 bits."""
_METADATA = {"format": "tempo_directions"}  # one entry: the order of several is not defined
_NAME = re.compile(r"(direction|rho)\.(0|[1-9][0-9]{0,5})", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)

Vector = npt.NDArray[np.float32]


class Directions:
    """One direction and one norm a layer; never changes.

    What is compared is the SHA-256 of the file. A configuration that was read from JSON text alone
    knows this hash and not the directions: `loaded` is then False.

    Example:
        >>> directions = Directions.of({3: [0.0, 1.0]}, {3: 2.5})
        >>> directions.layers, directions.width, directions.rho(3)
        ([3], 2, 2.5)
        >>> Directions.from_bytes(directions.data, "a file") == directions
        True
    """

    def __init__(
        self, sha256: str, data: bytes | None, tensors: Mapping[int, tuple[Vector, float]]
    ) -> None:
        self._sha256 = sha256
        self._data = data
        self._tensors = tensors

    @classmethod
    def of(cls, vectors: Mapping[int, Any], rhos: Mapping[int, float]) -> Directions:
        """Make directions of numbers.

        Args:
            vectors: The direction of each layer, (width,), by layer from 0. Its length is part of
                the edit: usually 1.
            rhos: The usual norm of the states that leave each of these layers.

        Raises:
            ConfigError: There is no layer, the two have other layers, or numbers are wrong.
        """
        from safetensors.numpy import save

        if set(vectors) != set(rhos):
            raise ConfigError(
                f"directions are of the layers {sorted(vectors)} and norms of {sorted(rhos)}; "
                "expected the same layers"
            )
        tensors = {}
        for layer in sorted(vectors):
            tensors[f"direction.{layer}"] = np.array(vectors[layer], dtype=np.float32)
            tensors[f"rho.{layer}"] = np.array(rhos[layer], dtype=np.float32)
        return cls.from_bytes(save(tensors, _METADATA), "the directions")

    @classmethod
    def named(cls, sha256: object) -> Directions:
        """Return directions of which only the hash is known.

        Raises:
            ConfigError: It is no SHA-256.
        """
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            shown = f"{str(sha256)[:80]!r}"
            raise ConfigError(
                f"directions is {shown}; expected the SHA-256 of {DIRECTIONS_NAME}: 64 of 0-9, a-f"
            )
        return cls(sha256, None, {})

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Directions:
        """Read the bytes of a file.

        Args:
            data: The file's bytes.
            where: What they are, for messages: a path.

        Raises:
            ConfigError: They are too many, no safetensors file, or hold anything but one direction
                and one norm a layer, all of the same width and finite.
        """
        if len(data) > MAX_DIRECTIONS_BYTES:
            raise ConfigError(
                f"{where}: {len(data):,} bytes; expected at most {MAX_DIRECTIONS_BYTES:,}"
            )
        from safetensors import SafetensorError, deserialize

        try:
            found = dict(deserialize(data))  # type: ignore[no-untyped-call]
        except (SafetensorError, ValueError, KeyError) as error:
            raise ConfigError(
                f"{where}: no safetensors file ({str(error)[:200]!r}); it may be cut short: fetch "
                "or save it again"
            ) from error
        return cls(hashlib.sha256(data).hexdigest(), data, _by_layer(found, where))

    @classmethod
    def read(cls, path: Path, sha256: str) -> Directions:
        """Read a file, which must be the one that a configuration names.

        Args:
            path: The file.
            sha256: The SHA-256 that the configuration has.

        Raises:
            ConfigError: The file is missing, wrong, or another one.
        """
        data = read_bounded(path, MAX_DIRECTIONS_BYTES, "a safetensors file of directions")
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise ConfigError(
                f"{path}: its SHA-256 is {found}, and the configuration beside it names {sha256}: "
                "one of the two was changed or is cut short. Fetch or save both again"
            )
        return cls.from_bytes(data, str(path))

    @classmethod
    def checked(cls, value: object, layers: Sequence[int] | str, mode: str) -> Directions:
        """Return a configuration's directions, or the hash that its JSON has.

        Args:
            value: Directions, or the SHA-256 of their file.
            layers: The layers that are steered.
            mode: The configuration's mode, for messages.

        Raises:
            ConfigError: There are none, it is no SHA-256, or a layer has no direction.
        """
        if value is None:
            raise ConfigError(
                "directions is None; expected Directions, one for each steered layer: mode "
                f"{mode!r} needs them"
            )
        found = value if isinstance(value, Directions) else cls.named(value)
        # Layers that count from the end are told when there is a model.
        if found.loaded and not isinstance(layers, str):
            found.require([layer for layer in layers if layer >= 0])
        return found

    def require(
        self, layers: Sequence[int], width: int | None = None, model: str = "this model"
    ) -> None:
        """Check that layers have directions, and states the same width.

        Args:
            layers: Numbers of layers, from 0.
            width: Components of the model's states; None for any.
            model: What an error calls the model.

        Raises:
            ConfigError: A layer has none, the width is another, or they are not loaded.
        """
        own = self.width
        missing = [layer for layer in layers if layer not in self._tensors]
        if missing:
            raise ConfigError(
                f"layer {missing[0]} is steered and has no direction; directions are of the "
                f"layers {self.layers}"
            )
        if width is not None and own != width:
            raise ConfigError(
                f"directions have {own} components, and the states of {model} {width}: they were "
                "made for another model"
            )

    # ------------------------------------------------------------------ what they are

    @property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        return self._sha256

    @property
    def loaded(self) -> bool:
        """Whether the directions themselves are known, and not only their hash."""
        return self._data is not None

    @property
    def data(self) -> bytes:
        """The file's bytes.

        Raises:
            ConfigError: Only the hash is known.
        """
        if self._data is None:
            raise ConfigError(
                f"the directions {self._sha256[:12]} are not loaded: the configuration was read "
                f"without {DIRECTIONS_NAME}. Read both, by AttnScaleConfig.from_pretrained(folder)"
            )
        return self._data

    @property
    def layers(self) -> list[int]:
        """The layers that have a direction, ascending."""
        return list(self._tensors)

    @property
    def width(self) -> int:
        """Components of a state."""
        assert self.data
        return len(next(iter(self._tensors.values()))[0])

    def vector(self, layer: int) -> Vector:
        """Return the direction of a layer, (width,); read only."""
        return self._tensors[layer][0]

    def rho(self, layer: int) -> float:
        """Return the usual norm of the states that leave a layer."""
        return self._tensors[layer][1]

    def step(self, layer: int) -> Vector:
        """Return what strength 1 adds to a state: rho times the direction, (width,)."""
        found: Vector = np.float32(self.rho(layer)) * self.vector(layer)
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Directions) and other._sha256 == self._sha256

    def __hash__(self) -> int:
        return hash(self._sha256)

    def __repr__(self) -> str:
        what = f"layers={self.layers}, width={self.width}" if self.loaded else "not loaded"
        return f"Directions({what}, sha256={self._sha256[:12]}...)"

    def __copy__(self) -> Directions:
        return self

    def __deepcopy__(self, memo: object) -> Directions:
        return self


def _by_layer(found: Mapping[str, Any], where: str) -> dict[int, tuple[Vector, float]]:
    """Check the tensors of a file, and return direction and norm by layer, ascending."""
    parts: dict[str, dict[int, Vector]] = {"direction": {}, "rho": {}}
    for name, tensor in found.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise ConfigError(
                f"{where}: has a tensor {name[:80]!r}; expected direction.LAYER and rho.LAYER only"
            )
        if tensor["dtype"] != "F32":
            raise ConfigError(f"{where}: {name} is {tensor['dtype']}; expected F32")
        # Of bytes, which cannot be written to.
        values = np.frombuffer(bytes(tensor["data"]), dtype="<f4").reshape(tensor["shape"])
        if not np.isfinite(values).all():
            raise ConfigError(f"{where}: {name} has numbers that are not finite")
        parts[match[1]][int(match[2])] = values
    directions, rhos = parts["direction"], parts["rho"]
    if not directions or set(directions) != set(rhos):
        raise ConfigError(
            f"{where}: has directions of the layers {sorted(directions)} and norms (rho) of "
            f"{sorted(rhos)}; expected both of the same layers, at least one"
        )
    width = directions[min(directions)].shape
    for layer in sorted(directions):
        shape, rho = directions[layer].shape, rhos[layer]
        if len(shape) != 1 or not shape[0] or shape != width:
            raise ConfigError(
                f"{where}: direction.{layer} has the shape {tuple(shape)}; expected (width,), the "
                "same for all layers"
            )
        if rho.shape != () or not float(rho) > 0:
            shown = f"{float(rho):g}" if rho.shape == () else f"of the shape {rho.shape}"
            raise ConfigError(f"{where}: rho.{layer} is {shown}; expected one number above 0")
        length = float(np.linalg.norm(directions[layer].astype(float)))
        if not 0 < length * float(rho) < math.sqrt(np.finfo(np.float32).max):
            raise ConfigError(
                f"{where}: direction.{layer} has the length {length:g}; expected more than 0, and "
                "no more than states can hold"
            )
    return {layer: (directions[layer], float(rhos[layer])) for layer in sorted(directions)}

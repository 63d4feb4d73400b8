"""What a sweep tries: every combination of layers, mode, strength, rows and heads, and its nulls.

Every edit comes with what it must be compared to: a *control* (the same rows and layers recomputed
with an edit that changes nothing, so that 16-bit rounding is not taken for an effect) and, where
asked for, random perturbations of the same size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Literal

from tempo_attn.adaptive import Adaptive
from tempo_attn.config import QUERIES, AttnScaleConfig
from tempo_attn.config_fields import integers, some_of
from tempo_attn.errors import ConfigError
from tempo_attn.files.json_types import misfit
from tempo_attn.layers_and_heads import layer_number, layer_numbers
from tempo_attn.modes import MODES, NULLS, Mode, Null

Role = Literal["edit", "control", "sign", "keys"]
ROWS = (("last",), ("keyword",), ("option",))


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to run the model.

    Attributes:
        layers: Edited decoder layers, ascending from 0.
        rows: Edited query rows, as `AttnScaleConfig.queries`.
        mode: A mode of `AttnScaleConfig`.
        strength: alpha or b; None for knockout.
        heads: Edited query heads; None for all.
        source: For mode "enrich": the layer whose states are mixed in.
        role: "edit"; "control": rows are recomputed, nothing is changed; "sign": the edit's change
            of each logit (or, in mode "enrich", of each component of the state) with a random
            sign; "keys": the edit on as many random keys that are not
            audio (or all of these, where there are fewer).
        adaptive: Threshold, low and high strength of an edit whose strength depends on the item's
            confidence (see `Adaptive`); its `strength` is None. It is never run itself, but put
            together of the records of its two strengths: see `lab.sweep.adaptive`.
    """

    layers: tuple[int, ...]
    rows: tuple[str, ...]
    mode: Mode = "scale"
    strength: float | None = None
    heads: tuple[int, ...] | None = None
    role: Role = "edit"
    source: int | None = None
    adaptive: tuple[float, float, float] | None = None

    @property
    def name(self) -> str:
        """The variant in words: `scale 0.5, layer 3, last+keyword`."""
        strength = "" if self.strength is None else f" {self.strength:g}"
        if self.adaptive is not None:
            threshold, low, high = self.adaptive
            strength = f" {low:g} below {threshold:g}, else {high:g}"
        layers = ",".join(map(str, self.layers))
        source = "" if self.source is None else f" from layer {self.source}"
        mode = self.mode if self.adaptive is None else f"adaptive {self.mode}"
        parts = [f"{mode}{strength}{source}", f"layer {layers}", "+".join(self.rows)]
        if self.heads is not None:
            parts.append(f"heads {','.join(map(str, self.heads))}")
        if self.role == "control":
            parts[0] = "control"
        elif self.role != "edit":
            parts.append(f"random {self.role}")
        return ", ".join(parts)

    @property
    def control(self) -> Variant:
        """What this variant is compared to."""
        return replace(self, mode="scale", strength=1.0, role="control", source=None, adaptive=None)

    @property
    def nulls(self) -> tuple[Null, ...]:
        """Which random perturbations there are of it."""
        return MODES[self.mode].nulls

    def null(self, kind: Null) -> Variant:
        """Return the random perturbation of the same size."""
        return replace(self, role=kind)

    def config(self, **fields: Any) -> AttnScaleConfig:
        """Return the edit as a configuration; `fields` are further ones, such as provenance."""
        return AttnScaleConfig(
            mode=self.mode,
            strength=self.strength,
            adaptive=None if self.adaptive is None else Adaptive(*self.adaptive),
            layers=list(self.layers),
            heads=None if self.heads is None else list(self.heads),
            queries=list(self.rows),
            source=self.source,
            **fields,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the variant as JSON data."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {k: v for k, v in values.items() if k not in ("source", "adaptive") or v is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Variant:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: It is no variant.
        """
        if wrong := misfit(data, cls):
            raise ConfigError(f"no variant of a sweep: {wrong}")
        if data.get("mode", "scale") not in MODES:
            raise ConfigError(f"no variant of a sweep: mode is {data['mode']!r}, expected a mode")
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data.items()
        }
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A sweep's grid.

    Attributes:
        strengths: Strengths of each mode; none for knockout.
        layers: "each" layer by itself, "all" at once, or sets of layers.
        rows: Sets of query rows.
        heads: Groups of query heads; None in it stands for all heads.
        nulls: Random perturbations to run beside every edit.
        sources: For mode "enrich": the layers whose states are mixed in, each into every deeper
            layer of the grid.
    """

    strengths: Mapping[Mode, Sequence[float]]
    layers: Literal["each", "all"] | Sequence[Sequence[int]] = "each"
    rows: Sequence[Sequence[str]] = ROWS
    heads: Sequence[Sequence[int] | None] = (None,)
    nulls: Sequence[Null] = ("sign",)
    sources: Sequence[int] = ()

    def variants(self, n_layers: int, n_heads: int) -> list[Variant]:
        """Return every variant for a decoder: controls first, each edit followed by its nulls.

        Raises:
            ConfigError: The grid is empty, or has a value that the decoder or the edit refuses.
        """
        of_states = {mode for mode in self.strengths if mode in MODES and MODES[mode].edits_states}
        if along := [mode for mode in of_states if MODES[mode].states_with == "directions"]:
            raise ConfigError(
                f"mode {along[0]!r} moves states along directions from a file, which a sweep does "
                "not have: run `tempo steer --from TIMELINE`, which tries layers and strengths"
            )
        if of_states and not self.sources:
            raise ConfigError(
                f"mode {min(of_states)!r} needs the layers whose states are mixed in (sources)"
            )
        edits = [
            Variant(
                layers=layers,
                rows=rows,
                mode=mode,
                strength=strength,
                heads=None if mode in of_states else heads,
                source=source,
            )
            for layers, rows, heads, (mode, strength) in product(
                self._layer_sets(n_layers), self._row_sets(), self._head_groups(), self._edits()
            )
            for source in (self._sources(n_layers) if mode in of_states else (None,))
            if source is None or source < layers[0]
        ]
        if not edits:
            raise ConfigError(
                "the grid is empty: it needs at least one layer, one set of rows, one group of "
                f"heads and one strength; found layers {self.layers!r}, rows {self.rows!r}, heads "
                f"{self.heads!r}, strengths {dict(self.strengths)!r}"
                + (f", sources {self.sources!r} before them" if self.sources else "")
            )
        unknown = sorted(set(self.nulls) - set(NULLS))
        if unknown:
            raise ConfigError(f"unknown nulls {unknown}; expected some of {list(NULLS)}")
        for edit in edits:  # checked by the configuration's own rules
            config = edit.config()
            config.resolve_heads(n_layers, n_heads)
            if config.is_identity:
                raise ConfigError(
                    f"{edit.name} changes nothing; leave the neutral strength out: every sweep "
                    "has its recomputed control anyway"
                )
        found: dict[Variant, None] = dict.fromkeys(edit.control for edit in edits)
        for edit in edits:
            kinds = [null for null in self.nulls if null in edit.nulls]
            found |= dict.fromkeys([edit, *(edit.null(kind) for kind in kinds)])
        return list(found)

    def _edits(self) -> Iterator[tuple[Mode, float | None]]:
        for mode, strengths in self.strengths.items():
            if mode not in MODES:
                raise ConfigError(f"unknown mode {mode!r}; expected one of {list(MODES)}")
            if MODES[mode].has_strength:
                yield from ((mode, float(strength)) for strength in strengths)
            else:
                yield mode, None

    def _layer_sets(self, n_layers: int) -> list[tuple[int, ...]]:
        if self.layers == "each":
            return [(layer,) for layer in range(n_layers)]
        if self.layers == "all":
            return [tuple(range(n_layers))]
        sets = [integers("layers", list(layers)) for layers in self.layers]
        return [tuple(layer_numbers(layers, n_layers)) for layers in sets]

    def _sources(self, n_layers: int) -> list[int]:
        # One by one: their order is the grid's.
        numbers = [number for source in self.sources for number in integers("sources", [source])]
        return [layer_number(number, n_layers) for number in numbers]

    def _row_sets(self) -> list[tuple[str, ...]]:
        # The configuration's order, so that "last+keyword" and "keyword+last" are one.
        return [tuple(some_of("queries", list(rows), QUERIES)) for rows in self.rows]

    def _head_groups(self) -> list[tuple[int, ...] | None]:
        return [None if heads is None else tuple(sorted(heads)) for heads in self.heads]

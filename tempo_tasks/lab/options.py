"""Reading the laboratory's command-line options: edits, layers, rows, heads, shards."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from tempo_attn.config import QUERIES
from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import ConfigError
from tempo_attn.lab.engine.engine_choice import ENGINES
from tempo_attn.lab.sweep.grid import Grid, Variant
from tempo_attn.lab.trace.records import DIRECTIONS, Direction
from tempo_attn.modes import MODES, NULLS, Mode, Null

if TYPE_CHECKING:
    from tempo_tasks.lab.check_settings import Size

LayerSets = Literal["each", "all"] | list[tuple[int, ...]]
T = TypeVar("T", bound=str)


def parse_edits(values: Sequence[str]) -> dict[Mode, tuple[float, ...]]:
    """Read `scale=0.5,2`, `upweight=-1,1` or `knockout`; a mode alone has alpha's usual values.

    Raises:
        ConfigError: An unknown mode, or something that is no number.
    """
    found: dict[Mode, tuple[float, ...]] = {}
    for value in values:
        name, given, numbers = value.partition("=")
        mode = _one_of("--edit", name.strip(), tuple(MODES))
        if mode in found:
            raise ConfigError(f"--edit names {mode!r} twice; give all its strengths in one")
        spec = MODES[mode]
        if given and not spec.has_strength:
            raise ConfigError(f"--edit {value}: {mode} has no strength")
        if not given and spec.has_strength and not spec.usual_strengths:
            example = f"{mode}={','.join(f'{number:g}' for number in spec.example_strengths)}"
            raise ConfigError(f"--edit {value}: say the {spec.strengths_are}, as in {example}")
        found[mode] = spec.usual_strengths
        if given:
            found[mode] = tuple(_number(part, value) for part in numbers.split(","))
    return found


def parse_strengths(value: str) -> tuple[float, ...]:
    """Read strengths of scaling: `0.5,2`.

    Raises:
        ConfigError: Something that is no number.
    """
    return tuple(_number(part, value, "--strengths", "0.5,2") for part in value.split(","))


def parse_way(value: str) -> str:
    """Return how variants are run: `auto`, `fast` or `full`.

    Raises:
        ConfigError: Something else.
    """
    return _one_of("--way", value, ENGINES)


def parse_layers(value: str, option: str = "--layers") -> LayerSets:
    """Read `each`, `all`, or single layers and sets: `0,3,10-14,2+3` (a set is edited at once).

    Raises:
        ConfigError: Something else.
    """
    if value == "each" or value == "all":
        return value  # type: ignore[return-value]
    found: list[tuple[int, ...]] = []
    for part in value.split(","):
        if match := re.fullmatch(r"\s*(\d+)-(\d+)\s*", part):
            first, last = int(match[1]), int(match[2])
            if first > last:
                raise ConfigError(f"{option} {value}: {part} runs backwards")
            found += [(layer,) for layer in range(first, last + 1)]
        elif re.fullmatch(r"\s*-?\d+(\+-?\d+)*\s*", part):
            found.append(tuple(int(layer) for layer in part.split("+")))
        else:
            raise ConfigError(
                f"{option} {value}: cannot read {part!r}; expected 'each', 'all', or a list such "
                "as 0,3,10-14,2+3"
            )
    return found


def parse_rows(values: Sequence[str]) -> list[tuple[str, ...]]:
    """Read sets of rows: `last`, `keyword+last`; several values, or one with commas.

    Raises:
        ConfigError: Unknown rows.
    """
    parts = [part for value in values for part in value.split(",")]
    return [
        tuple(_one_of("--rows", name.strip(), QUERIES) for name in part.split("+"))
        for part in parts
    ]


def parse_heads(value: str, n_heads: int) -> list[tuple[int, ...] | None]:
    """Read `all`, `each`, or groups of query heads: `0,1+2`.

    Raises:
        ConfigError: Something else.
    """
    if value == "all":
        return [None]
    if value == "each":
        return [(head,) for head in range(n_heads)]
    if not re.fullmatch(r"\d+(\+\d+)*(,\d+(\+\d+)*)*", value):
        raise ConfigError(f"--heads {value}: expected 'all', 'each', or groups such as 0,1+2")
    return [tuple(int(head) for head in part.split("+")) for part in value.split(",")]


def parse_nulls(value: str) -> list[Null]:
    """Read `none`, or random perturbations: `sign`, `keys`, `sign,keys`."""
    if value == "none":
        return []
    return [_one_of("--nulls", name.strip(), NULLS) for name in value.split(",")]


def parse_sources(value: str) -> list[int]:
    """Read layers: `1,2`, or `0-3`; nothing for none.

    Raises:
        ConfigError: Something else.
    """
    if not value:
        return []
    return _single("--source", value)


def parse_single_layers(value: str) -> list[int] | None:
    """Read `each` as None, or single layers: `0,3,10-14`.

    Raises:
        ConfigError: Something else.
    """
    return None if value == "each" else _single("--layers", value)


def _single(option: str, value: str) -> list[int]:
    sets = parse_layers(value, option)
    if isinstance(sets, str) or any(len(layers) != 1 or layers[0] < 0 for layers in sets):
        raise ConfigError(f"{option} {value}: expected single layers such as 1,2 or 0-3")
    return [layers[0] for layers in sets]


def parse_names(value: str) -> list[str]:
    """Read names with commas."""
    return [name.strip() for name in value.split(",")]


def parse_directions(value: str) -> list[Direction]:
    """Read `recover`, `shift`, or both.

    Raises:
        ConfigError: Something else.
    """
    return [_one_of("--direction", name, DIRECTIONS) for name in parse_names(value)]


def parse_shard(value: str | None) -> tuple[int, int] | None:
    """Read `i/n`: part i, from 0, of n.

    Raises:
        ConfigError: Something else.
    """
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", value)
    if match is None or not int(match[1]) < int(match[2]):
        raise ConfigError(f"--shard {value}: expected i/n with i from 0 to n - 1, such as 0/4")
    return int(match[1]), int(match[2])


def _one_of(option: str, value: str, choices: Sequence[T]) -> T:
    for choice in choices:
        if choice == value:
            return choice
    near = did_you_mean(value, choices)
    raise ConfigError(
        f"{option}: unknown {value!r}; expected one of {', '.join(choices)}" + (near and f".{near}")
    )


def _number(text: str, value: str, option: str = "--edit", example: str = "scale=0.5,2") -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{option} {value}: {text!r} is no number; expected such as {example}")
    return number


@dataclass(frozen=True)
class Requested:
    """A grid as the command line has it; heads wait for the model.

    Attributes:
        edits: As `parse_edits`.
        layers: As `parse_layers`.
        rows: As `parse_rows`.
        heads: As `parse_heads`.
        nulls: As `parse_nulls`.
        sources: As `parse_sources`.
    """

    edits: Sequence[str]
    layers: str
    rows: Sequence[str]
    heads: str
    nulls: str
    sources: str = ""

    def variants(self, size: Size) -> list[Variant]:
        """Return the variants for a decoder of some size."""
        return self.grid(size.n_heads).variants(size.n_layers, size.n_heads)

    def grid(self, n_heads: int) -> Grid:
        """Return the grid for a decoder with so many query heads."""
        return Grid(
            strengths=parse_edits(self.edits),
            layers=parse_layers(self.layers),
            rows=parse_rows(self.rows),
            heads=parse_heads(self.heads, n_heads),
            nulls=parse_nulls(self.nulls),
            sources=parse_sources(self.sources),
        )

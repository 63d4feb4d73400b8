"""Reading the options of the laboratory's commands: what each text means.

Every reader raises `OptionError` with the option's name, what was given and what was expected.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from tempo_attn.config import QUERIES
from tempo_attn.config_fields import some_of
from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import ConfigError, OptionError
from tempo_attn.files.strict_json import parse_json
from tempo_attn.lab.engine.fast_against_full import ENGINES
from tempo_attn.modes import MODES, NULLS, Mode, Null

LayerSets = Literal["each", "all"] | list[tuple[int, ...]]
HeadGroups = Literal["each", "all"] | list[tuple[int, ...]]
T = TypeVar("T", bound=str)


@contextmanager
def wrong_options() -> Iterator[None]:
    """Raise as `OptionError` what an edit or an experiment refuses of what the options asked for.

    Raises:
        OptionError: In place of a `ConfigError`, with its message.
    """
    try:
        yield
    except ConfigError as error:
        raise OptionError(str(error)) from error


def parse_engine(value: str) -> str:
    """Return how variants are run: `auto`, `fast` or `full`.

    Raises:
        OptionError: Something else.
    """
    return parse_name("--engine", value, ENGINES)


# ---------------------------------------------------------------------- strengths


def parse_edits(values: Sequence[str]) -> dict[Mode, tuple[float, ...]]:
    """Read `scale=0.5,2`, `upweight=-1,1` or `knockout`; a mode alone has alpha's usual values.

    Raises:
        OptionError: An unknown mode, or something that is not a number.
    """
    found: dict[Mode, tuple[float, ...]] = {}
    for value in values:
        name, given, numbers = value.partition("=")
        mode = parse_name("--edit", name.strip(), tuple(MODES))
        if mode in found:
            raise OptionError(f"--edit names {mode!r} twice; give all its strengths in one")
        spec = MODES[mode]
        if given and not spec.has_strength:
            raise OptionError(f"--edit {value}: {mode} has no strength")
        if not given and spec.has_strength and not spec.usual_strengths:
            example = f"{mode}={','.join(f'{number:g}' for number in spec.example_strengths)}"
            raise OptionError(f"--edit {value}: say the {spec.strengths_are}, as in {example}")
        found[mode] = spec.usual_strengths
        if given:
            found[mode] = tuple(_number(part, value) for part in numbers.split(","))
    return found


def parse_strengths(value: str) -> tuple[float, ...]:
    """Read strengths of scaling: `0.5,2`.

    Raises:
        OptionError: Something that is not a number.
    """
    return tuple(_number(part, value, "--strengths", "0.5,2") for part in value.split(","))


def _number(text: str, value: str, option: str = "--edit", example: str = "scale=0.5,2") -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"{option} {value}: {text!r} is not a number; expected such as {example}")
    return number


# ---------------------------------------------------------------------- layers, rows and heads


def parse_layers(value: str, option: str = "--layers") -> LayerSets:
    """Read `each`, `all`, or single layers and sets: `0,3,10-14,2+3` (a set is edited at once).

    Raises:
        OptionError: Something else.
    """
    if value == "each" or value == "all":
        return value  # type: ignore[return-value]
    found: list[tuple[int, ...]] = []
    for part in value.split(","):
        if match := re.fullmatch(r"\s*(\d+)-(\d+)\s*", part):
            first, last = int(match[1]), int(match[2])
            if first > last:
                raise OptionError(f"{option} {value}: {part} runs backwards")
            found += [(layer,) for layer in range(first, last + 1)]
        elif re.fullmatch(r"\s*-?\d+(\+-?\d+)*\s*", part):
            found.append(tuple(int(layer) for layer in part.split("+")))
        else:
            raise OptionError(
                f"{option} {value}: cannot read {part!r}; expected 'each', 'all', or a list such "
                "as 0,3,10-14,2+3"
            )
    return found


def parse_layer_set(value: str) -> Literal["all"] | tuple[int, ...]:
    """Read one set of layers: `all`, `3`, or `2+3`.

    Raises:
        OptionError: Something else, or several sets.
    """
    sets = parse_layers(value)
    if sets == "all":
        return "all"
    if isinstance(sets, str) or len(sets) != 1:
        raise OptionError(
            f"--layers {value}: expected one set for all presets, such as 3, 2+3 or all"
        )
    return sets[0]


def parse_single_layers(value: str) -> list[int] | None:
    """Read `each` as None, or single layers: `0,3,10-14`.

    Raises:
        OptionError: Something else.
    """
    return None if value == "each" else _single("--layers", value)


def parse_some_layers(option: str, value: str) -> list[int]:
    """Read layers: `1,2`, or `0-3`; nothing for none.

    Raises:
        OptionError: Something else.
    """
    return _single(option, value) if value else []


def _single(option: str, value: str) -> list[int]:
    sets = parse_layers(value, option)
    if isinstance(sets, str) or any(len(layers) != 1 or layers[0] < 0 for layers in sets):
        raise OptionError(f"{option} {value}: expected single layers such as 1,2 or 0-3")
    return [layers[0] for layers in sets]


def parse_rows(values: Sequence[str], known: Sequence[str] = QUERIES) -> list[tuple[str, ...]]:
    """Read sets of rows: `last`, `keyword+last`; several values, or one with commas.

    Args:
        values: What was given.
        known: Names of rows.

    Raises:
        OptionError: Unknown rows.
    """
    parts = [part for value in values for part in value.split(",")]
    return [
        tuple(parse_name("--rows", name.strip(), known) for name in part.split("+"))
        for part in parts
    ]


def check_rows(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return sets of query rows, named as in the tables, however they are written.

    Raises:
        OptionError: There is none, an unknown name, or a name twice in a set.
    """
    if not rows:
        raise OptionError(f"--rows: no rows are named; expected some of {', '.join(QUERIES)}")
    with wrong_options():
        return [tuple(some_of("--rows", list(names), QUERIES)) for names in rows]


def parse_heads(value: str) -> HeadGroups:
    """Read `all`, `each`, or groups of query heads: `0,1+2`.

    Raises:
        OptionError: Something else.
    """
    if value == "all" or value == "each":
        return value  # type: ignore[return-value]
    if not re.fullmatch(r"\d+(\+\d+)*(,\d+(\+\d+)*)*", value):
        raise OptionError(f"--heads {value}: expected 'all', 'each', or groups such as 0,1+2")
    return [tuple(int(head) for head in part.split("+")) for part in value.split(",")]


def parse_numbers(option: str, value: str) -> list[int]:
    """Read whole numbers from 1: `1,2,4`; ascending, each once.

    Raises:
        OptionError: Something else.
    """
    if not re.fullmatch(r"\s*[1-9]\d*\s*(,\s*[1-9]\d*\s*)*", value):
        raise OptionError(f"{option} {value}: expected whole numbers from 1, such as 1,2,4")
    return sorted({int(part) for part in value.split(",")})


# ---------------------------------------------------------------------- nulls


def parse_nulls(value: str) -> list[Null]:
    """Read `none`, or random perturbations: `sign`, `keys`, `sign,keys`.

    Raises:
        OptionError: Something else.
    """
    return [] if value == "none" else parse_names("--nulls", value, NULLS)


# ---------------------------------------------------------------------- on what


def parse_shard(value: str | None) -> tuple[int, int] | None:
    """Read `i/n`: part i, from 0, of n.

    Raises:
        OptionError: Something else.
    """
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", value)
    if match is None or not int(match[1]) < int(match[2]):
        raise OptionError(f"--shard {value}: expected i/n with i from 0 to n - 1, such as 0/4")
    return int(match[1]), int(match[2])


def parse_metadata(value: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        OptionError: It is not JSON, or not an object.
    """
    try:
        read: Any = parse_json(value)
    except ValueError as error:
        raise OptionError(f"--metadata is not JSON: {error}") from None
    if not isinstance(read, dict):
        raise OptionError(f'--metadata {value}: expected an object such as {{"data": "..."}}')
    return read


# ---------------------------------------------------------------------- names


def parse_names(option: str, value: str, choices: Sequence[T]) -> list[T]:
    """Read names with commas: `option,last`.

    Args:
        option: The option, for the message.
        value: What was given.
        choices: The names that there are.

    Raises:
        OptionError: Something else.
    """
    return [parse_name(option, name.strip(), choices) for name in value.split(",")]


def parse_name(option: str, value: str, choices: Sequence[T]) -> T:
    """Return a name that is one of some.

    Args:
        option: The option, for the message.
        value: What was given.
        choices: The names that there are.

    Raises:
        OptionError: Something else; the message has the nearest ones.
    """
    for choice in choices:
        if choice == value:
            return choice
    near = did_you_mean(value, choices)
    raise OptionError(
        f"{option}: unknown {value!r}; expected one of {', '.join(choices)}" + (near and f".{near}")
    )

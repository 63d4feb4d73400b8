"""Reading the options of the laboratory's commands: what each text means.

Every reader raises `OptionError` with the option's name, what was given and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import ConfigError, OptionError
from tempo_attn.files.strict_json import parse_json
from tempo_attn.lab.engine.engine_choice import ENGINES
from tempo_attn.lab.engine.hidden_states import COMPONENTS
from tempo_attn.lab.lens.run import CANDIDATES
from tempo_attn.lab.presets.published import PRESETS
from tempo_attn.lab.sweep.choose import OBJECTIVES, Objective
from tempo_attn.lab.trace.records import DIRECTIONS, Direction
from tempo_attn.lab.trace.run import METHODS
from tempo_attn.lab.trace.sites import GROUPS
from tempo_tasks.stats.names import KINDS

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
    return one_of("--engine", value, ENGINES)


# ---------------------------------------------------------------------- strengths


# ---------------------------------------------------------------------- layers, rows and heads


# ---------------------------------------------------------------------- what is measured


def parse_directions(value: str) -> list[Direction]:
    """Read `recover`, `shift`, or both.

    Raises:
        OptionError: Something else.
    """
    return names_of("--direction", value, DIRECTIONS)


def parse_components(value: str) -> list[str]:
    """Read what is patched: `residual`, `attention`, `mlp`, or several of them.

    Raises:
        OptionError: Something else.
    """
    return names_of("--components", value, COMPONENTS)


def parse_groups(value: str) -> list[str]:
    """Read groups of positions: `option,last`.

    Raises:
        OptionError: Something else.
    """
    return names_of("--groups", value, GROUPS)


def parse_method(value: str) -> str:
    """Return how a trace measures: `patching`, `attribution` or `both`.

    Raises:
        OptionError: Something else.
    """
    return one_of("--method", value, METHODS)


def parse_presets(value: str) -> list[str]:
    """Read `all`, or names of presets: `mata,pai`.

    Raises:
        OptionError: An unknown preset, or none.
    """
    if value.strip() == "all":
        return list(PRESETS)
    return check_presets(list(dict.fromkeys(part.strip() for part in value.split(","))))


def check_presets(names: Sequence[str]) -> list[str]:
    """Return names of presets.

    Raises:
        OptionError: One is unknown, or there is none.
    """
    for name in names or [""]:
        if name not in PRESETS:
            raise OptionError(
                f"--presets: unknown {name!r}.{did_you_mean(name, PRESETS, 1)}"
                f" Available: all, {', '.join(PRESETS)}"
            )
    return list(names)


def parse_candidates(value: str) -> list[str]:
    """Read what a lens reads: `letters`, `labels`, or both.

    Raises:
        OptionError: Something else.
    """
    return names_of("--candidates", value, CANDIDATES)


def parse_objective(value: str) -> Objective:
    """Return what a chosen edit makes largest: `accuracy` or `margin`.

    Raises:
        OptionError: Something else.
    """
    return one_of("--objective", value, OBJECTIVES)


def parse_kind(value: str | None) -> str | None:
    """Return a kind of question, `eo`, `lo` or `ld`; None for all of them.

    Raises:
        OptionError: Something else.
    """
    return None if value is None else one_of("--kind", value, KINDS)


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


def names_of(option: str, value: str, choices: Sequence[T]) -> list[T]:
    """Return the names in `value`, which commas part; each is one of `choices`."""
    return [one_of(option, name.strip(), choices) for name in value.split(",")]


def one_of(option: str, value: str, choices: Sequence[T]) -> T:
    """Return `value`, which must be one of `choices`.

    Raises:
        OptionError: It is not; the message names the nearest ones.
    """
    for choice in choices:
        if choice == value:
            return choice
    near = did_you_mean(value, choices)
    raise OptionError(
        f"{option}: unknown {value!r}; expected one of {', '.join(choices)}" + (near and f".{near}")
    )

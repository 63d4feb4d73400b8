"""Values of a row as benchmarks write them: lists, JSON in a cell, Python's own lists, objects."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import QuestionError

Row = Mapping[str, Any]
# Of objects that stand for an option, a sound or a clip: where their text is.
_TEXT_KEYS = ("text", "label", "path", "identity")
_LONGEST = 100_000  # characters of a list in a cell; Python's parser recurses


def dig(row: Row, name: str) -> Any:
    """Return the value of a column, or of what a dotted name leads to; None where there is none.

    A list on the way gives a list: `scene.events.text` is the text of every event.
    """
    if name in row:  # also where a column's own name has a dot
        return row[name]
    value: Any = row
    for step in name.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list):
            value = [found.get(step) if isinstance(found, Mapping) else None for found in value]
        else:
            return None
    return value


def first_of(row: Row, names: Sequence[str]) -> Any:
    """Return the value of the first column that has one; None where none has."""
    for name in names:
        value = dig(row, name)
        if value is not None and value != "":
            return value
    return None


def texts(value: Any, what: str) -> list[str]:
    """Return a list of texts from a list, from JSON or Python's notation of one, or from objects.

    Args:
        value: The cell. An object (or its notation) gives its keys.
        what: What the cell is, for messages.

    Raises:
        QuestionError: It is none of these.
    """
    found = [as_text(part) for part in _parts(value, what)]
    missing = [part for part in found if part is None]
    if missing:
        raise QuestionError(f"{what} is {str(value)[:120]!r}; expected a list of texts")
    return [part for part in found if part is not None]


def as_text(value: Any) -> str | None:
    """Return a text, a number as text, or the text of an object; None for anything else."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        for key in _TEXT_KEYS:
            if isinstance(value.get(key), str):
                return str(value[key]).strip()
    return None


def _parts(value: Any, what: str) -> Iterator[Any]:
    if isinstance(value, str):
        value = _parsed(value, what)
    if isinstance(value, Mapping) or (
        isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    ):
        yield from value
    else:
        raise QuestionError(f"{what} is {str(value)[:120]!r}; expected a list of texts")


def _parsed(text: str, what: str) -> Any:
    """Read JSON, or Python's notation of lists and objects of texts and numbers."""
    stripped = text.strip()
    if stripped[:1] not in ("[", "{") or len(stripped) > _LONGEST:
        raise QuestionError(f"{what} is {text[:120]!r}; expected a list, such as JSON has it")
    try:
        return parse_json(stripped)
    except ValueError:
        pass
    try:
        return ast.literal_eval(stripped)  # evaluates notation alone: no name, no call
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise QuestionError(
            f"{what} is {text[:120]!r}; expected a list as JSON or as Python writes it"
        ) from None

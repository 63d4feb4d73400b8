"""In which fields two JSON objects differ, apart from what is only for the reader."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

INFO = "info"
"""What an object holds under this name, at any depth, is for the reader and not compared."""
_NOTHING = object()


def without_info(value: Any) -> Any:
    """Return JSON data without what is only for the reader, at any depth."""
    if isinstance(value, Mapping):
        return {name: without_info(inner) for name, inner in value.items() if name != INFO}
    return value


def differences(one: Any, other: Any, names: tuple[str, str], at: str = "") -> Iterator[str]:
    """Yield a line for every field in which two JSON objects differ.

    Args:
        one: The first object, or a value in it.
        other: The second object, or the value at the same place in it.
        names: What the two objects are called in the lines: "the folder" and "this run".
        at: Dotted name of the field that `one` and `other` are; empty for whole objects.
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted({*one, *other} - {INFO}):
            values = one.get(name, _NOTHING), other.get(name, _NOTHING)
            yield from differences(*values, names, f"{at}.{name}" if at else name)
    elif one != other:
        found = shown(one), shown(other)
        if found[0] == found[1]:  # the difference is in what is cut off
            yield f"{at}: {names[0]} and {names[1]} have different {found[0]}"
        else:
            yield f"{at}: {names[0]} has {found[0]}, {names[1]} has {found[1]}"


def shown(value: Any) -> str:
    """Return JSON data as a message shows them: at most 100 characters."""
    text = "nothing" if value is _NOTHING else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 100 else f"{text[:97]}..."

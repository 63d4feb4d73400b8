"""Where two pieces of JSON data differ, numbers but for rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

TOLERANCE = 1e-9
"""Relative and absolute: other releases of scipy differ in the last digits."""
SHOWN = 60


def differences(ours: Any, theirs: Any, at: str = "") -> list[str]:
    """Return a sentence for each place where data are not what they should be.

    Args:
        ours: What they should be.
        theirs: What they are.
        at: What they are part of, for the sentences.
    """
    return list(_differences(ours, theirs, at))


def _differences(ours: Any, theirs: Any, at: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(ours.keys() | theirs.keys()):
            place = f"{at}.{_short(name)}" if at else _short(name)
            if name not in theirs:
                yield f"{place} is missing"
            elif name not in ours:
                yield f"{place} does not belong there"
            else:
                yield from _differences(ours[name], theirs[name], place)
    elif isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        if len(ours) != len(theirs):
            yield f"{at or 'it'} has {len(theirs)} entries, expected {len(ours)}"
            return
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differences(one, other, f"{at}[{number}]")
    elif not _same(ours, theirs):
        yield f"{at or 'it'} is {_short(repr(theirs))}, expected {_short(repr(ours))}"


def _same(ours: Any, theirs: Any) -> bool:
    numbers = (int, float)
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, numbers) and isinstance(theirs, numbers):
        try:
            return math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        except OverflowError:  # an integer too large for a float
            return False
    return isinstance(theirs, str) == isinstance(ours, str) and bool(ours == theirs)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."

"""Whether JSON data have the types that a dataclass, a TypedDict or a hint says."""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_LISTS = (list, tuple, collections.abc.Sequence)
_DICTS = (dict, collections.abc.Mapping)
# What JSON gives for a type; True is not a number, and 1 is a float.
_PLAIN: Mapping[Any, frozenset[type]] = {
    str: frozenset({str}),
    bool: frozenset({bool}),
    int: frozenset({int}),
    float: frozenset({int, float}),
    type(None): frozenset({type(None)}),
}


def misfit(value: Any, hint: Any, at: str = "") -> str | None:
    """Return where data are not of a type, as "a.b[2] is 'x', expected float"; None where they are.

    Args:
        value: JSON data.
        hint: A plain type, a union, `Literal`, a list or mapping of such, a dataclass or a
            TypedDict; keys of mappings are strings.
        at: What `value` is, for the message.
    """
    plain = _plain(hint)
    if hint is Any or (plain is not None and type(value) in plain):
        return None
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if any(misfit(value, part) is None for part in inner):
            return None
    elif origin is Literal:
        if value in inner:
            return None
    elif origin in _LISTS and isinstance(value, (list, tuple)) and _long_enough(value, hint):
        of = _plain(inner[0])
        if of is not None and set(map(type, value)) <= of:
            return None
        parts = (misfit(part, inner[0], f"{at}[{n}]") for n, part in enumerate(value))
        return next(filter(None, parts), None)
    elif origin in _DICTS and isinstance(value, dict):
        parts = (misfit(part, inner[1], f"{at}.{name}") for name, part in value.items())
        return next(filter(None, parts), None)
    elif plain is None and origin is None and isinstance(value, dict):
        hints, needed = _fields(hint)
        if is_dataclass(hint) and (unknown := sorted(value.keys() - hints.keys())):
            return f"{unknown} are not known" + (f" in {at}" if at else "")
        if missing := sorted(needed - value.keys()):
            return f"{missing} are missing" + (f" in {at}" if at else "")
        parts = (
            misfit(value[name], of, f"{at}.{name}" if at else name)
            for name, of in hints.items()
            if name in value
        )
        return next(filter(None, parts), None)
    expected = getattr(hint, "__name__", None) if origin is None else None
    return f"{at or 'it'} is {repr(value)[:80]}, expected {expected or hint}"


def _long_enough(value: Sequence[Any], hint: Any) -> bool:
    """Return whether a list has the length that the hint of a tuple says; others may have any."""
    fixed = get_origin(hint) is tuple and Ellipsis not in get_args(hint)
    return not fixed or len(value) == len(get_args(hint))


@cache
def _fields(hint: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the hints of a dataclass or TypedDict, and the names that must be there."""
    hints = get_type_hints(hint)
    if hasattr(hint, "__required_keys__"):
        return hints, frozenset(hint.__required_keys__)
    fields = hint.__dataclass_fields__
    hints = {name: hints[name] for name in fields}
    return hints, frozenset(
        name
        for name, field in fields.items()
        if field.default is MISSING and field.default_factory is MISSING
    )


@cache
def _plain(hint: Any) -> frozenset[type] | None:
    """Return the types that a value may be of; None where more than its type counts."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if get_origin(hint) in (Union, types.UnionType):
        parts = [_plain(part) for part in get_args(hint)]
        if None not in parts:
            return frozenset().union(*parts)  # type: ignore[arg-type]
    return None

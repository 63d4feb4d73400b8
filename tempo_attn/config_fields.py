"""Checks of single values in a configuration: each returns the stored form, or says what is wrong.

Every function takes the field's name first and raises `ConfigError` with that name, the value
found and what was expected.
"""

from __future__ import annotations

import math
import numbers
import reprlib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import ConfigError
from tempo_attn.files.strict_json import MAX_DEPTH
from tempo_attn.modes import MODES

Name = TypeVar("Name", bound=str)

MAX_TEXT = 512
MAX_INDEX = 10**6
MAX_STRENGTH = 1e4
_DIRECTION_OVERRIDES = {chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80


def shown(value: object) -> str:
    """Return a short `repr` that is safe to print, whatever the value."""
    try:
        return _short.repr(value)
    except ValueError:  # an integer with more digits than Python is willing to write
        return f"a huge {type(value).__name__}"


def wrong(field: str, value: object, expected: str) -> ConfigError:
    """Return the error for a field with a wrong value."""
    return ConfigError(f"{field} is {shown(value)}; expected {expected}")


def one_of(field: str, value: object, allowed: Sequence[Name]) -> Name:
    """Return `value`, which must be one of `allowed`."""
    if isinstance(value, str) and value in allowed:
        return next(name for name in allowed if name == value)
    near = did_you_mean(value, allowed, 1)
    raise wrong(field, value, f"one of {', '.join(map(repr, allowed))}" + (near and f".{near}"))


def some_of(field: str, value: object, allowed: Sequence[str]) -> list[str]:
    """Return the names in `value`, a list or "a+b", without repetition and in `allowed`'s order."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split("+")]
    if not isinstance(value, Sequence) or not value:
        raise wrong(field, value, f"at least one of {', '.join(map(repr, allowed))}")
    names = [one_of(field, name, allowed) for name in value]
    _check_once(field, names)
    return sorted(names, key=allowed.index)


def number(field: str, value: object) -> float:
    """Return `value` as a finite float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise wrong(field, value, "a finite number")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise wrong(field, value, "a finite number")
    return result + 0.0  # -0.0 becomes 0.0: the same edit has one fingerprint


def strength(field: str, value: object, mode: str) -> float:
    """Return `value` as the strength of an edit in `mode`."""
    if value is None:
        raise wrong(field, value, f"a number: mode {mode!r} needs one")
    result = number(field, value)
    lowest, highest = MODES[mode].range
    if not lowest <= result <= highest:
        raise wrong(field, result, MODES[mode].expected)
    if abs(result) > MAX_STRENGTH:
        raise wrong(field, result, f"at most {MAX_STRENGTH:g} in size: beyond it logits overflow")
    return result


def integers(field: str, value: object, minimum: int | None = None) -> list[int]:
    """Return the integers in `value`, at least one and none twice, in ascending order."""
    expected = "a non-empty list of integers" + ("" if minimum is None else f" from {minimum} up")
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not value:
        raise wrong(field, value, expected)
    found = []
    for item in value:
        if isinstance(item, bool) or not isinstance(item, numbers.Integral):
            raise wrong(field, value, f"{expected}, not {shown(item)}")
        index = int(item)
        if abs(index) > MAX_INDEX or (minimum is not None and index < minimum):
            raise wrong(field, value, f"{expected}, not {shown(item)}")
        found.append(index)
    _check_once(field, found)
    return sorted(found)


def source(field: str, value: object, mode: str) -> int:
    """Return `value` as the layer whose states an edit of states mixes in."""
    try:
        (layer,) = integers(field, [value])
    except ConfigError:
        expected = (
            f"the layer whose states are mixed in, an integer such as 1: mode {mode!r} needs one"
        )
        raise wrong(field, value, expected) from None
    return layer


def head_map(field: str, value: object) -> list[int] | dict[int, list[int]] | None:
    """Return heads: None for all, a list for every edited layer, or lists by layer."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return integers(field, value, minimum=0)
        raise wrong(field, value, "None, a list of heads, or a dict {layer: [heads]}")
    layers = integers(f"{field} (its layers)", list(value))
    by_layer = {int(layer): heads for layer, heads in value.items()}
    return {layer: integers(f"{field}[{layer}]", by_layer[layer], minimum=0) for layer in layers}


def text(field: str, value: object) -> str:
    """Return `value`, a non-blank string that is safe in messages, paths and cards."""
    if not isinstance(value, str):
        raise wrong(field, value, "a string")
    if not value.strip():
        raise wrong(field, value, "a string that is not blank")
    if len(value) > MAX_TEXT:
        raise wrong(field, value, f"at most {MAX_TEXT} characters, not {len(value):,}")
    for character in value:
        category = unicodedata.category(character)
        if category in {"Cc", "Cs", "Zl", "Zp"} or character in _DIRECTION_OVERRIDES:
            raise wrong(field, value, f"no control characters (U+{ord(character):04X})")
    return str.__str__(value)


def texts(field: str, value: object) -> list[str]:
    """Return a list of strings, none of them twice; it may be empty."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise wrong(field, value, "a list of strings")
    found = [text(f"{field}[{i}]", item) for i, item in enumerate(value)]
    _check_once(field, found)
    return found


def json_object(field: str, value: object) -> dict[str, Any]:
    """Return a copy of `value` made of plain JSON types; tuples become lists."""
    if not isinstance(value, Mapping):
        raise wrong(field, value, "a dict of JSON values")
    # The field is nested one level deep in its file.
    copied: dict[str, Any] = _json_value(field, value, MAX_DEPTH - 1)
    return copied


def _json_value(field: str, value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise wrong(field, value, "Unicode text, not half of a surrogate pair") from None
        return str.__str__(value)
    if isinstance(value, int):
        if abs(value) >= 10**19:
            raise wrong(field, value, "an integer of at most 19 digits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise wrong(field, value, "a finite number, or None where there is none")
        return float(value)
    if not isinstance(value, Mapping | list | tuple):
        raise wrong(field, value, f"a JSON value, not {type(value).__name__}")
    if depth == 0:
        raise ConfigError(f"{field[:80]}... is nested deeper than {MAX_DEPTH} levels; flatten it")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise wrong(field, key, "strings as keys")
            _json_value(f"{field} (a key)", key, depth)
        return {
            str.__str__(key): _json_value(f"{field}[{shown(key)}]", item, depth - 1)
            for key, item in value.items()
        }
    return [_json_value(f"{field}[{i}]", item, depth - 1) for i, item in enumerate(value)]


def _check_once(field: str, values: Sequence[object]) -> None:
    value, count = Counter(values).most_common(1)[0] if values else (None, 0)
    if count > 1:
        raise wrong(field, values, f"every value once; {shown(value)} is repeated")

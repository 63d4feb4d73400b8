"""Effects as flat rows, for JSON and CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from tempo_attn.lab.sweep.effects import Effect, Null
from tempo_attn.modes import NULLS


def to_rows(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """Return effects as flat rows for JSON or CSV.

    Every row has the same columns in the same order. Numbers are rounded to 6 decimals, p values to
    6 significant digits, so that equal results are equal bytes; None stands for what is undefined.
    """
    return [_row(effect) for effect in effects]


def _row(effect: Effect) -> dict[str, Any]:
    variant = effect.variant
    row: dict[str, Any] = {
        "condition": effect.condition,
        "kind": effect.kind,
        "mode": variant.mode,
        "strength": rounded(variant.strength),
        "layers": ",".join(map(str, variant.layers)),
        "rows": "+".join(variant.rows),
        "heads": None if variant.heads is None else ",".join(map(str, variant.heads)),
        "source": variant.source,
    }
    for field in fields(Effect):
        if field.name not in {"variant", "kind", "condition", "nulls"}:
            row |= columns("", field.name, getattr(effect, field.name))
    for kind in NULLS:
        for field in fields(Null):
            value = getattr(effect.nulls.get(kind), field.name, None)
            row |= columns(f"null_{kind}_", field.name, value)
    return row


def columns(prefix: str, name: str, value: Any) -> dict[str, Any]:
    """Return the columns of one field of an `Effect` or a `Null`, rounded as in `to_rows`.

    Args:
        prefix: What the columns' names begin with, such as "null_sign_".
        name: The field; an interval has two columns: `change_low`, `change_high`.
        value: The field's value; None or NaN where it is undefined.
    """
    if name == "p" or name.startswith("p_"):  # small ones differ: 6 decimals would make them 0
        return {f"{prefix}{name}": _significant(value)}
    if not name.endswith("interval"):
        return {f"{prefix}{name}": rounded(value)}
    what = name.removesuffix("interval") or "change_"
    low, high = value or (None, None)
    return {f"{prefix}{what}low": rounded(low), f"{prefix}{what}high": rounded(high)}


def _significant(p: float | None) -> float | None:
    return None if p is None or not math.isfinite(p) else float(f"{p:.6g}")


def rounded(value: Any) -> Any:
    """Return JSON data with its numbers rounded to 6 decimals; None for what is not finite."""
    if isinstance(value, float):
        return round(value, 6) + 0.0 if math.isfinite(value) else None  # + 0.0: never -0.0
    if isinstance(value, dict):
        return {name: rounded(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    return value

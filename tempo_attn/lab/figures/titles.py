"""Titles of panels: the kind and condition of the items, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tempo_attn.lab.item_records import POOLED

Column = tuple[str, str]
"""A kind and a condition."""


def in_order(columns: Iterable[Column]) -> list[Column]:
    """Return kinds and conditions as they first come, by condition, pooled kinds last."""
    found = list(columns)
    kinds = list(dict.fromkeys(kind for kind, _ in found))
    conditions = list(dict.fromkeys(condition for _, condition in found))
    return sorted(
        found,
        key=lambda column: (
            conditions.index(column[1]),
            column[0] == POOLED,
            kinds.index(column[0]),
        ),
    )


def title(column: Column, sizes: Sequence[str]) -> str:
    """Return a panel's title: `eo, aqa (n = 200, 180 clusters)`."""
    kind = "all kinds" if column[0] == POOLED else column[0]
    return f"{kind}, {column[1]} (n = {', '.join(sizes)})"


def span(numbers: Sequence[int]) -> str:
    """Return a number, or where there are several the lowest and the highest."""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"

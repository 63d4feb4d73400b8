"""The parts of an audit: a question kind of a data set, all kinds of a set, and all sets together.

Each has its items and what every strategy earns on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tempo_tasks.audit.ceiling import Simulation
from tempo_tasks.audit.item_arrays import Items, items_of
from tempo_tasks.audit.letter_order import letter_rows
from tempo_tasks.audit.priors import prior_rows
from tempo_tasks.audit.shortcuts import caption_rows, presence_rows, text_rows, time_rows
from tempo_tasks.audit.strategies import FAMILIES, Earned
from tempo_tasks.sources.without_audio import PlainSet

ALL = "all"


@dataclass(frozen=True)
class Part:
    """The items of a kind, or of several, which the results show together.

    Attributes:
        data: Name of the data set, or `ALL`.
        kind: `eo`, `lo` or `ld`, or `ALL`.
        items: The items, kind by kind.
        earned: What each strategy earns on them.
        simulations: Simulations of the perfect detector, kind by kind; empty where the intervals
            are not known of every kind.
    """

    data: str
    kind: str
    items: Sequence[Items]
    earned: Sequence[Earned]
    simulations: Sequence[Simulation] = field(default=())


def parts_of(sets: Sequence[PlainSet], seed: int) -> list[Part]:
    """Return each kind of each set, all of a set, and all.

    Args:
        sets: The data sets.
        seed: Seed of the folds and simulations.
    """
    columns: list[Part] = []
    singles: list[Part] = []
    for plain in sets:
        mine = [_part_of(items, seed) for items in items_of(plain)]
        singles += mine
        columns += mine
        if len(mine) > 1 and len(sets) > 1:
            columns.append(_together(plain.name, mine))
    if len(singles) > 1:
        columns.append(_together(sets[0].name if len(sets) == 1 else ALL, singles))
    return columns


def _part_of(items: Items, seed: int) -> Part:
    rows = [
        *presence_rows(items),
        *prior_rows(items, seed),
        *text_rows(items),
        *letter_rows(items, seed),
        *caption_rows(items),
        *time_rows(items),
    ]
    rows.sort(key=lambda row: FAMILIES.index(row.strategy.family))
    simulations = [Simulation.of(items, seed)] if items.known.any() else []
    return Part(items.data, items.kind.value, [items], rows, simulations)


def _together(data: str, parts: Sequence[Part]) -> Part:
    """Put parts together: each strategy is fitted within a part, and its credit pooled."""
    rows = []
    for row in parts[0].earned:
        same = [
            found
            for part in parts
            for found in part.earned
            if found.strategy.name == row.strategy.name
        ]
        if len(same) == len(parts):
            rows.append(
                Earned(
                    row.strategy,
                    np.concatenate([found.credit for found in same]),
                    np.concatenate([found.clusters for found in same]),
                    np.concatenate([found.decided for found in same]),
                )
            )
    simulations = [simulation for part in parts for simulation in part.simulations]
    # A ceiling of some of the parts would pass for one of all.
    whole = len(simulations) == len(parts)
    items = [found for part in parts for found in part.items]
    return Part(data, ALL, items, rows, simulations if whole else [])

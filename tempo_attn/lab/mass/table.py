"""The table of attention mass: per kind, condition, group of items, set of rows and layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tempo_attn.files.csv_and_json import table_number
from tempo_attn.lab.item_records import is_right
from tempo_attn.lab.mass.records import MassRecord
from tempo_attn.statistics import Array, interval_of_difference, interval_of_mean

GROUPS = ("all", "right", "wrong")


def mass_rows(
    records: Sequence[MassRecord], *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> list[dict[str, Any]]:
    """Return the table: per kind, condition, group of items, set of query rows and layer.

    Args:
        records: The records of all items, in any order.
        resamples: As `interval_of_mean`, like the other arguments.
        seed: Seed of the bootstrap resamples.
        level: Coverage of the intervals.

    Returns:
        Rows with `group` "all", "right" or "wrong" items: mean `mass` of audio with its interval
        by cluster (`low`, `high`), standard deviation over items `sd`, mean mass on the `first`
        token, `text` (neither of the two); and with `group` "right - wrong": the difference of the
        two means with its interval.
    """
    ordered = sorted(records, key=lambda record: record.index)
    found = []
    for condition in dict.fromkeys(record.condition for record in ordered):
        for kind in dict.fromkeys(r.kind for r in ordered if r.condition == condition):
            mine = [r for r in ordered if (r.kind, r.condition) == (kind, condition)]
            right = is_right(
                np.array([r.plain for r in mine], dtype=float), np.array([r.answer for r in mine])
            )
            clusters = np.unique([r.cluster for r in mine], return_inverse=True)[1]
            how = {"resamples": resamples, "seed": seed, "level": level}
            for rows in mine[0].audio:
                audio = np.array([r.audio[rows] for r in mine], dtype=float)
                first = np.array([r.first[rows] for r in mine], dtype=float)
                labels = {"kind": kind, "condition": condition, "rows": rows}
                found += _table(labels, audio, first, right, clusters, how)
    return found


def _table(
    labels: Mapping[str, Any],
    audio: Array,
    first: Array,
    right: Array,
    clusters: Array,
    how: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the rows of one kind, condition and set of rows."""
    found = []
    for group, chosen in zip(GROUPS, (right | True, right, ~right), strict=True):
        if not chosen.any():
            continue
        intervals = interval_of_mean(audio[chosen], clusters[chosen], **how)
        for layer in range(audio.shape[1]):
            mass, sink = audio[chosen, layer].mean(), first[chosen, layer].mean()
            found.append(
                {
                    **labels,
                    "group": group,
                    "layer": layer,
                    "n": int(chosen.sum()),
                    "n_clusters": len(np.unique(clusters[chosen])),
                    "mass": table_number(mass),
                    "low": table_number(intervals[layer, 0]),
                    "high": table_number(intervals[layer, 1]),
                    "sd": table_number(
                        audio[chosen, layer].std(ddof=1) if chosen.sum() > 1 else np.nan
                    ),
                    "first": table_number(sink),
                    "text": table_number(1 - mass - sink),
                }
            )
    if right.any() and not right.all():
        low, high = interval_of_difference(audio, clusters, right, **how)
        difference = audio[right].mean(0) - audio[~right].mean(0)
        found += [
            {
                **labels,
                "group": "right - wrong",
                "layer": layer,
                "n": len(right),
                "n_clusters": len(np.unique(clusters)),
                "mass": table_number(difference[layer]),
                "low": table_number(low[layer]),
                "high": table_number(high[layer]),
                "sd": None,
                "first": None,
                "text": None,
            }
            for layer in range(audio.shape[1])
        ]
    return found

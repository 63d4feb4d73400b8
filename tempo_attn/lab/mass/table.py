"""The table of attention mass: per kind, condition, group of items, set of rows and layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tempo_attn.lab.item_records import is_right
from tempo_attn.lab.mass.run import ShareRecord
from tempo_attn.statistics import Array, cluster_sums, cluster_weights, interval_of_mean

GROUPS = ("all", "right", "wrong")


def share_rows(
    records: Sequence[ShareRecord], *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> list[dict[str, Any]]:
    """Return the table of shares: per kind, condition, group of items, set of rows and layer.

    Args:
        records: Of all items, in any order.
        resamples: As `interval_of_mean`, like the other arguments.
        seed: Of the resamples.
        level: Coverage of the intervals.

    Returns:
        Rows with `group` "all", "right" or "wrong" items: mean `share` of audio with its interval
        by clip (`low`, `high`), standard deviation over items `sd`, mean share of the `first`
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
            clips = np.unique([r.clip for r in mine], return_inverse=True)[1]
            how = {"resamples": resamples, "seed": seed, "level": level}
            for rows in mine[0].audio:
                audio = np.array([r.audio[rows] for r in mine], dtype=float)
                first = np.array([r.first[rows] for r in mine], dtype=float)
                labels = {"kind": kind, "condition": condition, "rows": rows}
                found += _table(labels, audio, first, right, clips, how)
    return found


def _table(
    labels: Mapping[str, Any],
    audio: Array,
    first: Array,
    right: Array,
    clips: Array,
    how: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the rows of one kind, condition and set of rows."""
    found = []
    for group, chosen in zip(GROUPS, (right | True, right, ~right), strict=True):
        if not chosen.any():
            continue
        intervals = interval_of_mean(audio[chosen], clips[chosen], **how)
        for layer in range(audio.shape[1]):
            share, sink = audio[chosen, layer].mean(), first[chosen, layer].mean()
            found.append(
                {
                    **labels,
                    "group": group,
                    "layer": layer,
                    "n": int(chosen.sum()),
                    "n_clips": len(np.unique(clips[chosen])),
                    "share": _number(share),
                    "low": _number(intervals[layer, 0]),
                    "high": _number(intervals[layer, 1]),
                    "sd": _number(audio[chosen, layer].std(ddof=1) if chosen.sum() > 1 else np.nan),
                    "first": _number(sink),
                    "text": _number(1 - share - sink),
                }
            )
    if right.any() and not right.all():
        low, high = _difference_interval(audio, right, clips, how)
        difference = audio[right].mean(0) - audio[~right].mean(0)
        found += [
            {
                **labels,
                "group": "right - wrong",
                "layer": layer,
                "n": len(right),
                "n_clips": len(np.unique(clips)),
                "share": _number(difference[layer]),
                "low": _number(low[layer]),
                "high": _number(high[layer]),
                "sd": None,
                "first": None,
                "text": None,
            }
            for layer in range(audio.shape[1])
        ]
    return found


def _difference_interval(
    audio: Array, right: Array, clips: Array, how: Mapping[str, Any]
) -> tuple[Array, Array]:
    """Percentile bootstrap over clips of a difference of two groups' means, (layers,) each."""
    if len(np.unique(clips)) < 2:  # one clip has no spread
        return (np.full(audio.shape[1], np.nan),) * 2
    weights = cluster_weights(clips, how["resamples"], how["seed"])
    means = []
    for chosen in (right, ~right):
        sums, _ = cluster_sums(np.where(chosen[:, None], audio, 0.0), clips)
        sizes, _ = cluster_sums(chosen[:, None].astype(float), clips)
        with np.errstate(invalid="ignore"):  # a resample without any item of the group
            means.append((weights @ sums) / (weights @ sizes))
    tail = 100 * (1 - how["level"]) / 2
    low, high = np.nanpercentile(means[0] - means[1], [tail, 100 - tail], axis=0)
    return low, high


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)

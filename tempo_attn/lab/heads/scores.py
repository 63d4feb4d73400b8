"""Scores of heads: how their attention goes with right answers, and how far a score can be trusted.

A head's score is Pearson's r, over items, between its attention mass and correctness, 0 or 1
(arXiv 2603.06854). Between a number and a yes or no that is the point-biserial correlation: the
same number under another name. Spearman's rank correlation beside it says whether a few items make
it. What the paper does not print is ours: intervals by bootstrap over clusters; p of the t-test
with as many observations as there are clusters, Holm's correction over all heads; the agreement of
halves; and the same score for attention on as much text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from tempo_attn.errors import ConfigError
from tempo_attn.files.csv_and_json import table_number
from tempo_attn.lab.heads.records import TARGETS, ByHead, HeadRecord
from tempo_attn.lab.item_records import is_right
from tempo_attn.statistics import (
    Array,
    cluster_sums,
    cluster_weights,
    holm,
    percentile_interval,
)

HALVINGS = 20
"""How often the clusters are halved at random for the agreement of halves."""
_RESAMPLED = 100
"""Resamples whose correlations are in memory at once."""


def masses(records: Sequence[HeadRecord], target: str, rows: str) -> Array:
    """Return the masses of a target from a set of rows, (items, layers, heads).

    NaN where a layer has no attention. Items whose event's time is not known have NaN too.

    Raises:
        ConfigError: The records have no such rows, or no head has attention.
    """
    found = [getattr(record, target) for record in records]
    known: Mapping[str, ByHead] = next((one for one in found if one is not None), {})
    if rows not in known:
        raise ConfigError(f"no {target} masses from the rows {rows!r}; found {sorted(known)}")
    sizes = [len(heads) for heads in known[rows] if heads is not None]
    if not sizes:
        raise ConfigError("no layer of this model has attention whose heads can be measured")
    empty = [[np.nan] * sizes[0]] * len(known[rows])
    return np.array(
        [empty if one is None else [layer or empty[0] for layer in one[rows]] for one in found],
        dtype=float,
    )


def rightness(records: Sequence[HeadRecord]) -> Array:
    """Return which items are answered right without an edit, (items,) bool."""
    logits = np.array([record.plain for record in records], dtype=float)
    return is_right(logits, np.array([record.answer for record in records]))


def correlations(values: Array, right: Array) -> Array:
    """Return Pearson's r of every column with correctness, (columns,) from (items, columns).

    NaN where a column, or correctness, does not vary.
    """
    centred, y = values - values.mean(0), right - right.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        r: Array = (y @ centred) / np.sqrt((y @ y) * (centred**2).sum(0))
    r[np.ptp(values, axis=0) == 0] = np.nan  # but for the rounding of means
    return r


def ranks(values: Array) -> Array:
    """Return the ranks of every column's values over items; equal ones share their mean rank."""
    from scipy import stats

    ranked: Array = stats.rankdata(values, axis=0)
    return ranked


def correlation_intervals(
    values: Array, right: Array, clusters: Array, *, resamples: int, seed: int, level: float
) -> Array:
    """Return the intervals of every column's r, (2, columns), by bootstrap over clusters."""
    y = right.astype(float)[:, None]
    shifted = values - values.mean(0)  # sums of squares of small numbers keep their digits
    parts = (np.ones_like(y), y, shifted, shifted**2, shifted * y)
    n, sy, sx, sxx, sxy = (cluster_sums(part, clusters)[0] for part in parts)
    weights = cluster_weights(clusters, resamples, seed).astype(float)
    drawn = []
    for start in range(0, resamples, _RESAMPLED):
        w = weights[start : start + _RESAMPLED]
        total, ys = w @ n, w @ sy
        xs, xx, xy = w @ sx, w @ sxx, w @ sxy
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = (total * xx - xs**2) * (total * ys - ys**2)
            drawn.append(np.where(spread > 0, (total * xy - xs * ys) / np.sqrt(spread), np.nan))
    return percentile_interval(np.concatenate(drawn), level)


def p_of_correlation(r: Array, n: int) -> Array:
    """Return the two-sided p of r over n independent observations; NaN for fewer than 3."""
    from scipy import stats

    if n < 3:
        return np.full_like(r, np.nan)
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt((n - 2) / (1 - r**2))
    p: Array = 2 * stats.t.sf(t, n - 2)
    return p


def head_rows(
    records: Sequence[HeadRecord], *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> list[dict[str, Any]]:
    """Return the table: per kind, condition, set of query rows, target, layer and head.

    Args:
        records: The records of all items, in any order.
        resamples: Number of bootstrap resamples over clusters.
        seed: Seed of the resamples.
        level: Coverage of the intervals.

    Returns:
        Rows with `mass` (mean attention on the target), `r` with `low` and `high`, `spearman`, `p`
        and `p_holm` (over the heads of one set of rows and target). A group of items that are all
        right or all wrong has no correlations: None.
    """
    found: list[dict[str, Any]] = []
    how = {"resamples": resamples, "seed": seed, "level": level}
    for labels, mine in groups(records):
        for rows in mine[0].audio:
            for target in TARGETS:
                known = [record for record in mine if getattr(record, target) is not None]
                if known:
                    place = {**labels, "rows": rows, "target": target}
                    found += _table(place, known, target, rows, how)
    return found


def groups(records: Sequence[HeadRecord]) -> list[tuple[dict[str, str], list[HeadRecord]]]:
    """Return the items of each kind and condition, in the run's order, with their labels."""
    ordered = sorted(records, key=lambda record: record.index)
    places = dict.fromkeys((record.kind, record.condition) for record in ordered)
    return [
        (
            {"kind": kind, "condition": condition},
            [r for r in ordered if (r.kind, r.condition) == (kind, condition)],
        )
        for kind, condition in places
    ]


def _table(
    labels: dict[str, str],
    records: Sequence[HeadRecord],
    target: str,
    rows: str,
    how: dict[str, Any],
) -> list[dict[str, Any]]:
    by_layer = masses(records, target, rows)
    _, n_layers, n_heads = by_layer.shape
    right = rightness(records)
    clusters = np.unique([record.cluster for record in records], return_inverse=True)[1]
    n_clusters = len(np.unique(clusters))
    values = by_layer.reshape(len(records), -1)
    r = correlations(values, right)
    low, high = correlation_intervals(values, right, clusters, **how)
    spearman = correlations(ranks(values), right)
    p = p_of_correlation(r, n_clusters)
    tested = np.flatnonzero(np.isfinite(p))
    p_holm = np.full(len(p), np.nan)
    p_holm[tested] = holm(p[tested].tolist())
    return [
        {
            **labels,
            "layer": at // n_heads,
            "head": at % n_heads,
            "n": len(records),
            "n_right": int(right.sum()),
            "n_clusters": n_clusters,
            "mass": table_number(values[:, at].mean()),
            "r": table_number(r[at]),
            "low": table_number(low[at]),
            "high": table_number(high[at]),
            "spearman": table_number(spearman[at]),
            "p": table_number(p[at]),
            "p_holm": table_number(p_holm[at]),
        }
        for at in range(n_layers * n_heads)
    ]


def stability(records: Sequence[HeadRecord], target: str, rows: str, seed: int) -> dict[str, Any]:
    """Return how far two halves of the clusters agree on the order of heads.

    Args:
        records: Items of one kind and condition.
        target: What heads attend to.
        rows: The set of query rows.
        seed: Seed of the halvings and of the null.

    Returns:
        `agreement`: the mean, over random halvings, of Spearman's rank correlation between the
        scores of all heads in both halves; `lowest` and `highest` of them; and `null`: the mean
        where correctness is shuffled between clips, which shows how much agreement comes from
        heads being alike rather than from answers. None where a half has right or wrong answers
        alone.
    """
    by_layer = masses(records, target, rows)
    values = by_layer.reshape(len(records), -1)
    values = values[:, np.isfinite(values).all(0)]
    right = rightness(records)
    clusters = np.unique([record.cluster for record in records], return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    agreements: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(HALVINGS):
        half = rng.permutation(clusters.max() + 1)[clusters] % 2 == 0
        for shuffled in (False, True):
            answers = rng.permutation(right) if shuffled else right
            scores = [
                correlations(values[part], answers[part])
                if part.sum() > 1
                else np.full(values.shape[1], np.nan)
                for part in (half, ~half)
            ]
            both = np.isfinite(scores[0]) & np.isfinite(scores[1])
            if both.sum() > 2:
                ranked = ranks(np.stack([score[both] for score in scores], 1))
                agreements[shuffled].append(float(np.corrcoef(ranked.T)[0, 1]))
    found, null = agreements[False], agreements[True]
    return {
        "halvings": len(found),
        "agreement": table_number(fmean(found)) if found else None,
        "lowest": table_number(min(found)) if found else None,
        "highest": table_number(max(found)) if found else None,
        "null": table_number(fmean(null)) if null else None,
    }

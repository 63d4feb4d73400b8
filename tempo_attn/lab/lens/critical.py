"""Critical layers: where, on average over layers, the lens first knows more than chance.

AudioLens (arXiv 2506.05140): sum l s_l / sum s_l with s_l = max(0, I_l - (1 + a) / |Y|), I_l the
information score of layer l. The intervals over clusters and the critical layer of a single item
are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tempo_attn.files.csv_and_json import table_number
from tempo_attn.lab.lens.records import LensRecord
from tempo_attn.lab.lens.table import GAP, Cell, cells, drawn_scores
from tempo_attn.statistics import Array, cluster_sums, cluster_weights, percentile_interval

MARGIN = 0.2
"""a of the paper: how far above chance a layer's score must be to count."""
_EXACT = 1e-9  # what is less above the threshold is rounding
_CHUNK = 250  # resamples ranked at once


def critical_layer(scores: Array, n_candidates: int, a: float = MARGIN) -> tuple[Array, Array]:
    """Return critical layers and their weights, as AudioLens has them.

    Args:
        scores: Information scores, (..., layers); layers count from 0.
        n_candidates: |Y|.
        a: Margin above chance.

    Returns:
        Critical layers (...), NaN where no layer is above the threshold; and s_l (..., layers).
    """
    above = np.asarray(scores, dtype=float) - (1 + a) / n_candidates
    weights: Array = np.where(above > _EXACT, above, 0.0)
    total = weights.sum(-1)
    with np.errstate(invalid="ignore"):
        critical: Array = weights @ np.arange(weights.shape[-1]) / total
    return critical, weights


def critical_rows(
    records: Sequence[LensRecord],
    *,
    a: float = MARGIN,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """Return the table of critical layers: per kind, condition, candidates, set of rows and group.

    Args:
        records: The records of all items, in any order.
        a: Margin above chance.
        resamples: As `interval_of_mean`, like the other arguments.
        seed: Seed of the bootstrap resamples.
        level: Coverage of the intervals.

    Returns:
        Rows with `critical` and its interval by cluster (`low`, `high`): clusters are drawn, and
        scores and critical layer are worked out again. None where no layer is above `threshold`.
        `defined` is the share of the draws that have one; where it is below `level`, there is no
        interval, which would be of a selection. `weights` are s_l. The last row of each set has
        the difference of right and wrong items.
    """
    found = []
    for cell in cells(records):
        threshold = (1 + a) / cell.n_candidates
        points: dict[str, float] = {}
        for group, chosen in cell.groups():
            point, weights = critical_layer(cell.hit[chosen].mean(0), cell.n_candidates, a)
            points[group] = float(point)
            part = cell.part(chosen)
            scores = drawn_scores(part, part.right | True, resamples, seed)
            drawn = critical_layer(scores, cell.n_candidates, a)[0]
            shown = [round(float(weight), 6) for weight in weights]
            row = _critical(cell, group, chosen, points[group], drawn, level)
            found.append({**row, "threshold": table_number(threshold), "weights": shown})
        if cell.both:
            one, other = (
                critical_layer(drawn_scores(cell, chosen, resamples, seed), cell.n_candidates, a)[0]
                for chosen in (cell.right, ~cell.right)
            )
            gap = points["right"] - points["wrong"]
            row = _critical(cell, GAP, cell.right | True, gap, one - other, level)
            found.append({**row, "threshold": table_number(threshold), "weights": None})
    return found


def _critical(
    cell: Cell, group: str, chosen: Array, point: float, drawn: Array, level: float
) -> dict[str, Any]:
    defined = np.isfinite(drawn).mean() if len(drawn) else np.nan
    low, high = percentile_interval(drawn, level)
    if not (np.isfinite(point) and defined >= level):
        low = high = np.nan
    return {
        **cell.labels,
        "group": group,
        **cell.sizes(chosen),
        "critical": table_number(point),
        "low": table_number(low),
        "high": table_number(high),
        "defined": table_number(defined),
    }


def correlation_rows(
    records: Sequence[LensRecord],
    *,
    a: float = MARGIN,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """Return how items' critical layers go with right answers: per kind, condition and so on.

    An item's critical layer has the probability of its right candidate in place of the scores
    (ours). Items without any layer above the threshold are left out and counted (`n_without`).

    Args:
        records: The records of all items, in any order.
        a: Margin above chance.
        resamples: As `interval_of_mean`, like the other arguments.
        seed: Seed of the bootstrap resamples.
        level: Coverage of the intervals.

    Returns:
        Rows with Spearman's `rho` of critical layer and correctness (0 or 1) and its interval by
        cluster; None where all items are right, or all wrong, or all have the same layer. Negative:
        right answers go with earlier layers.
    """
    from scipy import stats  # takes a second

    found = []
    for cell in cells(records):
        critical = critical_layer(cell.chance, cell.n_candidates, a)[0]
        chosen = np.isfinite(critical)
        x, y, clusters = critical[chosen], cell.right[chosen].astype(float), cell.clusters[chosen]
        rho, ends = np.nan, np.full(2, np.nan)
        if len(np.unique(x)) > 1 and len(np.unique(y)) > 1:
            rho = float(stats.spearmanr(x, y).statistic)
            ends = percentile_interval(_drawn_correlations(x, y, clusters, resamples, seed), level)
        found.append(
            {
                **cell.labels,
                **cell.sizes(chosen),
                "n_without": int((~chosen).sum()),
                "rho": table_number(rho),
                "low": table_number(ends[0]),
                "high": table_number(ends[1]),
            }
        )
    return found


def weighted_spearman(x: Array, y: Array, weights: Array) -> Array:
    """Return Spearman's correlation of items that each count several times.

    Args:
        x: (items,).
        y: (items,).
        weights: How often each item counts, (resamples, items).

    Returns:
        (resamples,): what ranking the repeated items gives; NaN where one side does not vary.
    """
    n = weights.sum(1, keepdims=True)
    first, second = (_ranks(values, weights) - (n + 1) / 2 for values in (x, y))
    products = (weights * first * second).sum(1)
    squares = (weights * first**2).sum(1) * (weights * second**2).sum(1)
    correlations: Array = np.full(len(weights), np.nan)
    np.divide(products, np.sqrt(squares), out=correlations, where=squares > _EXACT)
    return correlations


def _ranks(values: Array, weights: Array) -> Array:
    """Mean ranks among repeated items, from 1, (resamples, items)."""
    _, number = np.unique(values, return_inverse=True)
    sums, _ = cluster_sums(weights.T, number)
    upto = sums.cumsum(0)
    ranks: Array = (upto - (sums - 1) / 2)[number].T
    return ranks


def _drawn_correlations(x: Array, y: Array, clusters: Array, resamples: int, seed: int) -> Array:
    if len(np.unique(clusters)) < 2:
        return np.full(0, np.nan)
    weights = cluster_weights(clusters, resamples, seed)[
        :, np.unique(clusters, return_inverse=True)[1]
    ]
    parts = np.array_split(weights, -(-len(weights) // _CHUNK))
    return np.concatenate([weighted_spearman(x, y, part) for part in parts])

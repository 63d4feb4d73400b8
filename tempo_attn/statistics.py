"""Statistics of paired answers: intervals over clusters, exact tests, Holm's correction.

Items that share a cluster, such as questions about one clip, are not independent, so clusters are
what an interval resamples. The tests take items as independent; within one kind of question, where
a cluster occurs once, they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tempo_attn.errors import ConfigError

Array = npt.NDArray[Any]
Interval = tuple[float, float]
_CHUNK = 4_000_000
"""Resampled means in memory at once (32 MB; their quantiles need the same again)."""


def cluster_weights(clusters: npt.ArrayLike, resamples: int, seed: int) -> Array:
    """Return how often each resample draws each cluster.

    Args:
        clusters: The cluster of each item, (items,).
        resamples: Number of resamples.
        seed: Seed of the resamples; they depend on it and on the number of clusters alone.

    Returns:
        Counts, (resamples, clusters), the clusters in ascending order; every row adds up to their
        number.
    """
    if resamples < 1:
        raise ConfigError(f"resamples is {resamples}; expected 1 or more, such as 2000")
    n = len(np.unique(np.asarray(clusters)))
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)


def cluster_sums(values: npt.ArrayLike, clusters: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the sums of each cluster's items, (clusters, columns), and their number, (clusters,).

    Args:
        values: One value an item and column, (items, columns).
        clusters: The cluster of each item, (items,); in the result they are ascending.
    """
    _, number, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    side_by_side = np.asarray(values, dtype=float)[np.argsort(number, kind="stable")]
    return np.add.reduceat(side_by_side, np.cumsum(sizes) - sizes, axis=0), sizes


def interval_of_mean(
    values: npt.ArrayLike,
    clusters: npt.ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Array:
    """Return the interval of each column's mean: percentile bootstrap over clusters.

    Whole clusters are drawn, as many as there are, with replacement (Davison & Hinkley 1997,
    section 3.8). A resample's mean is the sum of its items over their number, so that clusters
    count by their size. All columns see the same resamples. With few clusters (say, under 30) such
    intervals are somewhat too narrow.

    Args:
        values: One value an item and column, (items, columns).
        clusters: The cluster of each item, (items,).
        resamples: Number of resamples.
        seed: Seed of the bootstrap resamples.
        level: Coverage, between 0 and 1.

    Returns:
        Low and high ends, (columns, 2); NaN with fewer than two clusters, and the value itself
        where all items have the same.
    """
    check_level(level)
    values = np.asarray(values, dtype=float)
    sums, sizes = cluster_sums(values, clusters)
    ends = np.full((values.shape[1], 2), np.nan)
    if len(sizes) < 2:
        return ends
    weights = cluster_weights(clusters, resamples, seed).astype(float)
    drawn = weights @ sizes
    tails = (1 - level) / 2, (1 + level) / 2
    width = max(1, _CHUNK // resamples)
    for start in range(0, values.shape[1], width):
        columns = slice(start, start + width)
        means = sums[:, columns].T @ weights.T / drawn
        ends[columns] = np.quantile(means, tails, axis=1, overwrite_input=True).T
    same = (values == values[0]).all(0)
    ends[same] = values[0, same, None]  # without the rounding of sums
    return ends


def check_level(level: float) -> None:
    """Check the coverage of an interval.

    Raises:
        ConfigError: It is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level is {level}; expected a number between 0 and 1, such as 0.95")


def resampled_means(
    values: npt.ArrayLike, clusters: npt.ArrayLike, chosen: Array, *, resamples: int, seed: int
) -> Array:
    """Return the means of some items in resamples of all clusters, (resamples, columns).

    For statistics of several groups of the same items, such as the difference of their means: the
    groups see the same resamples.

    Args:
        values: One value an item and column, (items, columns).
        clusters: The cluster of each item, (items,).
        chosen: The items that count, (items,) bool.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        NaN in a resample without any chosen item; no resamples, (0, columns), where there are
        fewer than two clusters, which have no spread.
    """
    values = np.where(chosen[:, None], np.asarray(values, dtype=float), 0.0)
    if len(np.unique(np.asarray(clusters))) < 2:
        return np.full((0, values.shape[1]), np.nan)
    weights = cluster_weights(clusters, resamples, seed)
    sums, _ = cluster_sums(values, clusters)
    sizes, _ = cluster_sums(chosen[:, None].astype(float), clusters)
    with np.errstate(invalid="ignore"):  # a resample without any chosen item
        means: Array = (weights @ sums) / (weights @ sizes)
    return means


def interval_of_difference(
    values: npt.ArrayLike,
    clusters: npt.ArrayLike,
    chosen: Array,
    *,
    resamples: int,
    seed: int,
    level: float,
) -> Array:
    """Return the interval of the chosen items' mean minus that of all others, (2, columns).

    Clusters of all items are drawn, so that both groups see the same resamples; see
    `resampled_means` for the arguments.
    """
    one, other = (
        resampled_means(values, clusters, group, resamples=resamples, seed=seed)
        for group in (chosen, ~chosen)
    )
    return percentile_interval(one - other, level)


def percentile_interval(drawn: Array, level: float) -> Array:
    """Return the percentile interval of each column, (2, ...), over resamples, (resamples, ...).

    Resamples in which a column is not defined (NaN) are left out; NaN where there is none.
    """
    check_level(level)
    drawn = np.asarray(drawn, dtype=float)
    columns = drawn.reshape(len(drawn), math.prod(drawn.shape[1:]))
    ends = np.full((2, columns.shape[1]), np.nan)
    undefined = np.isnan(columns)
    tail = 100 * (1 - level) / 2
    # numpy leaves NaN out column by column, which takes ten times as long
    for some, percentile in (
        (~undefined.any(0), np.percentile),
        (undefined.any(0) & ~undefined.all(0), np.nanpercentile),
    ):
        if len(drawn) and some.any():
            ends[:, some] = percentile(columns[:, some], [tail, 100 - tail], axis=0)
    return ends.reshape(2, *drawn.shape[1:])


def mcnemar(fixed: npt.ArrayLike, broken: npt.ArrayLike) -> Array:
    """Return p of the exact McNemar test, two-sided: do as many items become right as wrong?

    Args:
        fixed: Number of wrong items that become right, of any shape.
        broken: Number of right items that become wrong, of the same shape.

    Returns:
        p, of the same shape; 1 where no item changes.
    """
    from scipy import stats  # takes a second

    fixed, broken = np.asarray(fixed), np.asarray(broken)
    tail = stats.binom.cdf(np.minimum(fixed, broken), fixed + broken, 0.5)
    p: Array = np.minimum(1.0, 2 * tail)
    return p


@cache
def binomial(successes: int, trials: int, probability: float) -> float:
    """Return p of the exact binomial test, two-sided: do trials succeed with `probability`?

    The probability of all counts that are no likelier than the one found; as scipy's `binomtest`,
    which takes a millisecond where a sweep has thousands of tests.
    """
    from scipy import stats

    likelihoods = stats.binom.pmf(np.arange(trials + 1), trials, probability)
    as_unlikely = likelihoods <= likelihoods[successes] * (1 + 1e-7)  # but for rounding
    return min(1.0, float(likelihoods[as_unlikely].sum()))


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p of one family of tests, in the order given."""
    # statsmodels' `multipletests` collects all garbage in every call, a fifth of a second where
    # models are loaded.
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * steps), 1.0)
    found: list[float] = adjusted.tolist()
    return found


@dataclass(frozen=True, kw_only=True)
class Change:
    """How right answers change from one run to another, paired by item.

    Attributes:
        change: Change of accuracy, between -1 and 1.
        interval: Ends of the change's interval.
        p: p of the exact McNemar test of the change.
        fixed: Wrong items that become right.
        broken: Right items that become wrong.
        fix_rate: `fixed` / wrong items; None without any.
        break_rate: `broken` / right items; None without any.
    """

    change: float
    interval: Interval
    p: float
    fixed: int
    broken: int
    fix_rate: float | None
    break_rate: float | None


def changes(
    before: Array,
    after: Array,
    clusters: Array,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Change]:
    """Return the change of every column.

    Args:
        before: Right answers of one run, (items, columns) bool.
        after: Right answers of the other run, of the same shape.
        clusters: The cluster of each item, (items,).
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap resamples.
        level: Coverage of the intervals.
    """
    ends = interval_of_mean(
        after.astype(float) - before, clusters, resamples=resamples, seed=seed, level=level
    ).tolist()
    right, wrong = before.sum(0).tolist(), (~before).sum(0).tolist()
    fixed, broken = (~before & after).sum(0), (before & ~after).sum(0)
    p = mcnemar(fixed, broken).tolist()
    return [
        Change(
            change=(gained - lost) / len(before),
            interval=(ends[i][0], ends[i][1]),
            p=p[i],
            fixed=gained,
            broken=lost,
            fix_rate=gained / wrong[i] if wrong[i] else None,
            break_rate=lost / right[i] if right[i] else None,
        )
        for i, (gained, lost) in enumerate(zip(fixed.tolist(), broken.tolist(), strict=True))
    ]

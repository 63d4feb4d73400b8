"""Shares and differences whose items share clusters: errors, intervals, a test against chance.

Everything is made of sums over clusters, so thousands of replicates run at once: axes before
(clusters, groups) are theirs. Groups are the kinds of question; an estimate is the average of the
groups' means, so one group gives its mean and three give the macro average, whose error knows that
the kinds share clips.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FEW_DISCORDANT = 8
"""With fewer discordant clusters the t interval of a difference is too narrow (simulated)."""


class Interval(NamedTuple):
    """Low and high ends: numbers, or arrays over replicates."""

    low: Array
    high: Array


@dataclass(frozen=True)
class ClusterSums:
    """How many items each cluster has in each group, and the sum of their values.

    Attributes:
        counts: Items, (clusters, groups).
        sums: Sums of values, (..., clusters, groups).
    """

    counts: Array
    sums: Array

    @classmethod
    def of(
        cls,
        values: Sequence[float] | Array,
        clusters: Sequence[Hashable],
        groups: Sequence[Hashable] | None = None,
    ) -> ClusterSums:
        """Sum the values of items.

        Args:
            values: One value an item.
            clusters: The cluster of each item.
            groups: The group of each item; default: all items are one group.
        """
        rows = {name: row for row, name in enumerate(dict.fromkeys(clusters))}
        names = groups if groups is not None else [None] * len(clusters)
        columns = {name: column for column, name in enumerate(dict.fromkeys(names))}
        where = [rows[c] for c in clusters], [columns[g] for g in names]
        counts, sums = np.zeros((2, len(rows), len(columns)))
        np.add.at(counts, where, 1.0)
        np.add.at(sums, where, np.asarray(values, dtype=float))
        return cls(counts, sums)

    @property
    def n(self) -> int:
        """Number of items."""
        return int(self.counts.sum())

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.counts)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.counts.shape[1])

    @cached_property
    def group_means(self) -> Array:
        """Mean of each group, (..., groups)."""
        means: Array = self.sums.sum(-2) / self.counts.sum(-2)
        return means

    @cached_property
    def mean(self) -> Array:
        """Average of the groups' means, (...)."""
        average: Array = self.group_means.mean(-1)
        return average

    @cached_property
    def contributions(self) -> Array:
        """What each cluster adds to `mean`, (..., clusters)."""
        parts: Array = (self.sums / self.counts.sum(-2)).mean(-1)
        return parts

    @cached_property
    def error(self) -> Array:
        """Standard error of `mean`, (...); NaN with fewer than two clusters.

        Cameron & Miller (2015), eq. 11, with the factor G / (G - 1): each item's distance from its
        group's mean, weighted as the item is in the estimate, is summed within each cluster.
        """
        if self.n_clusters < 2:
            return np.full(self.mean.shape, np.nan)
        residuals = self.sums - self.group_means[..., None, :] * self.counts
        totals = (residuals / self.counts.sum(-2)).mean(-1)
        error: Array = np.sqrt(self.n_clusters / (self.n_clusters - 1) * (totals**2).sum(-1))
        return error


def clustered_standard_error(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Return the standard error of a mean whose items share clusters.

    Cameron & Miller (2015), eq. 11 for a mean: the residuals are summed within each cluster, with
    the small-sample factor G / (G - 1). With one item a cluster it is the ordinary error.

    Args:
        values: One value an item.
        clusters: The cluster of each item (here its clip).

    Returns:
        The standard error; NaN with fewer than two clusters.
    """
    n = len(values)
    if n == 0:
        return math.nan
    mean = math.fsum(values) / n
    sums: dict[Hashable, float] = defaultdict(float)
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] += value - mean
    if len(sums) < 2:
        return math.nan
    factor = len(sums) / (len(sums) - 1)
    return math.sqrt(factor * math.fsum(total**2 for total in sums.values())) / n


def effective_n(sums: ClusterSums) -> Array:
    """Return how many independent items would give a share's standard error, (...).

    p (1 - p) / SE^2 (Kish 1965), at most the number of items. Where all items are alike there is
    no standard error, and only the clusters count as independent.
    """
    p = sums.mean
    spread = p * (1 - p)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.minimum(spread / sums.error**2, sums.n)
    # Rounding leaves 1e-17 where all items are right.
    return np.where(spread > 1e-12, found, float(sums.n_clusters))


def share_interval(sums: ClusterSums, level: float = 0.95) -> Interval:
    """Return the interval of a share: Wilson's, with the effective number of items.

    Student's quantile with G - 1 degrees of freedom stands in the normal quantile's place (Franco,
    Little, Louis & Slud 2019; Korn & Graubard 1998 for the degrees of freedom). It never leaves
    [0, 1], and at 0 or 100 % it has a length. NaN with fewer than two clusters.

    Args:
        sums: Sums of values between 0 and 1, by cluster and group.
        level: Coverage of the interval, such as 0.95.
    """
    p, n, t = sums.mean, effective_n(sums), _t(level, sums.n_clusters)
    middle = (p + t**2 / (2 * n)) / (1 + t**2 / n)
    half = t / (1 + t**2 / n) * np.sqrt(p * (1 - p) / n + t**2 / (4 * n**2))
    return Interval(np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0))


def chance_p(sums: ClusterSums, chance: float = 0.25) -> Array:
    """Return p, two-sided, of the hypothesis that a share is `chance`, (...).

    The score test that belongs to `share_interval`: below 0.05 just where the 95 % interval leaves
    chance out. NaN with fewer than two clusters.
    """
    from scipy import stats

    statistic = (sums.mean - chance) / np.sqrt(chance * (1 - chance) / effective_n(sums))
    if sums.n_clusters < 2:
        return np.full(np.shape(statistic), np.nan)
    p: Array = 2 * stats.t.sf(np.abs(statistic), sums.n_clusters - 1)
    return p


def difference_interval(sums: ClusterSums, level: float = 0.95) -> Interval:
    """Return the interval of a mean difference of paired answers, within [-1, 1].

    Mean +- t(G - 1) SE. With fewer than `FEW_DISCORDANT` clusters that differ at all, half a
    cluster of average size is added on either side first, after Agresti & Min (2005), who add half
    an item to each cell of a paired table. So no difference at all has an interval too. NaN with
    fewer than two clusters.

    Args:
        sums: Sums of differences between -1 and 1, by cluster and group.
        level: Coverage of the interval, such as 0.95.
    """
    t = _t(level, sums.n_clusters)
    plain = sums.mean, sums.error
    guarded = _guarded(sums)
    mean, error = (
        np.where(few_discordant(sums), g, p) for g, p in zip(guarded, plain, strict=True)
    )
    return Interval(np.maximum(mean - t * error, -1.0), np.minimum(mean + t * error, 1.0))


def difference_error(sums: ClusterSums) -> Array:
    """Return the standard error that `difference_interval` goes by, (...)."""
    return np.where(few_discordant(sums), _guarded(sums)[1], sums.error)


def few_discordant(sums: ClusterSums) -> npt.NDArray[np.bool_]:
    """Whether fewer than `FEW_DISCORDANT` clusters differ at all, (...)."""
    n_discordant = (np.abs(sums.contributions) > 1e-12).sum(-1)
    few: npt.NDArray[np.bool_] = n_discordant < FEW_DISCORDANT
    return few


def _guarded(sums: ClusterSums) -> tuple[Array, Array]:
    """Return mean and standard error with half a cluster more on either side."""
    if sums.n_clusters < 2:
        return sums.mean, sums.error
    weight, n_clusters = 0.5, sums.n_clusters + 1.0
    size = sums.counts.sum(-2) / sums.n_clusters  # of the average cluster, (groups,)
    total = sums.counts.sum(-2) + 2 * weight * size
    means = sums.sums.sum(-2) / total
    residuals = ((sums.sums - means[..., None, :] * sums.counts) / total).mean(-1)
    squares = (residuals**2).sum(-1)
    for side in (1.0, -1.0):
        squares = squares + weight * ((size * (side - means)) / total).mean(-1) ** 2
    return means.mean(-1), np.sqrt(n_clusters / (n_clusters - 1) * squares)


@cache
def _t(level: float, n_clusters: int) -> float:
    """Return Student's quantile for two sides, with one degree of freedom less than clusters."""
    if n_clusters < 2:
        return float("nan")
    from scipy import stats  # takes a second

    return float(stats.t.ppf((1 + level) / 2, n_clusters - 1))

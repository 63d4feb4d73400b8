"""Simulated answers with a known truth, to check the statistics against.

Each item has a uniform number; it is right, or changes, where its number falls into an interval of
that probability. With probability sqrt(r) an item takes its cluster's number in place of one of its
own, so two items of a cluster have correlation r whatever their probabilities.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tempo_tasks.stats.clustered_estimates import Array, ClusterSums

Counts = npt.NDArray[np.int_]


def draw_credits(
    rng: np.random.Generator,
    replicates: int,
    counts: Counts,
    accuracy: npt.ArrayLike,
    correlation: float,
) -> ClusterSums:
    """Draw answers, right (1) or wrong (0).

    Args:
        rng: Source of randomness.
        replicates: How often to draw.
        counts: Items of each cluster in each group, (clusters, groups).
        accuracy: Probability of a right answer, for all or for each group, (groups,).
        correlation: Correlation of two items of a cluster with the same accuracy, 0 to 1.

    Returns:
        Sums over clusters, (replicates, clusters, groups).
    """
    accuracies = np.broadcast_to(np.asarray(accuracy, dtype=float), counts.shape[1:])
    numbers = _numbers(rng, replicates, counts, correlation)
    return _sums(numbers < accuracies[_groups(counts)], counts)


def draw_differences(
    rng: np.random.Generator,
    replicates: int,
    counts: Counts,
    gain: npt.ArrayLike,
    loss: npt.ArrayLike,
    correlation: float,
) -> ClusterSums:
    """Draw changes of paired answers: wrong to right (1), right to wrong (-1), or none (0).

    Args:
        rng: Source of randomness.
        replicates: How often to draw.
        counts: Items of each cluster in each group, (clusters, groups).
        gain: Probability of 1, for all or for each group, (groups,).
        loss: Probability of -1, likewise.
        correlation: Correlation of the changes of two items of a cluster with the same
            probabilities, 0 to 1.

    Returns:
        Sums over clusters, (replicates, clusters, groups).
    """
    gains, losses = (
        np.broadcast_to(np.asarray(p, dtype=float), counts.shape[1:])[_groups(counts)]
        for p in (gain, loss)
    )
    numbers = _numbers(rng, replicates, counts, correlation)
    up = numbers < gains
    return _sums(up.astype(np.int8) - (~up & (numbers < gains + losses)), counts)


def _groups(counts: Counts) -> Counts:
    """Return the group of each item, the items in the order of clusters and then groups."""
    n_clusters, n_groups = counts.shape
    return np.repeat(np.tile(np.arange(n_groups), n_clusters), counts.ravel())


def _numbers(
    rng: np.random.Generator, replicates: int, counts: Counts, correlation: float
) -> Array:
    """Return each item's uniform number, (replicates, items)."""
    clusters = np.repeat(np.arange(len(counts)), counts.sum(1))
    shared = rng.random((replicates, len(counts)))[:, clusters]
    own = rng.random(shared.shape)
    return np.where(rng.random(shared.shape) < np.sqrt(correlation), shared, own)


def _sums(values: npt.NDArray[np.generic], counts: Counts) -> ClusterSums:
    sizes = counts.ravel()
    filled = np.flatnonzero(sizes)
    starts = (np.cumsum(sizes) - sizes)[filled]
    sums = np.zeros((len(values), len(sizes)))
    sums[:, filled] = np.add.reduceat(values.astype(float), starts, axis=1)
    return ClusterSums(counts.astype(float), sums.reshape(len(values), *counts.shape))

"""Every two of many sets of answers to the same items: the sign-flip test of `pairs`, all at once.

The test is the one of `pairs.sign_flip_p`: were two sets exchangeable, the difference of each
cluster would have either sign with the same probability. The distribution of the total has the
characteristic function prod cos(v t)^n(v), with n(v) clusters whose difference is v; its tail is a
sum over as many frequencies as there are totals, so half a million pairs take seconds. Averages of
kinds that have unequal numbers of items are in `weighted_pairs`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from tempo_tasks.stats.weighted_pairs import weighted_pairs_p

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_CREDIT = 12  # letters that tie share one item: 1, 1/2, 1/3, 1/4 are all twelfths
_CELLS = 2_000_000  # pairs times frequencies at once: 16 MB an array


def all_pairs_p(
    credits: Array,
    clusters: Sequence[Hashable],
    groups: Sequence[Hashable] | None = None,
    *,
    enough: float = 0.0,
) -> Array:
    """Return p, two-sided (mid-p), of every two sets.

    Args:
        credits: Credit of each item, 0 to 1, (sets, items); the same items in the same order.
        clusters: The cluster of each item.
        groups: The kind of each item, where the average of the kinds' means is compared; default:
            the mean of all items.
        enough: Where p is surely below this (Hoeffding 1963), that bound is given in its place:
            what a correction for many tests rejects stays the same as long as this is at most its
            smallest threshold.

    Returns:
        p of the pairs (0, 1), (0, 2), ..., (1, 2), ..., as `itertools.combinations` has them; 1
        where two sets do not differ in any cluster.
    """
    n_sets = len(credits)
    if n_sets < 2:
        return np.zeros(0)
    weights = _weights(len(clusters) * [None] if groups is None else groups)
    if np.ptp(weights) > 0:
        return weighted_pairs_p(_by_cluster(credits * weights, clusters), enough)
    sums = _in_steps(_by_cluster(credits, clusters))
    largest = int((sums.max(0) - sums.min(0)).max(initial=0))
    if largest == 0:
        return np.ones(n_sets * (n_sets - 1) // 2)
    pairs = np.concatenate([_sizes(sums, first, largest) for first in range(n_sets - 1)])
    cases, which = _unique(pairs)
    return _p_of(cases[:, 1:], cases[:, 0], enough)[which]


def _weights(groups: Sequence[Hashable]) -> Array:
    """Return the weight of each item in an average of the groups' means; the largest is 1."""
    numbers = Counter(groups)
    return np.array([min(numbers.values()) / numbers[group] for group in groups])


def _by_cluster(credits: Array, clusters: Sequence[Hashable]) -> Array:
    """Return the credit of each cluster, (sets, clusters)."""
    rows = {name: row for row, name in enumerate(dict.fromkeys(clusters))}
    where = np.array([rows[name] for name in clusters], dtype=np.int64)
    sums = np.zeros((len(rows), len(credits)))
    np.add.at(sums, where, np.asarray(credits, dtype=float).T)
    return sums.T


def _in_steps(sums: Array) -> Integers:
    """Return credits in whole steps."""
    steps = np.rint(sums * _CREDIT).astype(np.int64)
    return np.ascontiguousarray(steps // max(1, int(np.gcd.reduce(steps, axis=None))))


def _sizes(sums: Integers, first: int, largest: int) -> Integers:
    """Return of each later set the total difference, and how many clusters differ by 1, 2, ..."""
    difference = sums[first + 1 :] - sums[first]
    sizes = np.abs(difference)
    counts = [np.count_nonzero(sizes == size, axis=1) for size in range(1, largest + 1)]
    return np.stack([np.abs(difference.sum(1)), *counts], axis=1)


def _unique(rows: Integers) -> tuple[Integers, Integers]:
    """Return the distinct rows, and which of them each row is."""
    radix = rows.max(0).astype(object) + 1
    if int(np.prod(radix)) < 2**62:  # one whole number a row sorts faster than the row
        factors = np.array([int(np.prod(radix[:n])) for n in range(len(radix))], dtype=np.int64)
        _, places, which = np.unique(rows @ factors, return_index=True, return_inverse=True)
        return rows[places], which.reshape(-1)
    found, which = np.unique(rows, axis=0, return_inverse=True)
    return found, which.reshape(-1)


def _p_of(counts: Integers, totals: Integers, enough: float) -> Array:
    """Return p of totals, given how many clusters differ by 1, 2, ..., (cases, sizes)."""
    sizes = np.arange(1, counts.shape[1] + 1)
    squares = counts @ sizes**2
    p = np.ones(len(totals))
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = 2 * np.exp(-(totals**2) / (2.0 * squares))
    sure = (squares > 0) & (bound < enough)
    p[sure] = bound[sure]
    left = np.flatnonzero((squares > 0) & ~sure)
    furthest = counts @ sizes
    left = left[np.argsort(furthest[left], kind="stable")]
    start = 0
    while start < len(left):
        # As many as fit, all with the frequencies of the one that needs most.
        end = start + 1
        while end < len(left) and (end - start) * furthest[left[end]] < _CELLS:
            end = min(len(left), end + 256)
        some = left[start:end]
        p[some] = _exact(counts[some], totals[some], int(furthest[some[-1]]))
        start = end
    return p


def _exact(counts: Integers, totals: Integers, furthest: int) -> Array:
    """Return mid-p by inverting the characteristic function; totals are at most `furthest`."""
    n_frequencies = furthest + 2 - furthest % 2  # odd, and more than there are totals
    if n_frequencies % 2 == 0:
        n_frequencies += 1
    t = np.pi * np.arange(1, n_frequencies // 2 + 1) / n_frequencies
    cosines = np.cos(np.arange(1, counts.shape[1] + 1)[:, None] * t)
    with np.errstate(divide="ignore"):
        logarithms = np.maximum(np.log(np.abs(cosines)), -745.0)  # of the smallest float
    weights = counts.astype(np.float64)
    odd = np.rint(weights @ (cosines < 0)) % 2
    values = np.exp(weights @ logarithms) * (1 - 2 * odd)
    # P(|S| < o) + P(|S| = o) / 2: the sum of cos(s t) over those totals is sin(o t) / tan(t).
    observed, place = np.unique(totals, return_inverse=True)
    kernel = np.where(observed[:, None] > 0, np.sin(observed[:, None] * t) / np.tan(t), 0.5)[
        place.reshape(-1)
    ]
    at_zero = np.where(totals > 0, totals, 0.5)
    inside = (at_zero + 2 * (values * kernel).sum(1)) / n_frequencies
    p: Array = np.clip(1 - inside, 0.0, 1.0)
    return p

"""Every two of many sets of answers, where what is compared is an average of kinds' means.

Kinds of unequal numbers of items weigh their items by numbers that have no common step, so the
totals of the sign-flip test are no lattice to sum over. Its characteristic function is still a
product of cosines, and is inverted by the sum of Davies (1973, "Numerical inversion of a
characteristic function"), for which a few dozen frequencies are enough.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tempo_tasks.stats.pairs import sign_flip_p

Array = npt.NDArray[np.float64]

_STEP = 240  # parts of an item: weights are exact to about a thousandth
_FEW = 40  # clusters of the largest size, in variance: with fewer, the frequencies that count have
# no end before the cosines come back
_REACH = 9.0  # standard deviations of the total: nothing lies beyond
_SMOOTH = 8.5  # frequencies beyond this over a standard deviation add nothing: exp(-36)
_CELLS = 2_000_000  # pairs times clusters at once


def weighted_pairs_p(contributions: Array, enough: float) -> Array:
    """Return p, two-sided (mid-p), of every two sets.

    Args:
        contributions: What each cluster adds to the compared average, (sets, clusters), in items
            of the largest weight or another unit near 1.
        enough: See `tempo_tasks.stats.all_pairs.all_pairs_p`.

    Returns:
        p in the order of `itertools.combinations`.
    """
    steps = np.rint(contributions * _STEP).astype(np.int64)
    first, other = np.triu_indices(len(steps), 1)
    exact = steps.astype(np.float64)
    totals = np.abs(exact.sum(1)[first] - exact.sum(1)[other])
    products = exact @ exact.T
    lengths = np.diagonal(products)
    squares = lengths[first] + lengths[other] - 2 * products[first, other]
    p = np.ones(len(first))
    differ = squares > 0.5
    bound = np.ones(len(first))
    bound[differ] = 2 * np.exp(-(totals[differ] ** 2) / (2 * squares[differ]))
    sure = differ & (bound < enough)
    p[sure] = bound[sure]
    left = np.flatnonzero(differ & ~sure)
    at_once = max(1, _CELLS // steps.shape[1])
    for start in range(0, len(left), at_once):
        some = left[start : start + at_once]
        p[some] = _p_of(steps[first[some]] - steps[other[some]])
    return p


def _p_of(differences: npt.NDArray[np.int64]) -> Array:
    """Return p of pairs, given the difference of each cluster, (pairs, clusters)."""
    p = np.ones(len(differences))
    sizes = np.abs(differences)
    few = (sizes**2).sum(1) < _FEW * sizes.max(1) ** 2
    for pair in np.flatnonzero(few):
        p[pair] = sign_flip_p(differences[pair] / _STEP)
    if few.all():
        return p
    many, sizes = differences[~few], sizes[~few]
    kinds = np.flatnonzero(np.bincount(sizes.reshape(-1)))
    columns = np.zeros(int(kinds[-1]) + 1, dtype=np.int64)
    columns[kinds] = np.arange(len(kinds))
    cells = np.arange(len(many))[:, None] * len(kinds) + columns[sizes]
    counts = np.bincount(cells.reshape(-1), minlength=len(many) * len(kinds))
    counts = counts.reshape(len(many), len(kinds))
    p[~few] = _by_davies(counts, kinds.astype(np.float64), np.abs(many.sum(1)).astype(np.float64))
    return p


def _by_davies(counts: npt.NDArray[np.int64], sizes: Array, totals: Array) -> Array:
    """Return mid-p of totals, given how many clusters differ by each size, (pairs, sizes)."""
    deviations = np.sqrt(counts @ sizes**2)
    step = 2 * math.pi / (totals + _REACH * deviations)
    n_frequencies = math.ceil((_SMOOTH / (deviations * step)).max())
    orders = np.arange(n_frequencies) + 0.5
    t = step[:, None] * orders
    t[t > _SMOOTH / deviations[:, None]] = 0.0  # sin(0): adds nothing
    logarithms = np.zeros_like(t)
    for size, number in zip(sizes, counts.T, strict=True):
        logarithms += number[:, None] * np.log(np.cos(t * size))  # all below a quarter turn
    values = np.exp(logarithms) * np.sin(t * totals[:, None])
    above = 0.5 - (values / (math.pi * orders)).sum(1)
    p: Array = np.clip(2 * above, 0.0, 1.0)
    return p

"""Two sets of answers to the same items: difference, tests, and what could have been seen.

Exact McNemar is beside the test by clusters because it is the one people know. It takes items as
independent, which they are within one kind, where a clip occurs once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tempo_tasks.stats.clustered_estimates import (
    Array,
    ClusterSums,
    difference_error,
    difference_interval,
)

POWER = 0.8
_CREDIT = 12  # letters that tie share one item: 1, 1/2, 1/3, 1/4 are all twelfths
_LARGEST = 200_000  # steps of the exact distribution


@dataclass(frozen=True, kw_only=True)
class Paired:
    """What two sets of answers to the same items say; differences are `after` minus `before`.

    Attributes:
        n: Items that both answered.
        n_clusters: Clusters that the items lie in.
        before: Accuracy of the first set on these items; the average over kinds where several.
        after: That of the second.
        difference: after - before.
        error: Standard error of the difference, by cluster.
        low: Low end of its interval.
        high: High end of its interval.
        gained: Items that are wrong before and right after.
        lost: Items that are right before and wrong after.
        odds_ratio: gained / lost; None where nothing is lost.
        cohens_g: gained / (gained + lost) - 1/2; None where nothing changes.
        p_mcnemar: Exact McNemar test, two-sided; items count as independent.
        p: Sign-flip test over clusters, two-sided, mid-p.
        detectable: Smallest difference that would be seen in 80 % of such comparisons.
        items_needed: Items that a difference of this size would need for that; None without one.
    """

    n: int
    n_clusters: int
    before: float
    after: float
    difference: float
    error: float
    low: float
    high: float
    gained: int
    lost: int
    odds_ratio: float | None
    cohens_g: float | None
    p_mcnemar: float
    p: float
    detectable: float
    items_needed: int | None


def compare(
    before: Sequence[float],
    after: Sequence[float],
    clusters: Sequence[Hashable],
    groups: Sequence[Hashable] | None = None,
    *,
    level: float = 0.95,
) -> Paired:
    """Compare two sets of answers to the same items.

    Args:
        before: Credit of each item, 0 to 1.
        after: Credit of the same items, in the same order.
        clusters: The cluster of each item.
        groups: The kind of each item, where differences are averaged over kinds.
        level: Coverage of the interval; the tests' level in `detectable` is 1 - level.
    """
    from tempo_attn.statistics import mcnemar

    old, new = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    sums = ClusterSums.of(new - old, clusters, groups)
    gained, lost = int((new > old).sum()), int((new < old).sum())
    low, high = difference_interval(sums, level)
    difference = float(sums.mean)
    seen = detectable_difference(float(difference_error(sums)), sums.n_clusters, level=level)
    return Paired(
        n=sums.n,
        n_clusters=sums.n_clusters,
        before=float(ClusterSums.of(old, clusters, groups).mean),
        after=float(ClusterSums.of(new, clusters, groups).mean),
        difference=difference,
        error=float(sums.error),
        low=float(low),
        high=float(high),
        gained=gained,
        lost=lost,
        odds_ratio=gained / lost if lost else None,
        cohens_g=gained / (gained + lost) - 0.5 if gained + lost else None,
        p_mcnemar=float(mcnemar(gained, lost)),
        p=sign_flip_p(in_twelfths(sums)),
        detectable=seen,
        items_needed=_items_needed(sums.n, seen, difference),
    )


def _items_needed(n: int, detectable: float, difference: float) -> int | None:
    # The error falls with the root of the number of items.
    if abs(difference) < 1e-12 or np.isnan(detectable):
        return None
    return int(np.ceil(n * (detectable / abs(difference)) ** 2))


def in_twelfths(sums: ClusterSums) -> Array:
    """Return what each cluster adds to the difference, (..., clusters).

    In twelfths of an item of the first group: whole numbers where all groups have as many items.
    """
    sizes = sums.counts.sum(-2)
    twelfths: Array = (sums.sums * (sizes[0] / sizes)).sum(-1) * _CREDIT
    return twelfths


def sign_flip_p(contributions: Array, *, flips: int = 20_000) -> float:
    """Return p, two-sided, of the sign-flip test over clusters.

    Were the two sets of answers exchangeable, each cluster's difference would have either sign
    with the same probability, whatever the dependence within the cluster; the observed total is
    compared with all 2^G totals. Half of the probability of the observed total itself counts
    (mid-p), because the exact test rejects too rarely where few items differ (Fagerland, Lydersen &
    Laake 2013). With one item a cluster this is McNemar's mid-p test.

    The distribution is exact where contributions are whole numbers; else (kinds of unequal numbers
    of items) it is drawn, with a fixed seed.

    Args:
        contributions: Difference of each cluster, (clusters,), in any unit.
        flips: Draws, where it is drawn; they bound p from below.

    Returns:
        p; 1 where nothing differs.
    """
    rounded = np.rint(contributions)
    if np.abs(contributions - rounded).max(initial=0.0) < 1e-6:
        sizes = np.abs(rounded).astype(int)
        unit = int(np.gcd.reduce(sizes)) or 1
        steps = tuple(sorted(Counter((sizes[sizes > 0] // unit).tolist()).items()))
        if sum(size * number for size, number in steps) <= _LARGEST:
            return _exact_p(steps, abs(round(float(rounded.sum()) / unit)))
    return _drawn_p(contributions, flips)


@cache
def _exact_p(steps: tuple[tuple[int, int], ...], observed: int) -> float:
    """Return mid-p of a total, given (size, number of clusters of that size)."""
    from scipy import stats

    if not steps:
        return 1.0
    likely: Array = np.ones(1)
    for size, number in steps:
        one = np.zeros(size * number + 1)
        one[::size] = stats.binom.pmf(np.arange(number + 1), number, 0.5)
        likely = np.convolve(likely, one).astype(np.float64)
    furthest = len(likely) - 1
    totals = np.abs(2 * np.arange(furthest + 1) - furthest)
    return float(likely[totals > observed].sum() + 0.5 * likely[totals == observed].sum())


def _drawn_p(contributions: Array, flips: int) -> float:
    # Equal sizes are flipped together: few binomial numbers in place of a sign for each cluster.
    sizes, numbers = np.unique(np.round(np.abs(contributions), 9), return_counts=True)
    sizes, numbers = sizes[sizes > 0], numbers[sizes > 0]
    flipped = np.random.default_rng(0).binomial(numbers, 0.5, size=(flips, len(sizes)))
    totals = np.abs((2 * flipped - numbers) @ sizes)
    observed, slack = abs(float(contributions.sum())), 1e-6
    beyond = float((totals > observed + slack).sum())
    same = float((np.abs(totals - observed) <= slack).sum())
    return float((beyond + 0.5 * same + 1) / (flips + 1))


def detectable_difference(
    error: float, n_clusters: int, *, level: float = 0.95, power: float = POWER
) -> float:
    """Return the smallest difference that a comparison with this standard error would show.

    The difference at which a two-sided t test at 1 - level rejects with probability `power`, from
    the noncentral t distribution with G - 1 degrees of freedom (Bloom 1995 for the idea).

    Args:
        error: Standard error of the difference.
        n_clusters: Number of clusters.
        level: 1 minus the test's level.
        power: Probability of seeing it.

    Returns:
        A difference on the scale of `error`; at most 1; NaN with fewer than two clusters.
    """
    if n_clusters < 2 or np.isnan(error):
        return float("nan")
    return min(1.0, error * _standard_errors(n_clusters, level, power))


@cache
def _standard_errors(n_clusters: int, level: float, power: float) -> float:
    """Return how many standard errors a difference must have to be seen."""
    from statsmodels.stats.power import TTestPower  # takes seconds

    size = TTestPower().solve_power(nobs=n_clusters, alpha=1 - level, power=power)
    return float(size) * float(np.sqrt(n_clusters))


def detectable_accuracy(
    effective_n: float,
    n_clusters: int,
    *,
    chance: float = 0.25,
    level: float = 0.95,
    power: float = POWER,
) -> float:
    """Return the smallest accuracy above chance that the test against chance would show.

    Solves (p - c) sqrt(n) = t(level) sqrt(c (1 - c)) + t(power) sqrt(p (1 - p)).

    Args:
        effective_n: Independent items that the items are worth.
        n_clusters: Number of clusters.
        chance: c.
        level: 1 minus the test's level.
        power: Probability of seeing it.

    Returns:
        An accuracy; 1 where not even that would be seen; NaN with fewer than two clusters.
    """
    from scipy import optimize, stats

    if n_clusters < 2:
        return float("nan")
    bound, reserve = stats.t.ppf([(1 + level) / 2, power], n_clusters - 1)

    def short(p: float) -> float:
        needed = bound * np.sqrt(chance * (1 - chance)) + reserve * np.sqrt(p * (1 - p))
        return float((p - chance) * np.sqrt(effective_n) - needed)

    return float(optimize.brentq(short, chance, 1.0)) if short(1.0) > 0 else 1.0

"""Statistics: standard errors clustered by clip."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence


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

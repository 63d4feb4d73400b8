"""Which entries of a column can be told apart: ranks that are no more than the answers allow.

Every two entries are compared on the same items by the sign-flip test over clusters, and p is
corrected over all pairs of the column (Holm). What is left gives each entry a range of ranks: one
more than the entries that are surely better, to all but those that are surely worse; the ranges
hold together with the coverage of the level. A group begins with the best entry that is in none
yet, and has all that follow until one can be told from it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tempo_attn.statistics import holm
from tempo_tasks.stats.all_pairs import all_pairs_p

LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where an entry stands in a column.

    Attributes:
        group: Number of its group, from 1.
        first: Best rank that it may have.
        last: Worst rank that it may have.
        alike: Places of the entries that it cannot be told from.
    """

    group: int
    first: int
    last: int
    alike: Sequence[int]


def standings(
    accuracy: Sequence[float],
    credits: npt.NDArray[np.float32],
    clusters: Sequence[Hashable],
    kinds: Sequence[Hashable] | None = None,
    level: float = LEVEL,
) -> list[Standing]:
    """Return where each entry of a column stands.

    Args:
        accuracy: What the entries are sorted by: the mean of the credits, or of their kinds' means.
        credits: Credit of each item, (entries, items); the same items for all.
        clusters: The cluster of each item.
        kinds: The kind of each item, where entries are compared by the average over kinds.
        level: Probability of any pair being told apart falsely, at most.
    """
    n = len(accuracy)
    apart = _apart(np.asarray(credits, dtype=float), clusters, kinds, level)
    scores = np.asarray(accuracy, dtype=float)
    better = apart & (scores[None, :] > scores[:, None])  # (entry, who is better)
    worse = apart & (scores[None, :] < scores[:, None])
    groups = np.zeros(n, dtype=int)
    leader, number = -1, 0
    for place in sorted(range(n), key=lambda place: (-accuracy[place], place)):
        if leader < 0 or apart[leader, place]:
            leader, number = place, number + 1
        groups[place] = number
    return [
        Standing(
            group=int(groups[place]),
            first=int(better[place].sum()) + 1,
            last=n - int(worse[place].sum()),
            alike=[int(at) for at in np.flatnonzero(~apart[place]) if at != place],
        )
        for place in range(n)
    ]


def _apart(
    credits: npt.NDArray[np.float64],
    clusters: Sequence[Hashable],
    kinds: Sequence[Hashable] | None,
    level: float,
) -> npt.NDArray[np.bool_]:
    n = len(credits)
    apart = np.zeros((n, n), dtype=bool)
    if n > 1:
        above = np.triu_indices(n, 1)
        p = all_pairs_p(credits, clusters, kinds, enough=level / len(above[0]))
        apart[above] = np.array(holm(p.tolist())) < level
    both: npt.NDArray[np.bool_] = apart | apart.T
    return both

"""Folds: items divided into parts, so that what is chosen on some is tried on others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tempo_attn.errors import ConfigError
from tempo_attn.statistics import Array


def check_folds(folds: int) -> None:
    """Check a number of folds.

    Raises:
        ConfigError: It is below two.
    """
    if folds < 2:
        raise ConfigError(f"folds is {folds}; expected 2 or more, such as 5: one part is held out")


def cluster_folds(clusters: npt.ArrayLike, folds: int, seed: int) -> Array:
    """Divide clusters at random into folds with about equally many items.

    Args:
        clusters: The cluster of each item, (items,).
        folds: Number of folds.
        seed: Seed of the division, which does not depend on the order of the items.

    Returns:
        The fold of each item, (items,), from 0; all items of a cluster are in the same one.

    Raises:
        ConfigError: Fewer than two folds, or fewer clusters than folds.
    """
    check_folds(folds)
    names, number, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise ConfigError(
            f"the items come from {len(names)} clusters; expected at least one for each of the "
            f"{folds} folds. Use more items or fewer folds"
        )
    # Large clusters first, each into the fold with the fewest items so far; equal ones at random.
    shuffled = np.random.default_rng(seed).permutation(len(names))
    fold, filled = np.zeros(len(names), dtype=int), np.zeros(folds, dtype=int)
    for cluster in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold[cluster] = filled.argmin()
        filled[fold[cluster]] += sizes[cluster]
    items: Array = fold[number]
    return items

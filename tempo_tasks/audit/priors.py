"""What the other items' answers give away: label priors.

A prior scores an option by its label's answers among OTHER items:
(times right + 1/4) / (times shown + 1), one pseudo-observation at chance. Which others, matters.
Leave-one-out is biased below chance on a balanced set: the right answer held out is the very one
that its own label's count lacks. Folds of clusters are less so, and not at all where every cluster
is balanced in itself, as quartets are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tempo_tasks.audit.item_arrays import Floats, Ints, Items
from tempo_tasks.audit.strategies import (
    LABELS,
    PRESENCE,
    Earned,
    Strategy,
    earned,
)

FOLDS, REPEATS = 10, 20

LABEL_LOO = Strategy(
    "label prior, leave one out",
    LABELS,
    "Chooses the label that is right most often, for how often it is shown, in all other items; "
    "below chance on a balanced set.",
)
LABEL_RAW = Strategy(
    "label prior, raw counts",
    LABELS,
    "Chooses the label that is right most often in all other items, however often it is shown.",
)
LABEL_CLUSTER = Strategy(
    "label prior, leave cluster out",
    LABELS,
    "The label prior from the items of all other clusters; below chance on a balanced set.",
)
LABEL_FOLDS = Strategy(
    "label prior, 10 folds",
    LABELS,
    "The label prior from nine tenths of the clusters, tried on the rest; the fairer reading on a "
    "balanced set.",
)
BOTH_LOO = Strategy(
    "presence + prior, leave one out",
    PRESENCE,
    "Chooses among the options in the clip by the label prior; hears which sounds occur, not when.",
)
BOTH_FOLDS = Strategy(
    "presence + prior, 10 folds",
    PRESENCE,
    "The same with the prior from nine tenths of the clusters, tried on the rest.",
)
INSIDE_FOLDS = Strategy(
    "presence + in-clip prior, 10 folds",
    PRESENCE,
    "The same with a prior that counts a label only where it occurs in the clip.",
)


def prior_rows(items: Items, seed: int) -> list[Earned]:
    """Return what the priors earn; those with presence only where events are known.

    Args:
        items: The items.
        seed: Draws the folds.
    """
    loo = _leave_out(items, np.arange(len(items)))
    rows = [
        earned(LABEL_LOO, items, loo),
        earned(LABEL_RAW, items, _leave_out(items, np.arange(len(items)), raw=True)),
    ]
    if items.grouped:
        rows.append(earned(LABEL_CLUSTER, items, _leave_out(items, items.clusters)))
    rows.append(repeated_folds(LABEL_FOLDS, items, seed, lambda held: _leave_out(items, held)))
    if items.known.any():
        rows += [
            _where_known(earned(BOTH_LOO, items, _inside(items, loo)), items),
            _where_known(
                repeated_folds(
                    BOTH_FOLDS, items, seed, lambda held: _inside(items, _leave_out(items, held))
                ),
                items,
            ),
            _where_known(
                repeated_folds(
                    INSIDE_FOLDS,
                    items,
                    seed,
                    lambda held: _inside(items, _leave_out(items, held, inside=True)),
                ),
                items,
            ),
        ]
    return rows


def _leave_out(items: Items, held: Ints, *, raw: bool = False, inside: bool = False) -> Floats:
    """Return the options' prior from all items but those held out with their own.

    Args:
        items: The items.
        held: Number of the set that each item is held out with, (items,).
        raw: Whether labels are scored by the number of times they are right alone.
        inside: Count a label only where it occurs in the clip.

    Returns:
        (items, 4).
    """
    n_labels = len(items.labels)
    counted = (items.present if inside else np.ones_like(items.present)).astype(float)
    is_right = (np.arange(4) == items.right[:, None]) * counted
    # One key for each pair of a held-out set and a label: counts stay sparse.
    pair = held[:, None] * n_labels + items.options
    keys, place = np.unique(pair, return_inverse=True)
    place = place.reshape(pair.shape)

    def others(what: Floats) -> Floats:
        total = np.bincount(items.options.ravel(), what.ravel(), minlength=n_labels).astype(float)
        mine = np.bincount(place.ravel(), what.ravel(), minlength=len(keys)).astype(float)
        left: Floats = total[items.options] - mine[place]
        return left

    right = others(is_right)
    if raw:
        return right
    return (right + 0.25) / (others(counted) + 1)


def _inside(items: Items, prior: Floats) -> Floats:
    """Put the options in the clip before all others."""
    return items.present + prior / 2  # a prior is below 1


def _where_known(row: Earned, items: Items) -> Earned:
    known = items.known
    return Earned(row.strategy, row.credit[known], row.clusters[known], row.decided[known])


def repeated_folds(
    strategy: Strategy, items: Items, seed: int, scores: Callable[[Ints], Floats]
) -> Earned:
    """Average the credit over several draws of folds, so that the seed hardly matters."""
    rng = np.random.default_rng([seed, FOLDS])
    n_clusters = int(items.clusters.max()) + 1
    total, decided = np.zeros(len(items)), np.zeros(len(items), dtype=bool)
    for _ in range(REPEATS):
        fold = rng.permutation(n_clusters) % FOLDS
        row = earned(strategy, items, scores(fold[items.clusters]))
        total += row.credit
        decided |= row.decided
    return Earned(strategy, total / REPEATS, items.cluster_names, decided)


def label_balance(items: Items, seed: int, draws: int = 999) -> dict[str, Any]:
    """Test whether every label is right a quarter of the times it is shown.

    That is the score equation, at zero, of a conditional logit with one coefficient a label: on
    such a set no weights of labels beat chance in sample. The statistic is Pearson's, summed over
    labels; its null distribution is simulated with the right option drawn among the four.

    Args:
        items: The items.
        seed: Seed of the simulation.
        draws: How many sets of answers are simulated.

    Returns:
        `balanced` (exactly), `statistic`, `p`, and the `label` that is farthest off with how often
        it is `right` and `shown`.
    """
    n_labels = len(items.labels)
    shown = np.bincount(items.options.ravel(), minlength=n_labels)
    rows = np.arange(len(items))

    def off(right: Ints) -> Floats:
        hits = np.bincount(items.options[rows, right], minlength=n_labels)
        result: Floats = (hits - shown / 4) ** 2 / (shown * 3 / 16)
        return result

    mine = off(items.right)
    found = mine.sum()
    rng = np.random.default_rng([seed, 1])
    null = [off(rng.integers(4, size=len(items))).sum() for _ in range(draws)]
    worst = int(mine.argmax())
    hits = int((items.options[rows, items.right] == worst).sum())
    return {
        "balanced": bool(found == 0),
        "statistic": float(found),
        "p": float((1 + np.sum(np.array(null) >= found - 1e-9)) / (1 + draws)),
        "label": items.labels[worst],
        "right": hits,
        "shown": int(shown[worst]),
    }

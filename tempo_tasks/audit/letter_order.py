"""What the right letters give away: how often each one is right, and in which order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tempo_tasks.audit.item_arrays import Bools, Floats, Ints, Items
from tempo_tasks.audit.priors import repeated_folds
from tempo_tasks.audit.strategies import LETTERS, ROWS, Earned, Strategy, earned

_PERIODS = range(1, 17)

FIXED = Strategy(
    "best fixed letter, in sample",
    LETTERS,
    "Always answers the letter that is right most often; fitted to these items, so never under "
    "25 %.",
    fair=False,
)
LETTER_LOO = Strategy(
    "letter prior, leave one out",
    LETTERS,
    "Answers the letter that is right most often in all other items; 0 % where letters are "
    "exactly balanced.",
)
LETTER_FOLDS = Strategy(
    "letter prior, 10 folds",
    LETTERS,
    "The letter that is right most often in nine tenths of the clusters, tried on the rest.",
)
CYCLE = Strategy(
    "letter cycle",
    ROWS,
    "Answers the letter that most often follows the right letter of the row before; a fault of "
    "the file, which a model asked item by item cannot use.",
    fair=False,
)


def letter_rows(items: Items, seed: int) -> list[Earned]:
    """Return what the letters give away."""
    counts = np.bincount(items.right, minlength=4).astype(float)
    fixed = np.broadcast_to(counts == counts.max(), (len(items), 4)).astype(float)
    each = np.arange(len(items))
    rows = [
        earned(FIXED, items, fixed),
        earned(LETTER_LOO, items, _letters_left(items, each)),
        repeated_folds(LETTER_FOLDS, items, seed, lambda held: _letters_left(items, held)),
    ]
    scores, tried = _successors(items)
    if tried.any():
        rows.append(earned(CYCLE, items, scores, tried))
    return rows


def _letters_left(items: Items, held: Ints) -> Floats:
    """Return how often each letter is right in all items but those held out together."""
    one = np.eye(4)[items.right]
    sums = np.zeros((held.max() + 1, 4))
    np.add.at(sums, held, one)
    left: Floats = one.sum(0) - sums[held]
    return left


def _successors(items: Items) -> tuple[Floats, Bools]:
    """Score letters by how often they follow the letter of the row before, elsewhere."""
    tables = np.array(items.tables)
    follows = np.zeros(len(items), dtype=bool)
    follows[1:] = tables[1:] == tables[:-1]
    before = np.roll(items.right, 1)
    counts = np.zeros((4, 4))
    np.add.at(counts, (before[follows], items.right[follows]), 1)
    scores = counts[before].copy()
    scores[np.arange(len(items)), items.right] -= 1  # this very transition
    return scores, follows


def letter_order(items: Items) -> dict[str, Any]:
    """Return how the right letters are spread and ordered.

    Returns:
        `counts` of A ... D; `p_uniform` of a chi-square test of equal counts; `longest_run` of one
        letter; `period`, the shortest one up to 16 rows at which letters repeat more often than
        they would in a random order (binomial test, p < 0.001 after Bonferroni's correction), else
        None; `period_share`, the share of rows that repeat at it.
    """
    from scipy import stats

    counts = np.bincount(items.right, minlength=4)
    letters, tables = items.right, np.array(items.tables)
    chance = float(((counts / counts.sum()) ** 2).sum())
    best: tuple[float, int] | None = None
    for period in _PERIODS:
        pairs = (tables[period:] == tables[:-period]) if period < len(letters) else np.zeros(0)
        n = int(pairs.sum())
        if n == 0:
            continue
        same = int(((letters[period:] == letters[:-period]) & pairs).sum())
        p = stats.binomtest(same, n, chance, alternative="greater").pvalue
        if p * len(_PERIODS) < 0.001 and (best is None or same / n > best[0]):
            best = same / n, period
    return {
        "counts": dict(zip("ABCD", counts.tolist(), strict=True)),
        "p_uniform": float(stats.chisquare(counts).pvalue),
        "longest_run": _longest_run(letters, tables),
        "period": best[1] if best else None,
        "period_share": best[0] if best else None,
    }


def _longest_run(letters: Ints, tables: npt.NDArray[np.str_]) -> int:
    longest = run = 1
    for at in range(1, len(letters)):
        same = letters[at] == letters[at - 1] and tables[at] == tables[at - 1]
        run = run + 1 if same else 1
        longest = max(longest, run)
    return longest

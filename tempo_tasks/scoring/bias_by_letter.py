"""Accuracy for each right letter, and how uneven the four are."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.scoring.item_metrics import NOT_AVAILABLE

LetterCredits = Sequence[tuple[str, float]]
"""(right letter, credit) of each item."""


def _mean_of(items: LetterCredits, letter: str) -> float | str:
    values = [correct for answer, correct in items if answer == letter]
    return sum(values) / len(values) if values else "N/A"


def mean_a(items: LetterCredits) -> float | str:
    """Accuracy on the items whose right letter is A; "N/A" without any."""
    return _mean_of(items, "A")


def mean_b(items: LetterCredits) -> float | str:
    """Accuracy on the items whose right letter is B; "N/A" without any."""
    return _mean_of(items, "B")


def mean_c(items: LetterCredits) -> float | str:
    """Accuracy on the items whose right letter is C; "N/A" without any."""
    return _mean_of(items, "C")


def mean_d(items: LetterCredits) -> float | str:
    """Accuracy on the items whose right letter is D; "N/A" without any."""
    return _mean_of(items, "D")


def letter_bias(items: LetterCredits) -> float | str:
    """Standard deviation of the four letters' recalls, over the four.

    RStd of Zheng et al. 2024 (arXiv 2309.03882). A letter's recall is the accuracy on the items
    where it is right. 0 where the letter plays no part; 0.43 (the square root of 3/16) for one
    letter whatever is asked. "N/A" where a letter is never right.
    """
    recalls = [_mean_of(items, letter) for letter in LETTERS]
    known = [recall for recall in recalls if not isinstance(recall, str)]
    return statistics.pstdev(known) if len(known) == len(LETTERS) else NOT_AVAILABLE

"""The label prior: an answerer that hears nothing and knows which labels tend to be right.

An option's score is (times right + 1/4) / (times shown + 1) over other items: one observation at
chance comes before any data. The highest score is the answer; options that tie share it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
_TIE = 1e-9


def credit(scores: Shares) -> Shares:
    """Return what the first option earns where the highest score is the answer.

    Args:
        scores: One an option, (items, options); the right option stands first.

    Returns:
        1 where the first is highest, 1/k where it ties with k - 1 others, else 0; (items,).
    """
    best = scores >= scores.max(1, keepdims=True) - _TIE
    earned: Shares = best[:, 0] / best.sum(1)
    return earned


def leave_one_out(options: Labels) -> Shares:
    """Return what the prior earns on each item, learnt from all others.

    On a set where every label is right in exactly a quarter of the items that show it, it is
    below chance: the item left out is missing from its own label's count alone.

    Args:
        options: Number of each option's label, (items, options); the right option stands first.

    Returns:
        Share of the credit, (items,).
    """
    size = int(options.max()) + 1 if options.size else 0
    right = np.bincount(options[:, 0], minlength=size)
    shown = np.bincount(options.ravel(), minlength=size)
    was_right = np.zeros(options.shape[1])
    was_right[0] = 1
    return credit((right[options] - was_right + 0.25) / shown[options])

"""Strategies that answer without doing what is asked, and the credit that each earns on items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tempo_tasks.audit.item_arrays import Bools, Floats, Items, credit, tied

PRESENCE, LABELS, LETTERS, TEXT, CAPTION, ROWS, TIME = (
    "presence",
    "labels",
    "letters",
    "text",
    "caption",
    "row order",
    "time, not the question",
)
FAMILIES = (PRESENCE, LABELS, LETTERS, TEXT, CAPTION, ROWS, TIME)


@dataclass(frozen=True)
class Strategy:
    """A way to answer without doing what the question asks for.

    Attributes:
        name: Short and stable; the key in JSON and CSV.
        family: What it uses.
        meaning: One sentence.
        fair: Whether a model that answers one item at a time could do as well: not if the score is
            that of the sample it was fitted to, or if it needs the order of the rows.
    """

    name: str
    family: str
    meaning: str
    fair: bool = True

    @property
    def hears_no_time(self) -> bool:
        """Whether it can be the best strategy that hears no time and reads no caption."""
        return self.fair and self.family not in (CAPTION, ROWS, TIME)


@dataclass(frozen=True)
class Earned:
    """What a strategy earns on a part.

    Attributes:
        strategy: The strategy.
        credit: Expected accuracy of each item it was tried on, (tried,).
        clusters: Names of their clusters, (tried,).
        decided: Whether it prefers some options to others, (tried,); elsewhere it guesses among
            all four.
    """

    strategy: Strategy
    credit: Floats
    clusters: npt.NDArray[np.object_]
    decided: Bools


def earned(strategy: Strategy, items: Items, scores: Floats, tried: Bools | None = None) -> Earned:
    """Return what choosing the option with the highest score earns.

    Args:
        strategy: The strategy.
        items: The items.
        scores: Score of each option, (items, 4).
        tried: The items it can be tried on, (items,); default: all.
    """
    tried = np.ones(len(items), dtype=bool) if tried is None else tried
    scores, right = np.asarray(scores, dtype=float)[tried], items.right[tried]
    decided = tied(scores).sum(1) < 4
    return Earned(strategy, credit(scores, right), items.cluster_names[tried], decided)

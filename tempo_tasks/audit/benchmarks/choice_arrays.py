"""Items with two to eight options as arrays, and the credit that a strategy earns on them."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tempo_tasks.audit.item_arrays import Bools, Floats, Ints, tied
from tempo_tasks.audit.strategies import Earned, Strategy
from tempo_tasks.questions.choice_items import MOST, ChoiceItem, sound_key
from tempo_tasks.sources.benchmarks.read_items import occurs


@dataclass(frozen=True)
class ChoiceArrays:
    """Items with options, in the order of their rows.

    Attributes:
        items: The items.
        same_sound: What the list of sounds calls an option, where it calls it otherwise.
    """

    items: Sequence[ChoiceItem]
    same_sound: dict[str, str]

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def n_options(self) -> Ints:
        """Number of options, (items,)."""
        return np.array([len(item.options) for item in self.items], dtype=np.int64)

    @cached_property
    def is_right(self) -> Bools:
        """Which options are right, (items, 8): one, or all with its text."""
        found = np.zeros((len(self), MOST), dtype=bool)
        for row, item in enumerate(self.items):
            for letter in item.right_letters:
                found[row, string.ascii_uppercase.index(letter)] = True
        return found

    @cached_property
    def clusters(self) -> list[str]:
        """Name of each item's cluster."""
        return [item.cluster for item in self.items]

    @cached_property
    def keys(self) -> list[list[str]]:
        """What each option is told by, whatever its spelling."""
        return [[sound_key(option) or option for option in item.options] for item in self.items]

    @cached_property
    def present(self) -> list[list[bool] | None]:
        """Which options occur in the clip; None where its sounds are not known."""
        return [
            None
            if item.sounds is None
            else [occurs(option, item.sounds, self.same_sound) for option in item.options]
            for item in self.items
        ]

    @property
    def chance(self) -> float:
        """What a guess earns: the mean of one over the number of options."""
        return float((1 / self.n_options).mean())

    def scored(self, score: Callable[[ChoiceItem], Sequence[float]]) -> Floats:
        """Return a score of each option, (items, 8); -inf beyond an item's options."""
        found = np.full((len(self), MOST), -np.inf)
        for row, item in enumerate(self.items):
            found[row, : len(item.options)] = score(item)
        return found

    def earned(self, strategy: Strategy, scores: Floats, tried: Bools | None = None) -> Earned:
        """Return what choosing the option with the highest score earns; ties share the guess.

        Args:
            strategy: The strategy.
            scores: (items, 8); finite for an item's options.
            tried: The items it can be tried on, (items,); default: all.
        """
        tried = np.ones(len(self), dtype=bool) if tried is None else tried
        names = np.array(self.clusters, dtype=object)
        best = tied(scores[tried])
        earned: Floats = (best & self.is_right[tried]).sum(1) / best.sum(1)
        return Earned(strategy, earned, names[tried], best.sum(1) < self.n_options[tried])

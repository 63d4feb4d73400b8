"""Sets of heads that are tried, and what is kept of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tempo_attn.errors import ConfigError
from tempo_attn.lab.item_records import ItemRecord
from tempo_attn.statistics import Array

Head = tuple[int, int]
"""Layer and query head."""


@dataclass(frozen=True, kw_only=True)
class TriedRecord(ItemRecord):
    """One item's answers with sets of heads edited; see `ItemRecord`.

    Attributes:
        control: The candidates' logits with the largest set of best heads recomputed and nothing
            changed: in 16 bits recomputing alone moves them.
        edited: The candidates' logits with each set of heads edited, (sets, candidates).
    """

    control: Sequence[float]
    edited: Sequence[Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class HeadSet:
    """Heads that are edited together.

    Attributes:
        heads: Layer and head of each, the best one first.
        random: Whether they were drawn at random.
    """

    heads: Sequence[Sequence[int]]
    random: bool = False

    @property
    def by_layer(self) -> dict[int, list[int]]:
        """The heads of each layer, both ascending, as `AttnScaleConfig.heads`."""
        found: dict[int, list[int]] = {}
        for layer, head in sorted((layer, head) for layer, head in self.heads):
            found.setdefault(layer, []).append(head)
        return found


def head_sets(scores: Array, top: Sequence[int], n_random: int, seed: int) -> list[HeadSet]:
    """Return the best heads, for every number of them, each with random sets of the same size.

    Random heads are drawn from all that have a score and are not among those best ones.

    Args:
        scores: The score of each head, (layers, heads); NaN for those that cannot be edited.
        top: Numbers of best heads.
        n_random: Random sets for each number.
        seed: Seed of the draws.

    Raises:
        ConfigError: A number is below 1 or there are not twice as many heads.
    """
    known = np.argwhere(np.isfinite(scores))
    order = np.argsort(-scores[tuple(known.T)], kind="stable")
    ranked = [(int(layer), int(head)) for layer, head in known[order]]
    rng, sets = np.random.default_rng(seed), []
    for number in top:
        if not 1 <= number <= len(ranked) // 2:
            raise ConfigError(
                f"{number} best heads: this model has {len(ranked)} heads with a score; expected "
                f"1 to {len(ranked) // 2}, so that as many others can be drawn"
            )
        sets.append(HeadSet(heads=ranked[:number]))
        others = ranked[number:]
        for _ in range(n_random):
            drawn = rng.choice(len(others), number, replace=False)
            sets.append(HeadSet(heads=[others[i] for i in sorted(drawn)], random=True))
    return sets


def sets_from(data: Sequence[Mapping[str, object]]) -> list[HeadSet]:
    """Read the sets of a run's settings."""
    return [HeadSet(heads=one["heads"], random=bool(one["random"])) for one in data]  # type: ignore[arg-type]

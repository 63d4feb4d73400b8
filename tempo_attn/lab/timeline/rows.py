"""The events of a run as rows of a table, and pairs of events that one prompt names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tempo_attn.errors import ConfigError
from tempo_attn.lab.folds import cluster_folds
from tempo_attn.lab.timeline.records import TARGETS, TimelineRecord
from tempo_attn.statistics import Array

NEAREST = 0.1
"""Seconds by which onsets of a pair must differ for the order to be asked for."""


@dataclass(frozen=True)
class EventRows:
    """All events of a run, in the order of the records.

    Attributes:
        labels: Class of each event, (events,).
        clusters: Cluster of its item.
        seconds: Length of its clip.
        times: By target, seconds, (events, targets), as `TARGETS`.
        pairs: (pairs, 2): two events of one prompt, in the prompt's order.
    """

    labels: Array
    clusters: Array
    seconds: Array
    times: Array
    pairs: Array

    @classmethod
    def of(cls, records: Sequence[TimelineRecord]) -> EventRows:
        """Return the events of records.

        Raises:
            ConfigError: There are none.
        """
        found = [(record, event) for record in records for event in record.events]
        if not found:
            raise ConfigError("there is no event whose times are known")
        onset, offset, duration = (
            np.array([getattr(event, name) for _, event in found], dtype=float)
            for name in ("onset", "offset", "duration")
        )
        by_target = {"midpoint": (onset + offset) / 2, "onset": onset, "offset": offset}
        by_target["duration"] = duration
        pairs, start = [], 0
        for record in records:
            here = range(start, start + len(record.events))
            pairs += [(a, b) for a, b in combinations(here, 2) if _apart(onset[a], onset[b])]
            start += len(record.events)
        return cls(
            np.array([event.label for _, event in found]),
            np.array([record.cluster for record, _ in found]),
            np.array([record.seconds for record, _ in found], dtype=float),
            np.stack([by_target[name] for name in TARGETS], 1),
            np.array(pairs, dtype=int).reshape(-1, 2),
        )

    def time(self, target: str) -> Array:
        """Return the seconds of a target, (events,)."""
        column: Array = self.times[:, TARGETS.index(target)]
        return column

    @property
    def first_is_earlier(self) -> Array:
        """Whether the first event of each pair starts before the second, (pairs,) bool."""
        onset = self.time("onset")
        earlier: Array = onset[self.pairs[:, 0]] < onset[self.pairs[:, 1]]
        return earlier


def _apart(one: float, other: float) -> bool:
    return abs(one - other) >= NEAREST - 1e-9


@dataclass(frozen=True)
class Folds:
    """Every event's fold of classes and of clips.

    An event is tested by a probe that has seen no event of its fold of classes and none of its fold
    of clips: neither its class nor its clip. With k folds of each there are k * k probes, and every
    event is tested by one of them.

    Attributes:
        of_class: (events,).
        of_clip: (events,).
        n: Folds of classes; as many of clips.
    """

    of_class: Array
    of_clip: Array
    n: int

    @classmethod
    def draw(cls, labels: Array, clusters: Array, n: int, seed: int) -> Folds:
        """Divide classes, and clips, at random.

        Raises:
            ConfigError: There are fewer classes or clips than folds.
        """
        for name, what in (("classes", labels), ("clips", clusters)):
            if len(np.unique(what)) < n:
                raise ConfigError(
                    f"the events are of {len(np.unique(what))} {name}; expected at least one for "
                    f"each of the {n} folds. Use more items or fewer folds"
                )
        return cls(cluster_folds(labels, n, seed), cluster_folds(clusters, n, seed + 1), n)

    @property
    def clips_alone(self) -> list[tuple[Array, Array]]:
        """Training and tested events, (events,) bool each, where only clips are held out."""
        return [(self.of_clip != fold, self.of_clip == fold) for fold in range(self.n)]

    @property
    def both(self) -> list[tuple[Array, Array]]:
        """Training and tested events, (events,) bool each, where classes and clips are."""
        return [
            (
                (self.of_class != classes) & (self.of_clip != clips),
                (self.of_class == classes) & (self.of_clip == clips),
            )
            for classes in range(self.n)
            for clips in range(self.n)
        ]

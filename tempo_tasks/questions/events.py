"""Events and clips.

Conventions (arXiv 2606.17417, measured on its released files): times are seconds from the start of
the clip; an event is ONE label in ONE clip and the union of its intervals; onset is the earliest
start, offset the latest end, duration the summed length of the union.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tempo_tasks.errors import EventError

Interval = tuple[float, float]


def merge_intervals(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return the union of intervals, sorted and disjoint; touching intervals become one.

    Args:
        intervals: Pairs (start, end) in seconds, in any order.

    Raises:
        EventError: An interval is not finite, starts before 0, or does not end after its start.
    """
    merged: list[Interval] = []
    for start, end in sorted((float(start), float(end)) for start, end in intervals):
        if not (math.isfinite(start) and math.isfinite(end)) or start < 0 or end <= start:
            raise EventError(f"interval ({start}, {end}): expected 0 <= start < end, in seconds")
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


@dataclass(frozen=True, slots=True)
class Event:
    """One label in one clip.

    Attributes:
        label: The class label, as shown among the options.
        intervals: When it sounds, in seconds; stored as a sorted union.
    """

    label: str
    intervals: tuple[Interval, ...]

    def __post_init__(self) -> None:
        if not self.label.strip():
            raise EventError("an event needs a label; found an empty one")
        try:
            merged = merge_intervals(self.intervals)
        except EventError as error:
            raise EventError(f"event {self.label!r}: {error}") from None
        if not merged:
            raise EventError(f"event {self.label!r} has no interval")
        object.__setattr__(self, "intervals", merged)

    @property
    def onset(self) -> float:
        """Earliest start, in seconds."""
        return self.intervals[0][0]

    @property
    def offset(self) -> float:
        """Latest end, in seconds."""
        return self.intervals[-1][1]

    @property
    def duration(self) -> float:
        """Summed length of the union, in seconds."""
        return math.fsum(end - start for start, end in self.intervals)


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording and what is known about it.

    Attributes:
        id: Unique within a data set.
        events: One per label; sorted by label, so nothing depends on the order of annotation.
        caption: A sentence without time stamps, or None.
        audio: A lazy audio handle (see `tempo_tasks.audio`), or None.
    """

    id: str
    events: tuple[Event, ...]
    caption: str | None = None
    audio: Mapping[str, Any] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        by_label: dict[str, list[Interval]] = defaultdict(list)
        for event in self.events:
            by_label[event.label].extend(event.intervals)
        events = tuple(Event(label, tuple(by_label[label])) for label in sorted(by_label))
        object.__setattr__(self, "events", events)

    @property
    def labels(self) -> frozenset[str]:
        """Labels that occur in the clip."""
        return frozenset(event.label for event in self.events)

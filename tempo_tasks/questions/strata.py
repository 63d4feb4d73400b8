"""Strata: what an item asks of a listener, from the clip's intervals.

A score means more when it is split: an item whose other options do not occur in the clip asks which
sounds occur, not when; a lead of one second is harder than one of ten. Arguments and fields are in
seconds where they are times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tempo_tasks.questions.events import Clip, Interval
from tempo_tasks.questions.questions import Question

# Times are differences of decimal numbers: 2.28 - 1.28 falls short of 1.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Strata:
    """What is known of one item; None where it cannot be told.

    Attributes:
        n_present: How many options occur in the clip.
        margin: Lead of the right event over every other event of the clip, in seconds.
        overlap: Share of the right event's time in which another event sounds too.
        n_intervals: Number of intervals of the right event.
    """

    n_present: int | None = None
    margin: float | None = None
    overlap: float | None = None
    n_intervals: int | None = None


def strata_of(question: Question, clip: Clip | None) -> Strata:
    """Return an item's strata.

    Args:
        question: The item.
        clip: The clip of the question with its events; None, or without events, where the
            intervals are unknown.
    """
    if clip is None or not clip.events:
        return Strata(n_present=question.n_present)
    n_present = len(clip.labels.intersection(question.options))
    right = next((event for event in clip.events if event.label == question.answer_text), None)
    if right is None:
        return Strata(n_present=n_present)
    others = [event for event in clip.events if event is not right]
    return Strata(
        n_present=n_present,
        margin=min((question.kind.lead(right, other) for other in others), default=None),
        overlap=_shared(right.intervals, [span for event in others for span in event.intervals])
        / right.duration,
        n_intervals=len(right.intervals),
    )


def _shared(mine: tuple[Interval, ...], theirs: list[Interval]) -> float:
    """Return the seconds of disjoint sorted `mine` in which any of `theirs` sounds."""
    total = 0.0
    for start, end in mine:
        reached = start
        for begin, stop in sorted(theirs):
            begin, stop = max(begin, reached), min(stop, end)
            if stop > begin:
                total += stop - begin
                reached = stop
    return total


def _edges(*edges: float, unit: str = "") -> Callable[[float], str]:
    """Return what names the bin of a number: half-open bins between the edges."""
    names = [f"under {edges[0]:g}{unit}"]
    names += [f"{low:g} to {high:g}{unit}" for low, high in pairwise(edges)]
    names.append(f"{edges[-1]:g}{unit} or more")

    def name(value: float) -> str:
        return names[sum(value >= edge - _ROUNDING for edge in edges)]

    return name


def _overlap(share: float) -> str:
    if share <= 0:
        return "none"
    return "under half" if share < 0.5 - _ROUNDING else "half or more"


# Each stratum of a document: its field, and the name of the bin that a value falls into.
STRATA: Mapping[str, Callable[[Any], str]] = {
    "n_present": lambda count: str(count),
    "margin": _edges(1, 2, 4, 8, unit=" s"),
    "overlap": _overlap,
    "n_intervals": lambda count: str(count) if count < 3 else "3 or more",
}


def bins_of(doc: Mapping[str, Any]) -> dict[str, str]:
    """Return the bin of each stratum that a document knows, by the stratum's name."""
    return {name: bin_of(doc[name]) for name, bin_of in STRATA.items() if doc.get(name) is not None}


def tests_time(doc: Mapping[str, Any]) -> bool | None:
    """Whether two or more options occur in the clip: no other item tests time; None if unknown."""
    n_present = doc.get("n_present")
    return None if n_present is None else n_present >= 2

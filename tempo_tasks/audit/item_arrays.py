"""The items of one question kind of one data set as arrays, which every strategy reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.questions import LETTERS, Kind, Question
from tempo_tasks.sources.without_audio import PlainSet

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
EventOptions = tuple["Event | None", ...]


@dataclass(frozen=True)
class Items:
    """Questions of one kind of one data set, in the order of their rows.

    Attributes:
        data: The data set's name.
        kind: EO, LO or LD.
        questions: The questions.
        tables: The table each one stands in.
        clips: The clip of each question with its events, None where its intervals are not known.
        captions: The caption of each question's clip, None where there is none.
        label_clips: How many clips of the data set's intervals each label occurs in.
    """

    data: str
    kind: Kind
    questions: tuple[Question, ...]
    tables: tuple[str, ...]
    clips: tuple[Clip | None, ...]
    captions: tuple[str | None, ...]
    label_clips: dict[str, int]

    def __len__(self) -> int:
        return len(self.questions)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """All labels shown, sorted."""
        return tuple(sorted({label for q in self.questions for label in q.options}))

    @cached_property
    def options(self) -> Ints:
        """Number of each option's label in `labels`, (items, 4)."""
        number = {label: i for i, label in enumerate(self.labels)}
        rows = [[number[label] for label in q.options] for q in self.questions]
        return np.array(rows, dtype=np.int64).reshape(-1, 4)

    @cached_property
    def right(self) -> Ints:
        """Position of the right option, (items,)."""
        return np.array([LETTERS.index(q.answer) for q in self.questions], dtype=np.int64)

    @cached_property
    def cluster_names(self) -> npt.NDArray[np.object_]:
        """Name of each item's cluster, (items,)."""
        return np.array([q.cluster for q in self.questions], dtype=object)

    @cached_property
    def clusters(self) -> Ints:
        """Number of each item's cluster, (items,); clusters are numbered in the order of names."""
        number = {name: i for i, name in enumerate(sorted(set(self.cluster_names)))}
        return np.array([number[name] for name in self.cluster_names], dtype=np.int64)

    @cached_property
    def known(self) -> Bools:
        """Whether the clip's events are known, (items,)."""
        return np.array([bool(clip and clip.events) for clip in self.clips], dtype=bool)

    @cached_property
    def present(self) -> Bools:
        """Which options occur in the clip, (items, 4); False where events are not known."""
        rows = [
            [clip is not None and label in clip.labels for label in q.options]
            for q, clip in zip(self.questions, self.clips, strict=True)
        ]
        return np.array(rows, dtype=bool).reshape(-1, 4)

    @cached_property
    def events(self) -> tuple[EventOptions, ...]:
        """The event of each option, None where it does not occur in the clip."""
        return tuple(
            _events_of(q, clip) for q, clip in zip(self.questions, self.clips, strict=True)
        )

    @property
    def grouped(self) -> bool:
        """Whether some items share a cluster."""
        return len(set(self.cluster_names)) < len(self)


def _events_of(question: Question, clip: Clip | None) -> EventOptions:
    found = {event.label: event for event in clip.events} if clip else {}
    return tuple(found.get(label) for label in question.options)


def items_of(plain: PlainSet) -> list[Items]:
    """Return a data set's items, kind by kind."""
    tables = [table for table, _ in plain.places] or [""] * len(plain.questions)
    counts: dict[str, int] = {}
    for clip in plain.clips.values():
        for label in clip.labels:
            counts[label] = counts.get(label, 0) + 1
    parts = []
    for kind in plain.kinds:
        rows = [i for i, question in enumerate(plain.questions) if question.kind is kind]
        questions = tuple(plain.questions[i] for i in rows)
        parts.append(
            Items(
                data=plain.name,
                kind=kind,
                questions=questions,
                tables=tuple(tables[i] for i in rows),
                clips=tuple(plain.clips.get(q.clip_id) for q in questions),
                captions=tuple(plain.captions.get(q.clip_id) or None for q in questions),
                label_clips=counts,
            )
        )
    return parts


def credit(scores: npt.ArrayLike, right: Ints) -> Floats:
    """Return each item's expected accuracy where the option with the highest score is chosen.

    Options that tie share the guess. Scores that differ by rounding alone tie.

    Args:
        scores: (items, 4).
        right: Position of the right option, (items,).

    Returns:
        1 / (options that tie) where the right one is among the best, else 0; (items,).
    """
    scores = np.asarray(scores, dtype=float)
    best = tied(scores)
    chosen = best[np.arange(len(right)), right]
    return np.where(chosen, 1 / best.sum(1), 0.0) if len(right) else np.zeros(0)


def tied(scores: Floats) -> Bools:
    """Return which options have the highest score of their item, (items, 4)."""
    top = scores.max(axis=1, keepdims=True) if len(scores) else scores
    # Equal first: two infinities have no difference.
    best: Bools = (scores == top) | (scores >= top - 1e-9)
    return best

"""Hard questions from annotated clips: only items that test time.

All four options occur in the clip, so knowing which sounds occur helps nothing. And labels are
balanced: items are left out until the leave-one-out label prior, which hears nothing, is at chance.
The released benchmark has few such items (30 EO, 22 LO, 42 LD); the clips, with their intervals,
give more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tempo_tasks.errors import DataVersionError, MissingIntervalsError, QuestionError
from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.label_prior import leave_one_out
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind, Question, build_questions

_log = logging.getLogger(__name__)
CHANCE = 0.25


def build_hard(
    clips: Iterable[Clip], kind: Kind, *, seed: int = 0, margin: float | None = None
) -> list[Question]:
    """Build the hard questions of one kind, sorted by clip id.

    From all clips with four events and a right answer, the item that most favours a label is left
    out, one after the other, until the leave-one-out label prior (see `questions.label_prior`)
    is at or below 25 %. Not further: on a set that is balanced exactly, the missing item itself
    gives the right answer away. The same seed and clips give the same questions, whatever their
    order.

    Args:
        clips: Clips with events; ids must be unique.
        kind: EO, LO or LD.
        seed: Draws distractors, order and letters.
        margin: Lead of the right event in seconds; default: the released one of the kind.

    Raises:
        QuestionError: Bad clips (see `build_questions`), or no hard question among them.
    """
    lead = kind.released_margin if margin is None else margin
    rich = [clip for clip in clips if len(clip.events) >= 4]

    def build(chosen: Iterable[Clip]) -> list[Question]:
        return build_questions(chosen, kind, seed=seed, margin=lead, min_events=4, min_present=4)

    candidates = build(rich)
    kept = {candidates[number].clip_id for number in _balanced(candidates)}
    # Built anew: letters are balanced over the questions that remain.
    questions = build(clip for clip in rich if clip.id in kept)
    _log.info("%s: %d hard questions of %d", kind.value, len(questions), len(candidates))
    if not questions:
        raise QuestionError(
            f"{kind.value}: no hard question: none of {len(rich)} clips with four or more "
            f"events has one that leads all others by {lead:g} s; use more clips, or a smaller "
            "margin"
        )
    return questions


def _balanced(candidates: Sequence[Question]) -> list[int]:
    """Return which candidates stay, in order."""
    if not candidates:
        return []
    labels = sorted({label for question in candidates for label in question.options})
    number = {label: place for place, label in enumerate(labels)}
    rows = np.array([[number[label] for label in _right_first(q)] for q in candidates])
    # How far each item takes each label from "right in a quarter of the items that show it".
    pull: npt.NDArray[np.int64] = np.zeros((len(rows), len(labels)), dtype=np.int64)
    np.put_along_axis(pull, rows, np.array([[3, -1, -1, -1]]), axis=1)
    kept = np.ones(len(rows), dtype=bool)
    excess = pull.sum(0)
    while kept.any() and leave_one_out(rows[kept]).mean() > CHANCE:
        # The first of equals: candidates are in the order of their clips.
        worst = int(np.where(kept, _favour(rows, excess), np.iinfo(np.int64).min).argmax())
        kept[worst] = False
        excess -= pull[worst]
    return [int(place) for place in np.flatnonzero(kept)]


def _favour(rows: npt.NDArray[np.int64], excess: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how strongly each item agrees with the labels' present imbalance."""
    of_option = excess[rows]
    favour: npt.NDArray[np.int64] = 4 * of_option[:, 0] - of_option.sum(1)
    return favour


def _right_first(question: Question) -> list[str]:
    wrong = [label for label in question.options if label != question.answer_text]
    return [question.answer_text, *wrong]


def load_hard(kind: Kind, load: Callable[[Kind], QuestionSet]) -> QuestionSet:
    """Return the hard questions about the clips of the released benchmark, or of other data.

    Data whose questions of this kind are quartets (all have a group) are hard as they are.

    Args:
        kind: EO, LO or LD.
        load: Returns the questions of a kind that the data have, with the events of their clips:
            `load_released`, told which data.

    Raises:
        MissingIntervalsError: No clip's intervals are known.
        QuestionError: There is no hard question among the clips.
        DataUnavailableError: See `load_released`.
    """
    name = ""
    audio: dict[str, Mapping[str, Any]] = {}
    known: dict[str, str] = {}
    clips: dict[str, Clip] = {}
    failed: list[DataVersionError] = []
    for other in Kind:
        try:
            asked = load(other)
        except DataVersionError as error:
            failed.append(error)
            continue  # data of fewer kinds: the clips of the others serve
        if other is kind and asked.questions and all(q.group for q in asked.questions):
            # Quartets: whatever hears no time is at chance, by construction.
            return replace(asked, name=f"{asked.name}, hard")
        name = asked.name
        audio.update(asked.audio)
        known.update(asked.captions)
        clips.update(asked.clips)
    if len(failed) == len(Kind):
        raise failed[0]
    if not clips:
        raise MissingIntervalsError(
            f"{name}: hard questions are made from the times of events, and no clip's are known. "
            "Put intervals.csv (filename, label, onset, offset; seconds) into the data's folder, "
            'or name the file: --metadata \'{"data_intervals": "..."}\''
        )
    questions = build_hard(clips.values(), kind)
    return QuestionSet(
        f"{name}, hard",
        tuple(questions),
        {question.clip_id: audio[question.clip_id] for question in questions},
        {name: known[name] for name in {q.clip_id for q in questions} if name in known},
        {question.clip_id: clips[question.clip_id] for question in questions},
    )

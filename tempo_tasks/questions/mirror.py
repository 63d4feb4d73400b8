"""The mirrored twin: the same scene with its events in reversed order, and the same prompt.

An event at (s, e) of a clip of T seconds sounds at (T - e, T - s) in the twin. The earliest onset
of the twin is the latest offset of the original, and the other way round: a model that hears time
must change its answer, one that only knows which sounds occur has no reason to. Longest duration
(LD) is the same in both and has no twin. The idea: Primus & Widmer, "On Temporal Binding in LALMs".
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tempo_tasks.errors import NoMirrorError
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import LETTERS, Kind, Question

_log = logging.getLogger(__name__)

# Why a question has no twin, in the order in which it is asked.
NO_ANSWER = "twin_has_no_right_answer"
SAME_EVENT = "one_event_is_first_and_last"
NOT_OFFERED = "twin_answer_is_no_option"


def opposite(kind: Kind) -> Kind:
    """Return the kind whose answer about the original is the answer about the twin.

    Raises:
        NoMirrorError: LD, which a mirror does not change.
    """
    if kind is Kind.LD:
        raise NoMirrorError(
            "ld has no mirrored twin: reversed order changes no duration; choose eo or lo"
        )
    return Kind.LO if kind is Kind.EO else Kind.EO


def reverse_events(clip: Clip) -> Clip:
    """Return the events in reversed order, the last offset becoming the start of the clip.

    How long the clip goes on after that is not needed: leads and durations do not depend on it.
    """
    end = max((event.offset for event in clip.events), default=0.0)
    events = (
        Event(event.label, tuple((end - stop, end - start) for start, stop in event.intervals))
        for event in clip.events
    )
    return Clip(clip.id, tuple(events))


@dataclass(frozen=True, slots=True)
class Pair:
    """A question about a clip and the same question about its twin.

    Attributes:
        original: The question.
        twin: The same kind, options and clip (the cluster of standard errors), another answer.
    """

    original: Question
    twin: Question

    @property
    def id(self) -> str:
        """What both documents name as their pair."""
        return self.original.id


@dataclass(frozen=True)
class MirrorSet:
    """Pairs of one kind and what is needed to pose them.

    Attributes:
        originals: The questions that have a twin, with the clips' audio.
        twins: Questions about the twins, in the same order, with the twins' audio; clip ids are
            the originals'.
        form: How the twins' audio came about, in words.
        left_out: How many questions have no twin, by reason.
    """

    originals: QuestionSet
    twins: QuestionSet
    form: str
    left_out: Mapping[str, int]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs, in the order in which they are asked."""
        both = zip(self.originals.questions, self.twins.questions, strict=True)
        return tuple(Pair(original, twin) for original, twin in both)

    @property
    def name(self) -> str:
        """The name of the data set."""
        return self.originals.name

    @property
    def audio(self) -> list[Any]:
        """All handles."""
        return [*self.originals.audio.values(), *self.twins.audio.values()]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that the set poses, whatever the order of its rows."""
        both = f"{self.originals.fingerprint} {self.twins.fingerprint}"
        return hashlib.sha256(both.encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what the results say about the pairs."""
        return {
            "form": self.form,
            "pairs": len(self.originals.questions),
            "left_out": dict(self.left_out),
        }


def pair_up(
    questions: Iterable[Question], twin_label: Callable[[Question], str | None]
) -> tuple[list[Pair], dict[str, int]]:
    """Pair questions with their twins.

    Args:
        questions: EO or LO questions.
        twin_label: The right label of a question about the twin; None where there is none.

    Returns:
        The pairs, and how many questions were left out for each reason.
    """
    pairs: list[Pair] = []
    left_out = {NO_ANSWER: 0, SAME_EVENT: 0, NOT_OFFERED: 0}
    for question in questions:
        label = twin_label(question)
        if label is None:
            left_out[NO_ANSWER] += 1
        elif label == question.answer_text:
            left_out[SAME_EVENT] += 1
        elif label not in question.options:
            left_out[NOT_OFFERED] += 1
        else:
            letter = LETTERS[question.options.index(label)]
            twin = replace(question, id=f"{question.id}/mirror", answer=letter)
            pairs.append(Pair(question, twin))
    return pairs, left_out


def mirror_set(
    questions: QuestionSet,
    twin_label: Callable[[Question], str | None],
    twin_audio: Mapping[str, Any],
    form: str,
) -> MirrorSet:
    """Put the questions that have a twin beside their twins.

    Args:
        questions: EO or LO questions.
        twin_label: Label that is right about the twin; see `pair_up`.
        twin_audio: Handle of each clip's twin, by the id of the clip.
        form: How the twins' audio came about, in words.

    Raises:
        NoMirrorError: No question has a twin.
    """
    pairs, left_out = pair_up(questions.questions, twin_label)
    _log.info("%s: %d mirrored pairs; left out: %s", questions.name, len(pairs), left_out)
    if not pairs:
        raise NoMirrorError(
            f"{questions.name}: none of {len(questions.questions)} questions has a mirrored twin "
            f"({left_out}); expected at least one. Use more clips, or the aqa tasks"
        )

    # Captions tell the order of the original and are never given here.
    def half(
        asked: Iterable[Question],
        audio: Mapping[str, Any],
        clips: Mapping[str, Clip],
    ) -> QuestionSet:
        asked = tuple(asked)
        return QuestionSet(
            questions.name,
            asked,
            {question.clip_id: audio[question.clip_id] for question in asked},
            {},
            clips,
        )

    reversed_clips = {name: reverse_events(clip) for name, clip in questions.clips.items()}
    return MirrorSet(
        originals=half((pair.original for pair in pairs), questions.audio, questions.clips),
        twins=half((pair.twin for pair in pairs), twin_audio, reversed_clips),
        form=form,
        left_out=left_out,
    )

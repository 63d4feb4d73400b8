"""One question against its clip's intervals: the answer, its margin and the distractors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

from tempo_tasks.data.check.findings import Finding, Place, What, about
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.questions import LETTERS, Kind, Question, right_event
from tempo_tasks.questions.spelling import plain_label

# Differences of decimal times such as 2.28 - 1.28 fall short of 1.0 in binary.
_DECIMALS = 9


class Vocabulary:
    """The labels that an option may be, and how each is spelled."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._labels = frozenset(labels)
        self._spelling = {plain_label(label): label for label in sorted(self._labels)}

    def __contains__(self, option: str) -> bool:
        return option in self._labels

    def spelling(self, option: str) -> str | None:
        """Return the label that an option means whatever its case, blanks and underscores."""
        return option if option in self else self._spelling.get(plain_label(option))


@dataclass(frozen=True, slots=True)
class Rule:
    """What is asked of an item.

    Attributes:
        margin: Seconds by which the right event must lead every other one, for each kind.
        vocabulary: The labels that an option may be.
        repair: Take options that differ from a label in spelling only for that label, and note it.
    """

    margin: Mapping[Kind, float]
    vocabulary: Vocabulary
    repair: bool = False


@dataclass(frozen=True, slots=True)
class CheckedItem:
    """One question and what the intervals say of it.

    Attributes:
        item: The question's id.
        kind: `eo`, `lo` or `ld`.
        clip: The clip's id.
        table: The table that the question stands in.
        row: The row in it, the first after a header being 1; None where there are no rows.
        answer: The letter marked right.
        answer_text: The label of the marked option.
        right: The label that the intervals give; None where there are none, or two tie.
        margin: Lead of the marked label over every other event of the clip, in seconds, negative
            where it loses; None where it does not occur, or nothing else does.
        required: The margin that it must have.
        in_clip: Letters of the options that occur in the clip; None without intervals.
        left_out: How many events of the clip could have stood for absent labels among the options.
        disagreements: Kinds of findings that the item fails for.
    """

    item: str
    kind: str
    clip: str
    table: str
    row: int | None
    answer: str
    answer_text: str
    right: str | None
    margin: float | None
    required: float
    in_clip: tuple[str, ...] | None
    left_out: int
    disagreements: tuple[str, ...] = field(default=())

    @property
    def agrees(self) -> bool:
        """Whether nothing about the item disagrees."""
        return not self.disagreements

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "agrees": self.agrees}


def check_item(
    question: Question, place: Place, clip: Clip | None, rule: Rule
) -> tuple[CheckedItem, list[Finding]]:
    """Check one question.

    Args:
        question: The question.
        place: The table and the row of the question.
        clip: The clip of the question; None, or without events, where there are no intervals.
        rule: What is asked of it.
    """
    findings = _alike(question, place)
    if not findings and rule.repair:
        question, findings = _respelled(question, place, rule.vocabulary)
    findings += _unknown(question, place, rule.vocabulary)
    checked = CheckedItem(
        item=question.id,
        kind=question.kind.value,
        clip=question.clip_id,
        table=place[0],
        row=place[1],
        answer=question.answer,
        answer_text=question.answer_text,
        right=None,
        margin=None,
        required=rule.margin[question.kind],
        in_clip=None,
        left_out=0,
    )
    if clip is None or not clip.events:
        found = f"no interval of {question.clip_id}"
        missing = about(
            question, place, What.NO_INTERVALS, found, "expected its events; cannot be checked"
        )
        return checked, [*findings, missing]
    timed = _Timed(question, place, clip, rule.margin[question.kind])
    present = [option for option in question.options if option in clip.labels]
    checked = replace(
        checked,
        right=timed.right_label,
        margin=timed.margin,
        in_clip=tuple(question_letter(question, option) for option in present),
        left_out=min(4 - len(present), len(clip.labels) - len(present)),
    )
    return checked, findings + timed.findings()


def question_letter(question: Question, option: str) -> str:
    """Return the letter of an option."""
    return LETTERS[question.options.index(option)]


class _Timed:
    """A question, the events of its clip, and how they compare."""

    def __init__(self, question: Question, place: Place, clip: Clip, required: float) -> None:
        self.question, self.place, self.clip, self.required = question, place, clip, required
        self.kind = question.kind
        right = right_event(clip, self.kind, 0.0)
        assert right is not None, "some event is first, last or longest"
        self.right = right
        named = (event for event in clip.events if event.label == question.answer_text)
        self.marked = next(named, None)
        self.others = [event for event in clip.events if event is not self.marked]
        self.margin: float | None = None
        if self.marked is not None and self.others:
            self.margin = min(self._lead(self.marked, other) for other in self.others)

    @property
    def right_label(self) -> str | None:
        """The label that is right; None where two events tie."""
        rivals = (event for event in self.clip.events if event is not self.right)
        tied = any(self._lead(self.right, rival) == 0 for rival in rivals)
        return None if tied else self.right.label

    def findings(self) -> list[Finding]:
        """Return what is wrong with the answer and the distractors."""
        answer = self._answer()
        return ([answer] if answer else []) + self._distractors()

    def _answer(self) -> Finding | None:
        if self.marked is None:
            return self._about(
                What.ABSENT_ANSWER,
                f"{self.question.answer} {self.question.answer_text!r} is marked right and is no "
                f"event of {self.clip.id}",
                f"expected {self._shown(self.right)}",
            )
        if self.margin is None:
            return self._about(
                What.ONE_EVENT,
                f"{self._shown(self.marked)} is the clip's only event",
                "nothing to compare it with",
            )
        if self.margin < 0:
            return self._about(
                What.WRONG_ANSWER,
                f"{self._shown(self.marked)} is marked right, {-self.margin:.4g} s behind",
                f"expected {self._shown(self.right)}",
            )
        if self.margin >= self.required and self.margin > 0:
            return None
        rival = max(self.others, key=lambda other: self.kind.lead(other, self.right))
        both = f"{self._shown(self.marked)} is marked right and {self._shown(rival)}"
        if self.margin == 0:
            return self._about(What.TIE, f"{both}: a tie", "expected one right event")
        return self._about(
            What.SMALL_MARGIN,
            f"{both}: a margin of {self.margin:.4g} s",
            f"expected {self.required:g} s or more",
        )

    def _distractors(self) -> list[Finding]:
        """Return the distractors that are as right as the marked option, or more so."""
        if self.marked is None:
            return []
        findings = []
        for event in self.others:
            lead = self._lead(event, self.marked)
            if event.label in self.question.options and lead >= 0:
                how = f"is {lead:.4g} s ahead of the answer" if lead else "ties with the answer"
                found = f"{self._shown(event)} {how}"
                expected = f"expected it behind {self._shown(self.marked)}"
                findings.append(self._about(What.BAD_DISTRACTOR, found, expected))
        return findings

    def _lead(self, event: Event, other: Event) -> float:
        return round(self.kind.lead(event, other), _DECIMALS)

    def _about(self, what: What, found: str, expected: str) -> Finding:
        return about(self.question, self.place, what, found, expected)

    def _shown(self, event: Event) -> str:
        time = {
            Kind.EO: f"starts at {event.onset:g} s",
            Kind.LO: f"ends at {event.offset:g} s",
            Kind.LD: f"lasts {event.duration:g} s",
        }[self.kind]
        if event.label not in self.question.options:
            return f"{event.label!r} (no option, {time})"
        return f"{question_letter(self.question, event.label)} {event.label!r} ({time})"


def _alike(question: Question, place: Place) -> list[Finding]:
    plain = dict(zip(question.options, map(plain_label, question.options), strict=True))
    return [
        about(
            question,
            place,
            What.OPTIONS_ALIKE,
            f"options {question_letter(question, one)} {one!r} and "
            f"{question_letter(question, other)} {other!r} differ in spelling only",
            "expected four different labels",
        )
        for one, other in combinations(question.options, 2)
        if plain[one] == plain[other]
    ]


def _respelled(
    question: Question, place: Place, vocabulary: Vocabulary
) -> tuple[Question, list[Finding]]:
    """Return the question with its options spelled as the labels are, and what was changed."""
    a, b, c, d = (vocabulary.spelling(option) or option for option in question.options)
    findings = [
        about(
            question,
            place,
            What.REPAIR,
            f"option {letter} {old!r} differs from the label {new!r} in spelling only",
            "read as that",
        )
        for letter, old, new in zip(LETTERS, question.options, (a, b, c, d), strict=True)
        if old != new
    ]
    return replace(question, options=(a, b, c, d)), findings


def _unknown(question: Question, place: Place, vocabulary: Vocabulary) -> list[Finding]:
    findings = []
    for letter, option in zip(LETTERS, question.options, strict=True):
        if option in vocabulary:
            continue
        label = vocabulary.spelling(option)
        if label is None:
            what, expected = What.UNKNOWN_OPTION, "expected a label of the intervals"
        else:
            what, expected = What.SPELLING, f"expected the spelling of the intervals, {label!r}"
        found = f"option {letter} {option!r} is no label of the intervals"
        findings.append(about(question, place, what, found, expected))
    return findings

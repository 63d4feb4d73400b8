"""EO, LO and LD questions from events (arXiv 2606.17417, section 2).

A question asks which of four labels starts earliest (EO), ends latest (LO) or lasts longest (LD).
It exists only where the right event leads EVERY other event of its clip by a margin. Every choice
(distractors, order, letter) is drawn from SHA-256 of the seed and the item's own name, so the same
seed gives the same bytes on every machine, whatever the order of clips or events.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from functools import lru_cache
from heapq import nsmallest
from itertools import pairwise
from typing import Any

from tempo_tasks.errors import QuestionError
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.spelling import breaks_line

LETTERS = ("A", "B", "C", "D")
# Differences of decimal times such as 2.28 - 1.28 fall short of 1.0 by rounding.
_ROUNDING = 1e-9


class Kind(str, Enum):
    """The three question kinds; the value is the task-name part."""

    EO = "eo"
    LO = "lo"
    LD = "ld"

    @property
    def text(self) -> str:
        """The released wording."""
        return _SPECS[self].text

    @property
    def keyword(self) -> str:
        """The word of the question that carries the temporal relation."""
        return _SPECS[self].keyword

    @property
    def released_margin(self) -> float:
        """Smallest lead of the right event in the released file, in seconds (measured)."""
        return _SPECS[self].released_margin

    def lead(self, event: Event, other: Event) -> float:
        """Seconds by which `event` beats `other` at this question; negative if it loses."""
        return _SPECS[self].rank(event) - _SPECS[self].rank(other)


@dataclass(frozen=True)
class _KindSpec:
    text: str
    keyword: str
    rank: Callable[[Event], float]
    released_margin: float


_SPECS = {
    Kind.EO: _KindSpec(
        "Which sound event starts earliest in the given audio?",
        "earliest",
        lambda event: -event.onset,
        1.0,
    ),
    Kind.LO: _KindSpec(
        "Which sound event ends latest in the given audio?",
        "latest",
        lambda event: event.offset,
        1.0,
    ),
    Kind.LD: _KindSpec(
        "Which sound event has the longest duration in the given audio?",
        "longest",
        lambda event: event.duration,
        3.0,
    ),
}


@dataclass(frozen=True, slots=True)
class Question:
    """One four-option question about one clip.

    Attributes:
        id: "<clip id>/<kind>", with "/<n>" after it for further questions on the same clip.
        clip_id: The clip.
        kind: EO, LO or LD.
        options: Four distinct labels, in the order of the letters A-D, each on one line.
        answer: The right letter.
        n_present: How many of the options occur in the clip (None where unknown). Only items with
            two or more test time at all.
        group: The questions that were made together, such as the four of a quartet (see
            `tempo_tasks.sources.synth.quartets`); empty for a question on its own.
    """

    id: str
    clip_id: str
    kind: Kind
    options: tuple[str, str, str, str]
    answer: str
    n_present: int | None = None
    group: str = ""

    def __post_init__(self) -> None:
        if len(self.options) != 4 or len(set(self.options)) != 4:
            raise QuestionError(
                f"{self.id}: expected four distinct options, found {list(self.options)}"
            )
        for option in self.options:
            if breaks_line(option) or option != option.strip() or not option:
                raise QuestionError(
                    f"{self.id}: the option {option!r} would break the list of options in a "
                    "prompt; expected text on one line, without blanks around it"
                )
        if self.answer not in LETTERS:
            raise QuestionError(f"{self.id}: the answer must be A, B, C or D, not {self.answer!r}")

    @property
    def text(self) -> str:
        """The question's sentence, in the released wording."""
        return self.kind.text

    @property
    def answer_text(self) -> str:
        """The label of the right option."""
        return self.options[LETTERS.index(self.answer)]

    @property
    def cluster(self) -> str:
        """What standard errors are clustered by: the group, else the clip."""
        return self.group or self.clip_id

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        plain = {**asdict(self), "kind": self.kind.value, "options": list(self.options)}
        # Absent where there is none: the fingerprints of all other sets stay what they were.
        return plain if self.group else {key: plain[key] for key in plain if key != "group"}


def right_event(clip: Clip, kind: Kind, margin: float) -> Event | None:
    """Return the event that leads every other one of the clip by `margin` seconds, if there is one.

    Args:
        clip: The clip; with a single event, that event is right (nothing to lead).
        kind: What is asked.
        margin: Required lead over EVERY other event, in seconds.
    """
    for event in clip.events:
        leads = (kind.lead(event, other) for other in clip.events if other is not event)
        if all(lead >= margin - _ROUNDING for lead in leads):
            return event
    return None


def _draw(*key: object) -> str:
    """Return a string that orders items at random: SHA-256 over the seed and names."""
    return hashlib.sha256(json.dumps(key, ensure_ascii=False).encode()).hexdigest()


def _draws(*key: object) -> Callable[[str], bytes]:
    """Return a function of a label that orders as `_draw(*key, label)` does, only faster."""
    start = json.dumps(key, ensure_ascii=False).encode()[:-1] + b", "
    return lambda label: hashlib.sha256(start + _list_end(label)).digest()


@lru_cache(maxsize=1 << 16)
def _list_end(label: str) -> bytes:
    """Return the JSON of a list from its last item on."""
    return json.dumps(label, ensure_ascii=False).encode() + b"]"


def build_questions(
    clips: Iterable[Clip],
    kind: Kind,
    *,
    seed: int = 0,
    margin: float = 1.0,
    labels: Iterable[str] | None = None,
    min_events: int = 2,
    min_present: int = 1,
    per_clip: int = 1,
    only: Collection[str] | None = None,
    alike: Mapping[str, Collection[str]] | None = None,
) -> list[Question]:
    """Build the questions of one kind, sorted by clip id.

    Distractors are other events of the clip first, then labels that do not occur in it. Right
    letters are balanced to within one over the whole list, in shuffled order.

    Args:
        clips: Clips with events; ids must be unique.
        kind: EO, LO or LD.
        seed: Draws distractors, order and letters.
        margin: Lead of the right event over every other event, in seconds. 1.0 in the paper's
            text for all kinds; the released LD file has 3.0.
        labels: Labels to draw absent distractors from; default: all labels of `clips`.
        min_events: Events that a clip must have. 2 as in the released files, where a clip with a
            single event, which leads nothing, has no question.
        min_present: Options that must occur in the clip. 1 as in the released file; from 2 on a
            question cannot be answered by knowing which sounds occur.
        per_clip: At most this many questions a clip, with different options.
        only: Ids of the questions to keep, default all; letters are balanced over those kept.
        alike: For each label those that sound like it: an absent distractor sounds like no event of
            the clip, nor like another one.

    Raises:
        QuestionError: Duplicate clip ids, a bad parameter, or too few labels for four options.
    """
    if not margin > 0:
        raise QuestionError(f"margin must be positive seconds, not {margin!r}")
    if min(per_clip, min_events) < 1 or not 1 <= min_present <= 4:
        raise QuestionError(
            f"per_clip={per_clip}, min_events={min_events}, min_present={min_present}: expected "
            "per_clip and min_events of at least 1 and min_present between 1 and 4"
        )
    ordered = sorted(clips, key=lambda clip: clip.id)
    for before, after in pairwise(ordered):
        if before.id == after.id:
            raise QuestionError(f"two clips have the id {after.id!r}; ids must be unique")
    pool = set(labels) if labels is not None else {name for clip in ordered for name in clip.labels}

    drafts: list[tuple[str, Clip, str, tuple[str, str, str]]] = []
    for clip in ordered:
        right = right_event(clip, kind, margin)
        if right is None or len(clip.events) < max(min_events, min_present):
            continue
        seen: set[frozenset[str]] = set()
        for number in range(per_clip):
            name = f"{clip.id}/{kind.value}" + (f"/{number}" if number else "")
            wrong = _distractors(clip, right, pool, seed, name, alike or {})
            if frozenset(wrong) in seen:
                continue
            seen.add(frozenset(wrong))
            if only is None or name in only:
                drafts.append((name, clip, right.label, wrong))

    # Letters go round-robin over a shuffled order: balanced, and no cycle in the order of the file.
    shuffled = sorted(drafts, key=lambda draft: _draw(seed, "letter", draft[0]))
    letter_of = {draft[0]: LETTERS[rank % 4] for rank, draft in enumerate(shuffled)}
    questions = []
    for name, clip, label, wrong in drafts:
        options = list(wrong)
        options.insert(LETTERS.index(letter_of[name]), label)
        questions.append(
            Question(
                id=name,
                clip_id=clip.id,
                kind=kind,
                options=(options[0], options[1], options[2], options[3]),
                answer=letter_of[name],
                n_present=len(clip.labels.intersection(options)),
            )
        )
    return questions


def _distractors(
    clip: Clip,
    right: Event,
    pool: set[str],
    seed: int,
    name: str,
    alike: Mapping[str, Collection[str]],
) -> tuple[str, str, str]:
    """Draw three wrong labels: from the clip first, then absent ones, in shuffled order."""
    draw = _draws(seed, name)
    chosen = sorted(clip.labels - {right.label}, key=draw)[:3]
    if len(chosen) < 3 and alike:
        near = {other for label in clip.labels for other in alike.get(label, ())}
        for label in sorted(pool - clip.labels - near, key=draw):
            if len(chosen) < 3 and label not in near:
                chosen.append(label)
                near.update(alike.get(label, ()))
    elif len(chosen) < 3:
        chosen += nsmallest(3 - len(chosen), pool - clip.labels, key=draw)
    if len(chosen) < 3:
        raise QuestionError(
            f"{name}: four options need four labels, found {len(chosen) + 1}; "
            "pass `labels` with further class labels"
        )
    first, second, third = sorted(chosen, key=_draws(seed, name, "order"))
    return first, second, third


def fingerprint(questions: Sequence[Question]) -> str:
    """Return the SHA-256 of a list of questions, whatever its order."""
    rows = sorted(json.dumps(q.to_dict(), sort_keys=True, ensure_ascii=False) for q in questions)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()

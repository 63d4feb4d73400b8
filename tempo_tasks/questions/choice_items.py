"""Items of other people's benchmarks: any wording, two to eight options or a number of seconds.

The benchmark's own questions are `questions.questions.Question`: three wordings, four options, one
clip. Here the sentence comes from the data, and so does everything that may be wrong with it: an
item may offer one option twice, because published sets do, and an audit is to find it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tempo_tasks.errors import QuestionError
from tempo_tasks.questions.spelling import breaks_line, normal_text

FEWEST, MOST = 2, 8  # MMAU has an item with eight
TOLERANCES = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Errors of a time, in seconds, at which answers are counted as near."""


def letters_of(options: Sequence[object]) -> tuple[str, ...]:
    """Return the letters of as many options, from A."""
    return tuple(string.ascii_uppercase[: len(options)])


@dataclass(frozen=True, slots=True)
class ChoiceItem:
    """One item.

    Attributes:
        id: Unique within its part.
        part: The part of the benchmark it belongs to, such as "order".
        clips: Names of its clips, in the order in which they are heard.
        question: The sentence, as published.
        options: Two to eight texts in the order of the letters; empty where a time is asked for.
        answer: The right letter; empty where a time is asked for.
        seconds: The right time, where one is asked for.
        group: What its runs have in common (one question asked several times); empty for one run.
        run: Number of the run, from 0.
        sounds: Labels of the sounds in the clip, in the order in which they start, where the data
            say so; None where they do not.
        n_present: How many options name one of `sounds`; None where that is not known.
        categories: Pairs of a column and its value by which scores are split.
    """

    id: str
    part: str
    clips: tuple[str, ...]
    question: str
    options: tuple[str, ...] = ()
    answer: str = ""
    seconds: float | None = None
    group: str = ""
    run: int = 0
    sounds: tuple[str, ...] | None = None
    n_present: int | None = None
    categories: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.clips or not self.question.strip():
            raise QuestionError("no clip or no question; expected both")
        if "\ufffc" in self.question:
            raise QuestionError("the question holds U+FFFC, which stands for audio in a prompt")
        if self.seconds is not None:
            if self.options or not (math.isfinite(self.seconds) and self.seconds >= 0):
                raise QuestionError(
                    f"the time is {self.seconds!r} with {len(self.options)} options; expected "
                    "seconds, 0 or more, and no options"
                )
            return
        if not FEWEST <= len(self.options) <= MOST:
            raise QuestionError(
                f"{len(self.options)} options; expected {FEWEST} to {MOST}: {list(self.options)}"
            )
        for option in self.options:
            if not option.strip() or breaks_line(option):
                raise QuestionError(f"the option {option!r} is empty or has a line break in it")
        if self.answer not in letters_of(self.options):
            raise QuestionError(
                f"the answer is {self.answer!r}; expected a letter from A to "
                f"{letters_of(self.options)[-1]}"
            )

    @property
    def answer_text(self) -> str:
        """The text of the right option; empty where a time is asked for."""
        return self.options[self.right] if self.options else ""

    @property
    def right(self) -> int:
        """Position of the right option."""
        return string.ascii_uppercase.index(self.answer)

    @property
    def right_letters(self) -> tuple[str, ...]:
        """The letters of all options with the text of the right one: no answer tells them apart."""
        letters = letters_of(self.options)
        return tuple(
            letter
            for letter, option in zip(letters, self.options, strict=True)
            if option == self.answer_text
        )

    @property
    def cluster(self) -> str:
        """What standard errors are clustered by: the group of runs, else the clips."""
        return self.group or " + ".join(self.clips)

    @property
    def twice(self) -> tuple[str, ...]:
        """Options that another one equals but for case, blanks, underscores or punctuation."""
        plain = [sound_key(option) or normal_text(option) for option in self.options]
        return tuple(o for o, p in zip(self.options, plain, strict=True) if plain.count(p) > 1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


def sound_key(label: str) -> str:
    """Return what spellings of a sound's name have in common: "Door, wood creaks" as in ESC-50."""
    return " ".join(re.findall(r"[^\W_]+", label.casefold()))


def fingerprint_of(items: Iterable[ChoiceItem]) -> str:
    """Return the SHA-256 of items, whatever their order."""
    rows = sorted(json.dumps(item.to_dict(), sort_keys=True, ensure_ascii=False) for item in items)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def within(error: float | None, tolerance: float) -> float:
    """Return 1.0 where an error is within a tolerance (both in seconds); 0.0 for None."""
    # Times are decimal: 2.28 - 1.28 misses 1 by rounding.
    return float(error is not None and error <= tolerance + 1e-9)

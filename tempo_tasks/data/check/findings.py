"""What `tempo data check` can find, and how one finding is written down."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from tempo_tasks.questions.questions import Question

Place = tuple[str, int | None]


class What(str, Enum):
    """Kinds of findings: disagreements, and notes, which no item fails for."""

    MALFORMED_ROW = "malformed_row"
    NO_INTERVALS = "no_intervals"
    ABSENT_ANSWER = "absent_answer"
    WRONG_ANSWER = "wrong_answer"
    TIE = "tie"
    SMALL_MARGIN = "small_margin"
    BAD_DISTRACTOR = "bad_distractor"
    OPTIONS_ALIKE = "options_alike"
    SPELLING = "spelling"
    SAME_ROW = "same_row"
    SAME_QUESTION = "same_question"
    ONE_EVENT = "one_event"
    UNKNOWN_OPTION = "unknown_option"
    SAME_CLIP = "same_clip"
    LEFT_OUT = "left_out"
    LETTER_BALANCE = "letter_balance"
    LETTER_CYCLE = "letter_cycle"
    REPAIR = "repair"

    @property
    def is_note(self) -> bool:
        """Whether it is worth knowing and no reason to fail."""
        return self in _NOTES


_NOTES = frozenset(
    {
        What.ONE_EVENT,
        What.UNKNOWN_OPTION,
        What.SAME_CLIP,
        What.LEFT_OUT,
        What.LETTER_BALANCE,
        What.LETTER_CYCLE,
        What.REPAIR,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that disagrees with the intervals, or that a user of the questions should know.

    Attributes:
        what: The kind of finding.
        found: What there is.
        expected: What should be.
        table: The table; empty where it is about all of them.
        row: Number of the row, the first after a header being 1; None where it is about several.
        item: The question's id; empty where it is not about one question.
        kind: `eo`, `lo` or `ld`; empty where no kind is known.
    """

    what: What
    found: str
    expected: str
    table: str = ""
    row: int | None = None
    item: str = ""
    kind: str = ""

    @property
    def severity(self) -> str:
        """`disagreement` (exit status 1) or `note`."""
        return "note" if self.what.is_note else "disagreement"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"severity": self.severity, **asdict(self), "what": self.what.value}

    def __str__(self) -> str:
        row = "" if self.row is None else f" row {self.row}"
        about = ", ".join(filter(None, (f"{self.table}{row}".strip(), self.item)))
        where = about or self.kind
        return f"{self.what.value}{f' ({where})' if where else ''}: {self.found}; {self.expected}"


def about(question: Question, place: Place, what: What, found: str, expected: str) -> Finding:
    """Return a finding about one question."""
    table, row = place
    return Finding(what, found, expected, table, row, question.id, question.kind.value)

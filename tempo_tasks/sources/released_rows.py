"""One row of the released benchmark as a question: its columns, its task and its letters.

A row is one question: audio, filename, question, option_a ... option_d, correct_answer (a letter),
correct_text, task, and, in data that add them, caption and group. Nothing is guessed or repaired.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tempo_tasks.errors import QuestionError
from tempo_tasks.questions.questions import Kind, Question
from tempo_tasks.sources.table_files import TableRow

OPTION_COLUMNS = ("option_a", "option_b", "option_c", "option_d")
REQUIRED_COLUMNS = ("filename", "question", *OPTION_COLUMNS, "correct_answer", "correct_text")
OPTIONAL_COLUMNS = ("audio", "task", "caption", "group")

# Values of the `task` column, and names of splits and configurations that hold one kind. The
# released file has `earliest_start`; all are compared in lower case with `_` for `-` and blanks.
TASK_NAMES = {
    "eo": Kind.EO,
    "earliest_start": Kind.EO,
    "earliest_onset": Kind.EO,
    "relative_earliest_start": Kind.EO,
    "lo": Kind.LO,
    "latest_end": Kind.LO,
    "latest_offset": Kind.LO,
    "relative_latest_end": Kind.LO,
    "ld": Kind.LD,
    "longest_duration": Kind.LD,
    "relative_longest_duration": Kind.LD,
}


def kind_named(name: object) -> Kind | None:
    """Return the kind that a task value, a split or a configuration is named after."""
    return TASK_NAMES.get(str(name).strip().lower().replace("-", "_").replace(" ", "_"))


@dataclass(frozen=True, slots=True)
class RowQuestion:
    """The question of one row, before anything is known of the other rows.

    Attributes:
        kind: EO, LO or LD.
        clip_id: The filename.
        options: The four options, in the order of the letters.
        letter: The right one.
        text: What the row gives as the right option.
        other_wording: The row's sentence where it is not the released one.
        group: What the questions that were made together share; empty for one on its own.
    """

    kind: Kind
    clip_id: str
    options: tuple[str, str, str, str]
    letter: str
    text: str
    other_wording: str
    group: str = ""

    def question(self, name: str | None = None) -> Question:
        """Return the question.

        Raises:
            QuestionError: It contradicts itself.
        """
        name = name or self.clip_id
        question = Question(
            name, self.clip_id, self.kind, self.options, self.letter, group=self.group
        )
        if question.answer_text != self.text:
            raise QuestionError(
                f"{self.clip_id}: correct_text is {self.text!r} and option {self.letter} is "
                f"{question.answer_text!r}"
            )
        return question


def read_row(row: TableRow) -> RowQuestion:
    """Read the columns of one question.

    Raises:
        QuestionError: A column holds no text, or task and question do not say one kind.
    """
    kind, other_wording = _kind(row)
    a, b, c, d = (_text(row, column) for column in OPTION_COLUMNS)
    return RowQuestion(
        kind=kind,
        clip_id=_text(row, "filename"),
        options=(a, b, c, d),
        letter=_text(row, "correct_answer"),
        text=_text(row, "correct_text"),
        other_wording=other_wording,
        group=str(row.get("group") or "").strip(),
    )


def _kind(row: TableRow) -> tuple[Kind, str]:
    """Return the kind, and the sentence where it is another than the released one."""
    wording = " ".join(_text(row, "question").split())
    asked = next((kind for kind in Kind if kind.text == wording), None)
    named = kind_named(row.get("task"))
    other = ""
    if asked is None and named is not None:
        # A variant of the sentence is fine as long as it asks for the same thing.
        keywords = [kind for kind in Kind if kind.keyword in wording.lower()]
        if keywords == [named]:
            asked, other = named, wording
    if asked is None or named not in (None, asked):
        raise QuestionError(
            f"task {row.get('task')!r} with the question {wording!r}: expected one of the "
            f"tasks {sorted(TASK_NAMES)} or one of the questions "
            f"{[kind.text for kind in Kind]}, and both of one kind"
        )
    return asked, other


def _text(row: TableRow, column: str) -> str:
    value = row.get(column)
    if value is None and column == "filename":
        value = row.get("file_name")
    if not isinstance(value, str) or not value.strip():
        raise QuestionError(f"{column} is {value!r}, expected text")
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, as JSON can hold it
        raise QuestionError(f"{column} is {value!r}, expected text of whole characters") from None
    # Of a name, blanks are a part: a file may be called so.
    return value if column == "filename" else value.strip()


def question_names(asked: Iterable[tuple[Any, ...]]) -> list[str]:
    """Return "<clip>/<kind>", with "/<n>" for further questions on a clip, whatever their order.

    Args:
        asked: For each question its clip id, its kind, and what it differs in from others on the
            clip.
    """
    asked = list(asked)
    of_clip: dict[tuple[str, Kind], list[Any]] = defaultdict(list)
    for clip_id, kind, *rest in sorted(asked):
        of_clip[clip_id, kind].append(rest)
    names = []
    for clip_id, kind, *rest in asked:
        number = of_clip[clip_id, kind].index(rest)
        names.append(f"{clip_id}/{kind.value}" + (f"/{number}" if number else ""))
    return names

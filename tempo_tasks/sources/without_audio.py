"""Questions without their audio: what a check or an audit reads. No clip is opened.

Beside the released columns, the layout of the authors' repository is read: `filename, question,
A, B, C, D, correct_label`. Malformed rows do not stop the reading; they are part of what is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tempo_attn.did_you_mean import did_you_mean
from tempo_tasks.errors import DataUnavailableError, DataVersionError, QuestionError
from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.questions import LETTERS, Kind, Question
from tempo_tasks.sources.intervals import Repair
from tempo_tasks.sources.released_rows import (
    OPTION_COLUMNS,
    REQUIRED_COLUMNS,
    question_names,
    read_row,
)
from tempo_tasks.sources.table_files import Table, TableRow, find_tables

SYNTH, SYNTH_HARD = "tempo_synth", "tempo_synth_hard"
_AUTHORS_COLUMNS = ("filename", "question", "A", "B", "C", "D", "correct_label")


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that is no question.

    Attributes:
        where: The table.
        row: Number of the row, the first after a header being 1.
        what: What is wrong with it.
    """

    where: str
    row: int
    what: str


@dataclass(frozen=True)
class PlainSet:
    """Questions of one or more kinds and what is known about their clips.

    Attributes:
        name: What a reader of the results should see.
        questions: The questions, in the order of the rows.
        places: (table, row) of each question; the first row after a header is 1.
        faults: Rows that are no question.
        clips: Clips with events, by id, where intervals are known; may hold further clips.
        captions: Captions that are known, by clip id.
        repairs: What was changed in the intervals.
    """

    name: str
    questions: tuple[Question, ...]
    places: tuple[tuple[str, int], ...] = ()
    faults: tuple[Fault, ...] = ()
    clips: Mapping[str, Clip] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)
    repairs: tuple[Repair, ...] = ()

    def of_kind(self, kind: Kind) -> tuple[Question, ...]:
        """Return the questions of one kind, in order."""
        return tuple(question for question in self.questions if question.kind is kind)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that occur."""
        return tuple(kind for kind in Kind if any(q.kind is kind for q in self.questions))


def load_plain(
    data: str | Path,
    *,
    intervals: Sequence[Path] = (),
    captions: Path | None = None,
    repair: bool = False,
    revision: str | None = None,
) -> PlainSet:
    """Load questions without audio.

    Args:
        data: A CSV, JSON Lines or Parquet file; a folder in the released layout; the id of a data
            set on the Hub; `tempo_synth` or `tempo_synth_hard`.
        intervals: Interval CSVs; default: those in the folder (see `captions_and_intervals`).
        captions: CSV `filename, text`; default: that in the folder.
        repair: Whether interval rows are repaired; see `read_intervals`.
        revision: Branch, tag or commit of a data set on the Hub.

    Raises:
        DataUnavailableError: There are no such data.
        DataVersionError: Columns are missing.
        BadIntervalsError: The intervals cannot be used.
        BadTableError: Rows with more cells than the header, or names of clips that differ in
            blanks around them alone.
        QuestionError: No row is a question.
    """
    from tempo_tasks.sources.captions_and_intervals import found_of_clips
    from tempo_tasks.sources.hub import is_path, locate

    if str(data) in (SYNTH, SYNTH_HARD):
        return _rendered(str(data))
    near = did_you_mean(str(data), (SYNTH, SYNTH_HARD))
    if near and not {"/", "."} & set(str(data)) and not Path(data).exists():
        raise DataUnavailableError(f"{data}: there are no such data.{near}")
    if is_path(str(data)) and not Path(data).expanduser().exists():
        raise DataUnavailableError(
            f"there is no {Path(data).expanduser().absolute()}; expected a file or folder with "
            f"questions, {SYNTH}, {SYNTH_HARD}, or the id of a data set on the Hub"
        )
    path, name = locate(str(data), revision)
    found = read_plain(find_tables(path), name)
    folder = path if path.is_dir() else path.parent
    asked = {question.clip_id for question in found.questions}
    timed, told = found_of_clips(asked, name, folder, intervals, captions, repair=repair)
    return replace(
        found,
        clips=timed.clips,
        captions={**found.captions, **told},
        repairs=timed.repairs,
    )


def read_plain(tables: Iterable[Table], name: str) -> PlainSet:
    """Read all rows of tables, malformed ones into `faults`.

    Raises:
        DataVersionError: There is no table, or columns are missing.
        QuestionError: No row is a question.
    """
    drafts: list[Question] = []
    places: list[tuple[str, int]] = []
    faults: list[Fault] = []
    captions: dict[str, str] = {}
    tables = list(tables)
    if not tables:
        raise DataVersionError(f"{name} holds no Parquet, CSV or JSON Lines file with questions")
    for table in tables:
        for number, row in enumerate(table.rows(), 1):
            if number == 1:
                _refuse_other_columns(table, row)
            try:
                question = read_row(_released_columns(row)).question()
            except QuestionError as error:
                faults.append(Fault(table.where, number, str(error)))
                continue
            drafts.append(question)
            places.append((table.where, number))
            if caption := str(row.get("caption") or "").strip():
                captions.setdefault(question.clip_id, caption)
    if not drafts:
        first = f"; the first: row {faults[0].row}: {faults[0].what}" if faults else ""
        raise QuestionError(f"{name}: none of {len(faults)} rows is a question{first}")
    # Named as where each question stands once; of a row that stands again, "#2" tells.
    distinct = {_key(question): None for question in drafts}
    names = dict(zip(distinct, question_names(distinct), strict=True))
    seen: Counter[tuple[Any, ...]] = Counter()
    questions = []
    for question in drafts:
        key = _key(question)
        seen[key] += 1
        again = f"#{seen[key]}" if seen[key] > 1 else ""
        questions.append(replace(question, id=names[key] + again))
    return PlainSet(name, tuple(questions), tuple(places), tuple(faults), captions=captions)


def _key(question: Question) -> tuple[Any, ...]:
    return question.clip_id, question.kind, question.options, question.answer


def _released_columns(row: TableRow) -> TableRow:
    if "correct_label" not in row:
        return row
    options = {
        column: row.get(letter) for column, letter in zip(OPTION_COLUMNS, LETTERS, strict=True)
    }
    letter = str(row.get("correct_label") or "").strip()
    text = row.get(letter) if letter in LETTERS else letter
    return {**row, **options, "correct_answer": letter, "correct_text": text}


def _refuse_other_columns(table: Table, row: TableRow) -> None:
    columns = {"filename" if column == "file_name" else column for column in row}
    if not columns.issuperset(REQUIRED_COLUMNS) and not columns.issuperset(_AUTHORS_COLUMNS):
        raise DataVersionError(
            f"{table.where}: found the columns {list(row)}; expected {list(REQUIRED_COLUMNS)}, or "
            f"{list(_AUTHORS_COLUMNS)}"
        )


def _rendered(name: str) -> PlainSet:
    from tempo_tasks.sources.synth.quartets import hard_captions, hard_clips, hard_questions
    from tempo_tasks.sources.synth.testset import synth_captions, synth_clips, synth_questions

    if name == SYNTH:
        questions = [question for kind in Kind for question in synth_questions(kind)]
        return PlainSet(name, tuple(questions), clips=synth_clips(), captions=synth_captions())
    questions = [question for kind in Kind for question in hard_questions(kind)]
    return PlainSet(name, tuple(questions), clips=hard_clips(), captions=hard_captions())

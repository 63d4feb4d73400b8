"""The released benchmark's layout: tables of rows in, a checked set of questions with audio out.

Rows that contradict themselves or each other are listed in one error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tempo_tasks.audio import Handle
from tempo_tasks.errors import (
    AudioNotFoundError,
    BadClipsError,
    DataVersionError,
    QuestionError,
    TempoError,
)
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind, Question
from tempo_tasks.sources.clip_audio import audio_of_row
from tempo_tasks.sources.csv_reader import listed
from tempo_tasks.sources.released_rows import (
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    kind_named,
    question_names,
    read_row,
)
from tempo_tasks.sources.table_files import Table, TableRow

_log = logging.getLogger(__name__)


def choose_tables(tables: Sequence[Table], kind: Kind, split: str | None = None) -> list[Table]:
    """Choose where a kind's questions are read from.

    The split asked for; else `test`; else the only one; else all that are named after the kind.
    Splits that are named after another kind never count.

    Raises:
        DataVersionError: No such split, or several and nothing tells which.
    """
    named = {table.name: [kind_named(part) for part in table.name.split("/")] for table in tables}
    mine = [t for t in tables if set(named[t.name]) <= {None, kind}]
    wanted = [t for t in mine if t.name.split("/")[-1] == (split or "test")]
    if split is None and not wanted:
        wanted = mine
    if not wanted or (len(wanted) > 1 and not all(kind in named[t.name] for t in wanted)):
        raise DataVersionError(
            f"which split holds the {kind.value} questions? Found {sorted(named)}, expected "
            f"{f'the split {split!r}' if split else '`test`, or a single one'}; "
            'name it with --metadata \'{"data_split": "..."}\''
        )
    return wanted


@dataclass
class _Draft:
    """Questions, audio and captions gathered so far, and what is wrong with the rows."""

    kind: Kind
    folder: Path
    found: dict[tuple[str, tuple[str, str, str, str], str], str] = field(default_factory=dict)
    audio: dict[str, Handle] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    bad_rows: list[str] = field(default_factory=list)
    bad_clips: dict[str, TempoError] = field(default_factory=dict)
    wordings: set[str] = field(default_factory=set)
    seen_kinds: set[Kind] = field(default_factory=set)

    def add(self, row: TableRow) -> None:
        """Add a row, or raise QuestionError with what is wrong with it."""
        asked = read_row(row)
        self.seen_kinds.add(asked.kind)
        if asked.other_wording:
            self.wordings.add(asked.other_wording)
        if asked.kind is not self.kind:
            return
        question = asked.question()
        clip_id, letter = question.clip_id, question.answer
        if (clip_id, question.options, letter) in self.found:
            raise QuestionError(f"{clip_id}: the same question stands in an earlier row")
        caption = str(row.get("caption") or "").strip()
        if self.captions.setdefault(clip_id, caption) != caption:
            raise QuestionError(f"{clip_id}: another caption than in an earlier row")
        try:
            handle = audio_of_row(row, clip_id, self.folder)
        except AudioNotFoundError as error:
            self.bad_clips[clip_id] = error
            return
        if self.audio.setdefault(clip_id, handle)["sha256"] != handle["sha256"]:
            raise QuestionError(f"{clip_id}: another audio than in an earlier row")
        self.found[clip_id, question.options, letter] = question.group

    def questions(self) -> Iterator[Question]:
        """Yield the questions; ids do not depend on the order of the rows."""
        names = question_names((clip_id, self.kind, *rest) for clip_id, *rest in self.found)
        for name, (key, group) in zip(names, self.found.items(), strict=True):
            clip_id, options, letter = key
            yield Question(name, clip_id, self.kind, options, letter, group=group)


def read_questions(tables: Iterable[Table], kind: Kind, folder: Path, name: str) -> QuestionSet:
    """Read one kind's questions, check them, and put embedded audio into the cache.

    Args:
        tables: Where the rows are.
        kind: The kind to keep; rows of other kinds are passed over.
        folder: Where relative audio paths start.
        name: The set's name.

    Raises:
        DataVersionError: Columns are missing, or there is no question of the kind.
        QuestionError: Rows are malformed; all are listed.
        AudioNotFoundError: The audio of one clip is missing.
        BadClipsError: That of several; all are listed.
    """
    draft = _Draft(kind, folder)
    for table in tables:
        for number, row in enumerate(table.rows(), 1):
            if number == 1:
                _refuse_other_columns(table, row)
            try:
                draft.add(row)
            except QuestionError as error:
                draft.bad_rows.append(f"  {table.where}, row {number}: {error}")
    if draft.bad_rows:
        raise QuestionError(
            f"{name}: {len(draft.bad_rows)} malformed rows; correct them or get the data again:\n"
            + listed(draft.bad_rows)
        )
    if len(draft.bad_clips) == 1:
        raise next(iter(draft.bad_clips.values()))
    if draft.bad_clips:
        raise BadClipsError(
            f"{name}: the audio of {len(draft.bad_clips)} clips is missing:\n"
            + "\n".join(f"  {error}" for error in draft.bad_clips.values())
        )
    if not draft.found:
        raise DataVersionError(
            f"{name}: no {kind.value} question ({kind.text!r}) among its rows; found are "
            f"{sorted(kind.value for kind in draft.seen_kinds) or 'no rows at all'}"
        )
    if draft.wordings:
        _log.warning(
            "%s: asked is the released wording %r instead of %s",
            *(name, kind.text, sorted(draft.wordings)),
        )
    captions = {clip_id: caption for clip_id, caption in draft.captions.items() if caption}
    return QuestionSet(name, tuple(draft.questions()), draft.audio, captions)


def _refuse_other_columns(table: Table, row: TableRow) -> None:
    columns = {"filename" if column == "file_name" else column for column in row}
    missing = [column for column in REQUIRED_COLUMNS if column not in columns]
    if missing:
        raise DataVersionError(
            f"{table.where}: another layout or version of the data: columns {missing} are missing. "
            f"Found {list(row)}; expected {list(REQUIRED_COLUMNS)} and, optionally, "
            f"{list(OPTIONAL_COLUMNS)}"
        )

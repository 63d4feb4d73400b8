"""The column layout of the released benchmark: rows in, a checked set of questions out.

A row is one question: audio, filename, question, option_a ... option_d, correct_answer (a letter),
correct_text, task, and, in data that add it, caption. Nothing is guessed or repaired: rows that
contradict themselves are listed in one error.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tempo_attn.files.atomic import replacing
from tempo_tasks.audio import Handle, file_handle, make_handle
from tempo_tasks.cache_folder import cache_dir
from tempo_tasks.errors import (
    AudioNotFoundError,
    BadClipsError,
    DataUnavailableError,
    DataVersionError,
    QuestionError,
    TempoError,
)
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind, Question
from tempo_tasks.sources.csv_reader import listed
from tempo_tasks.sources.table_files import Row, Table

_log = logging.getLogger(__name__)

OPTION_COLUMNS = ("option_a", "option_b", "option_c", "option_d")
REQUIRED_COLUMNS = ("filename", "question", *OPTION_COLUMNS, "correct_answer", "correct_text")
OPTIONAL_COLUMNS = ("audio", "task", "caption")

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


@dataclass(frozen=True, slots=True)
class Asked:
    """One row's question, before anything is known of the other rows.

    Attributes:
        kind: EO, LO or LD.
        clip_id: The filename.
        options: In the order of the letters.
        letter: The right one.
        text: What the row gives as the right option.
        other_wording: The row's sentence where it is not the released one.
    """

    kind: Kind
    clip_id: str
    options: tuple[str, str, str, str]
    letter: str
    text: str
    other_wording: str

    def question(self, name: str | None = None) -> Question:
        """Return the question.

        Raises:
            QuestionError: It contradicts itself.
        """
        name = name or self.clip_id
        question = Question(name, self.clip_id, self.kind, self.options, self.letter)
        if question.answer_text != self.text:
            raise QuestionError(
                f"{self.clip_id}: correct_text is {self.text!r} and option {self.letter} is "
                f"{question.answer_text!r}"
            )
        return question


def read_row(row: Row) -> Asked:
    """Read the columns of one question.

    Raises:
        QuestionError: A column holds no text, or task and question do not say one kind.
    """
    kind, other_wording = _kind(row)
    a, b, c, d = (_text(row, column) for column in OPTION_COLUMNS)
    return Asked(
        kind=kind,
        clip_id=_text(row, "filename"),
        options=(a, b, c, d),
        letter=_text(row, "correct_answer"),
        text=_text(row, "correct_text"),
        other_wording=other_wording,
    )


def _kind(row: Row) -> tuple[Kind, str]:
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


@dataclass
class _Draft:
    """Questions, audio and captions gathered so far, and what is wrong with the rows."""

    kind: Kind
    folder: Path
    found: dict[tuple[str, tuple[str, str, str, str], str], None] = field(default_factory=dict)
    audio: dict[str, Handle] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    bad_rows: list[str] = field(default_factory=list)
    bad_clips: dict[str, TempoError] = field(default_factory=dict)
    wordings: set[str] = field(default_factory=set)
    seen_kinds: set[Kind] = field(default_factory=set)

    def add(self, row: Row) -> None:
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
            handle = _audio_handle(row, clip_id, self.folder)
        except AudioNotFoundError as error:
            self.bad_clips[clip_id] = error
            return
        if self.audio.setdefault(clip_id, handle)["sha256"] != handle["sha256"]:
            raise QuestionError(f"{clip_id}: another audio than in an earlier row")
        self.found[clip_id, question.options, letter] = None

    def questions(self) -> Iterator[Question]:
        """Yield the questions; ids do not depend on the order of the rows."""
        names = question_names((clip_id, self.kind, *rest) for clip_id, *rest in self.found)
        for name, (clip_id, options, letter) in zip(names, self.found, strict=True):
            yield Question(name, clip_id, self.kind, options, letter)


def question_names(asked: Iterable[tuple[Any, ...]]) -> list[str]:
    """Return "<clip>/<kind>", with "/<n>" for further questions on a clip, whatever their order.

    Args:
        asked: For each question (clip id, kind, and what tells it from others on the clip).
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


def _refuse_other_columns(table: Table, row: Row) -> None:
    columns = {"filename" if column == "file_name" else column for column in row}
    missing = [column for column in REQUIRED_COLUMNS if column not in columns]
    if missing:
        raise DataVersionError(
            f"{table.where}: another layout or version of the data: columns {missing} are missing. "
            f"Found {list(row)}; expected {list(REQUIRED_COLUMNS)} and, optionally, "
            f"{list(OPTIONAL_COLUMNS)}"
        )


def _text(row: Row, column: str) -> str:
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


def _audio_handle(row: Row, clip_id: str, folder: Path) -> Handle:
    """Return the handle of a row's audio: embedded bytes, or a file in or beside the folder."""
    cell = row.get("audio")
    content, named = (
        (cell.get("bytes"), cell.get("path")) if isinstance(cell, Mapping) else (cell, cell)
    )
    if isinstance(content, bytes):
        return store_audio(content, Path(named if isinstance(named, str) else clip_id).suffix)
    names = [value for value in (named, clip_id) if isinstance(value, str) and value.strip()]
    for name in names:
        for place in (folder / name, folder / "audio" / name):
            if place.is_file():
                return file_handle(place)
    shown = " or ".join(map(repr, names))
    near = [
        f"; there is {str(place / other)!r}, whose name differs in blanks around it: rename it, or "
        "correct the row"
        for name in names
        for other in dict.fromkeys((name.strip(), f" {name}", f"{name} "))
        for place in (folder, folder / "audio")
        if (place / other).is_file()
    ]
    raise AudioNotFoundError(
        f"{clip_id}: no audio in its row, and no file {shown} in {folder} or in its audio/ "
        f"subfolder{near[0] if near else '; get the data again or put the files there'}"
    )


def store_audio(content: bytes, suffix: str) -> Handle:
    """Put a clip's bytes into the cache, once, and return its handle.

    The file is named after its content and renamed into place, so several processes may do this
    at once and a killed one leaves nothing half-written under the name.

    Raises:
        DataUnavailableError: The cache cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()
    path = (cache_dir() / "audio" / f"{digest}{suffix.lower()}").absolute()
    try:
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                partial.write_bytes(content)
    except OSError as error:
        raise DataUnavailableError(
            f"the clips' audio cannot be written to {path.parent} ({error}); make room, or set "
            "TEMPO_CACHE to another folder"
        ) from error
    return make_handle(path, digest)

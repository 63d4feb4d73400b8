"""Captions and intervals that lie beside questions, joined to them by the clips' filenames."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tempo_tasks.errors import DataVersionError, QuestionError
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.sources.blank_names import refuse_blank_twins
from tempo_tasks.sources.csv_reader import csv_rows
from tempo_tasks.sources.intervals import IntervalTable, read_intervals

_log = logging.getLogger(__name__)

INTERVALS = "intervals.csv"
CAPTIONS = ("captions.csv", "annotations_weak.csv")
_TEXT_COLUMNS = ("caption", "text")


def find_intervals(
    folder: Path | None, given: Sequence[Path] = (), *, repair: bool = False
) -> IntervalTable:
    """Return the intervals of the files given, else of `intervals.csv` in the folder, else none.

    Raises:
        DataUnavailableError: A file that was named does not exist.
        DataVersionError: A file is no interval CSV.
        BadIntervalsError: Rows that cannot be.
    """
    files = list(given)
    if not files and folder is not None and (folder / INTERVALS).is_file():
        files = [folder / INTERVALS]
    if not files:
        return IntervalTable("", {}, (), 0)
    table = read_intervals(files, repair=repair)
    for repaired in table.repairs:
        _log.info("%s", repaired)
    return table


def find_captions(folder: Path | None, given: Path | None = None) -> dict[str, str]:
    """Return captions by filename: of the file given, else of the one in the folder, else none.

    Raises:
        DataUnavailableError: A file that was named does not exist.
        DataVersionError: No CSV file, or columns are missing.
        QuestionError: Two captions of one clip.
    """
    if given is not None:
        return read_captions(given)
    found = [folder / name for name in CAPTIONS if (folder / name).is_file()] if folder else []
    return read_captions(found[0]) if found else {}


def read_captions(file: Path) -> dict[str, str]:
    """Read a CSV `filename, text` (or `caption`), one row a clip.

    Raises:
        DataUnavailableError: There is no such file.
        DataVersionError: No CSV file, or columns are missing.
        QuestionError: A row without text, or two captions of one clip; the rows are named.
        BadTableError: Rows with more cells than the header, such as captions with unquoted commas.
    """

    def check(columns: list[str]) -> None:
        if "filename" not in columns or not set(columns).intersection(_TEXT_COLUMNS):
            raise DataVersionError(
                f"{file}: columns {columns}; expected filename and one of {_TEXT_COLUMNS}"
            )

    captions: dict[str, str] = {}
    for number, row in csv_rows(file, check, what="a caption CSV"):
        column = next(name for name in _TEXT_COLUMNS if name in row)
        filename, text = row["filename"], row[column].strip()
        if not filename.strip() or not text:
            raise QuestionError(
                f"{file}, row {number}: filename {filename!r}, {column} {text!r}: expected text"
            )
        if captions.setdefault(filename, text) != text:
            raise QuestionError(
                f"{file}, row {number}: {filename} has another caption in an earlier row; "
                "expected one a clip"
            )
    return captions


def found_of_clips(
    clip_ids: Iterable[str],
    name: str,
    folder: Path | None,
    intervals: Sequence[Path] = (),
    captions: Path | None = None,
    *,
    repair: bool = False,
) -> tuple[IntervalTable, dict[str, str]]:
    """Return the intervals and the captions beside questions (`find_intervals`, `find_captions`).

    Args:
        clip_ids: Clips that the questions are about.
        name: What the questions are called in a message.
        folder: Where to look for files that are not named.
        intervals: Interval CSVs.
        captions: Caption CSV.
        repair: Whether interval rows are repaired; see `read_intervals`.

    Raises:
        BadTableError: Names of clips that differ in blanks around them alone.
    """
    asked = set(clip_ids)
    told = find_captions(folder, captions)
    refuse_blank_twins(asked, told, f"{name}: its clips and those of the caption file")
    timed = find_intervals(folder, intervals, repair=repair)
    refuse_blank_twins(asked, timed.clips, f"{name}: its clips and those of the interval file")
    return timed, told


def join(
    questions: QuestionSet,
    folder: Path | None,
    intervals: Sequence[Path] = (),
    captions: Path | None = None,
) -> QuestionSet:
    """Return questions with the events and captions that are known of their clips.

    Args:
        questions: What was read; captions may stand in their rows too.
        folder: Where to look for files that are not named.
        intervals: Interval CSVs.
        captions: Caption CSV.

    Raises:
        QuestionError: A clip with one caption in its row and another in the file.
        DataVersionError: Intervals were named, and none of the clips is among them.
        BadTableError: Names of clips that differ in blanks around them alone.
    """
    asked = sorted({question.clip_id for question in questions.questions})
    table, told = found_of_clips(asked, questions.name, folder, intervals, captions)
    timed = table.clips
    merged = {name: told[name] for name in asked if name in told}
    for name, caption in questions.captions.items():
        if merged.setdefault(name, caption) != caption:
            raise QuestionError(
                f"{questions.name}: {name} has the caption {caption!r} in its row and "
                f"{merged[name]!r} in the caption file; expected one of them, or the same"
            )
    clips = {name: timed[name] for name in asked if name in timed}
    if timed and not clips:
        raise DataVersionError(
            f"{questions.name}: none of its {len(asked)} clips is in the interval file "
            f"({next(iter(timed))}, ...); expected the same filenames, such as {asked[0]}"
        )
    if timed and len(clips) < len(asked):
        _log.warning(
            "%s: the intervals of %d of %d clips are not known; their items are in no stratum",
            *(questions.name, len(asked) - len(clips), len(asked)),
        )
    return replace(questions, captions=merged, clips=clips)

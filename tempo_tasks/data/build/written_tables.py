"""The files of a built folder: the released columns, and what is joined to them by filename."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from tempo_attn.files.atomic import replacing
from tempo_tasks.file_hashes import hash_file
from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.questions import Kind, Question
from tempo_tasks.sources.released_rows import OPTION_COLUMNS

QUESTIONS, INTERVALS, CAPTIONS = "questions.csv", "intervals.csv", "captions.csv"
AUDIO = "audio"
QUESTION_COLUMNS = (
    *("audio", "filename", "question", *OPTION_COLUMNS),
    *("correct_answer", "correct_text", "task"),
)
# `earliest_start` stands in the released file; the others are named after the authors' files.
TASKS = {Kind.EO: "earliest_start", Kind.LO: "latest_end", Kind.LD: "longest_duration"}


def write_questions(path: Path, questions: Iterable[Question], *, audio: bool) -> str:
    """Write questions in the released columns; return the file's SHA-256 sum.

    Args:
        path: The file.
        questions: The questions, in the order of the rows.
        audio: Name each clip's file in the column `audio`; else it is empty.

    Questions that were made together have a further column, `group`.
    """
    questions = list(questions)
    grouped = any(question.group for question in questions)
    rows = (
        (
            f"{AUDIO}/{question.clip_id}" if audio else "",
            question.clip_id,
            question.text,
            *question.options,
            question.answer,
            question.answer_text,
            TASKS[question.kind],
            *((question.group,) if grouped else ()),
        )
        for question in questions
    )
    return write_table(path, (*QUESTION_COLUMNS, *(("group",) if grouped else ())), rows)


def write_intervals(path: Path, clips: Iterable[Clip]) -> str:
    """Write when each label sounds, one row an event; return the file's SHA-256 sum."""
    rows = (
        (
            clip.id,
            event.label,
            "[" + ", ".join(f"{seconds(a)}-{seconds(b)}" for a, b in event.intervals) + "]",
        )
        for clip in clips
        for event in clip.events
    )
    return write_table(path, ("filename", "subclass", "intervals"), rows)


def write_captions(path: Path, captions: Mapping[str, str]) -> str:
    """Write captions; return the file's SHA-256 sum."""
    return write_table(path, ("filename", "text"), captions.items())


def seconds(value: float) -> str:
    """Return a time that reads back as the same number, without an exponent (it has a hyphen)."""
    shown = repr(float(value))
    return format(Decimal(shown), "f") if "e" in shown else shown


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a CSV file with the same bytes on every system; return its SHA-256 sum."""
    # Not by default: the csv module's own line ends are those of Windows.
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return hash_file(path, "sha256")[0]

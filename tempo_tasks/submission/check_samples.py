"""A bundle's samples against the data: each item once, asked as the data say, and scored right."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.submission.asked_documents import Asked
from tempo_tasks.submission.differences import differences
from tempo_tasks.submission.sample_lines import (
    LETTER_PROBABILITIES,
    Line,
    answer_of,
    key_of,
    read_lines,
)
from tempo_tasks.submission.schema import Task, samples_file
from tempo_tasks.submission.task_scoring import TaskScoring, task_scoring

LISTED = 20
"""Faults of one sort that are listed; further ones are counted."""
Key = tuple[str, int]


def read_task(folder: Path, task: str) -> tuple[list[Line], list[str]]:
    """Return the samples of a task that can be read, and what is wrong with the others.

    Args:
        folder: The bundle.
        task: The task's name.

    Returns:
        Lines whose document and answer are whole, sorted as a bundle sorts them.
    """
    name, rules = samples_file(task), task_scoring(task)
    lines: list[Line] = []
    faults: list[str] = []
    try:
        for number, line in read_lines(folder / name):
            if fault := _misfit(line, rules):
                faults.append(f"{name}, line {number}: {fault}")
            else:
                lines.append(line)
    except (OSError, ValueError) as error:
        faults.append(f"{name}: {error}")
    if not lines and not faults:
        faults.append(f"{name}: no line; expected one an item")
    return sorted(lines, key=lambda line: key_of(line["doc"])), faults


def _misfit(line: Line, rules: TaskScoring) -> str | None:
    """Return what keeps a line from being scored at all."""
    doc = line.get("doc")
    if not isinstance(doc, dict):
        return "doc is no object"
    options = doc.get("options")
    whole = (
        all(isinstance(doc.get(key), str) and doc[key] for key in ("id", "clip", "prompt"))
        and isinstance(options, list)
        and len(options) == len(LETTERS)
        and all(isinstance(option, str) for option in options)
        and isinstance(doc.get("answer"), str)
        and doc["answer"] in LETTERS
        and type(doc.get("rotation", 0)) is int
    )
    if not whole:
        return "doc is no question: expected id, clip, prompt, four options, a right letter"
    try:
        answer = answer_of(line, generates=rules.generates)
        earned = rules.of_document(doc, answer)["acc"]
    except (ValueError, TypeError, KeyError, IndexError) as error:
        return str(error)[:200]
    acc = line.get("acc")
    if not isinstance(acc, (int, float)) or isinstance(acc, bool) or not 0 <= acc <= 1:
        return f"acc is {str(acc)[:40]!r}; expected a share from 0 to 1"
    if abs(acc - earned) > 1e-9:
        return f"acc is {acc}, and the answer earns {earned}"
    return _wrong_probabilities(line.get(LETTER_PROBABILITIES))


def _wrong_probabilities(given: Any) -> str | None:
    if given is None:
        return None
    numbers = isinstance(given, list) and all(type(p) in (int, float) for p in given)
    if not numbers or len(given) != len(LETTERS):
        return f"{LETTER_PROBABILITIES} are no four numbers"
    if not all(0 <= p <= 1 for p in given) or math.fsum(given) > 1 + 1e-6:
        return f"{LETTER_PROBABILITIES} are {given}; expected shares whose sum is at most 1"
    return None


def check_task(task: str, about: Task, lines: list[Line], asked: Asked | None) -> Iterator[str]:
    """Yield what is wrong with a task's samples.

    Args:
        task: The task's name.
        about: What `bundle.json` says of it.
        lines: Its samples.
        asked: The data; None where they cannot be had.
    """
    name = samples_file(task)
    keys = [key_of(line["doc"]) for line in lines]
    seen: set[Key] = set()
    doubled = sorted({key for key in keys if key in seen or seen.add(key)})  # type: ignore[func-returns-value]
    yield from _listed(f"{name}: an item stands twice: ", map(_named, doubled))
    if about.n != len(lines):
        yield f"{name}: {len(lines)} samples that can be read; bundle.json says {about.n}"
    if asked is None:
        return
    told = (
        ("data_fingerprint", about.data_fingerprint, asked.fingerprint),
        ("data_name", about.data_name, asked.name),
        ("prompt_version", about.prompt_version, asked.prompt_version),
    )
    for what, theirs, ours in told:
        # Of one name or another: a folder may be called differently on another machine.
        if theirs != ours and not (what == "data_name" and "@" not in theirs + ours):
            yield f"{task}: {what} is {theirs[:80]!r}; that of the data is {ours!r}"
    missing = sorted(asked.documents.keys() - seen)
    unknown = sorted(seen - asked.documents.keys())
    yield from _listed(f"{name}: an item of the data is missing: ", map(_named, missing))
    yield from _listed(f"{name}: an item is not in the data: ", map(_named, unknown))
    yield from _listed(f"{name}: ", _documents(lines, asked))


def _documents(lines: list[Line], asked: Asked) -> Iterator[str]:
    """Yield how documents of samples differ from those of the data."""
    for line in lines:
        key = key_of(line["doc"])
        ours: Mapping[str, Any] | None = asked.documents.get(key)
        if ours is None or json.dumps(line["doc"], sort_keys=True) == asked.texts[key]:
            continue
        if wrong := differences(ours, line["doc"], "doc"):
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            yield f"{_named(key)}: {wrong[0]}{more}"


def _named(key: Key) -> str:
    item, rotation = key
    return repr(item[:80]) + (f", rotation {rotation}" if rotation else "")


def _listed(before: str, faults: Iterable[str]) -> Iterator[str]:
    found = list(faults)
    for fault in found[:LISTED]:
        yield f"{before}{fault}"
    if len(found) > LISTED:
        yield f"{before}and {len(found) - LISTED} more of this sort"

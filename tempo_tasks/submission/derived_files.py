"""What follows from `bundle.json` and the samples: metrics, statistics, records of other formats.

`tempo submit` writes these files and `tempo validate` makes them again, so they cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tempo_tasks.stats.accuracy import MACRO
from tempo_tasks.stats.names import parse_task
from tempo_tasks.stats.report import make_report
from tempo_tasks.stats.runs import Run, TaskRun, task_order
from tempo_tasks.stats.samples import to_samples
from tempo_tasks.submission import every_eval_ever, hub_results
from tempo_tasks.submission.sample_lines import Line, answer_of
from tempo_tasks.submission.schema import (
    EVAL_RESULTS,
    RESULTS,
    ROW,
    STATISTICS,
    About,
    samples_file,
)
from tempo_tasks.submission.task_scoring import task_scoring

ROW_FORMAT = 1
_SCORE = (
    *("source", "kind", "condition", "variant", "scoring", "n", "n_clusters", "accuracy"),
    *("error", "low", "high", "chance_corrected", "no_answer"),
)


def in_order(tasks: Sequence[str]) -> list[str]:
    """Return names of tasks in the order of the tables.

    Raises:
        ValueError: One is no task of tempo's.
    """
    named = {task: parse_task(task) for task in tasks}
    if unknown := [task for task, name in named.items() if name is None]:
        raise ValueError(f"{unknown[0][:80]!r} is no task of tempo's")
    return sorted(tasks, key=lambda task: task_order(named[task]))  # type: ignore[arg-type]


def to_run(about: About, lines: Mapping[str, Sequence[Line]]) -> Run:
    """Return the run of a bundle.

    Args:
        about: Its `bundle.json`.
        lines: The samples of each task, in the order of the file.

    Raises:
        SamplesError: Samples that are none.
    """
    tasks = []
    for task in in_order(list(about.tasks)):
        name = parse_task(task)
        assert name is not None  # `in_order` has refused other names
        file = samples_file(task).rpartition("/")[2]
        tasks.append(
            TaskRun(
                name=name,
                task=task,
                file=file,
                samples=to_samples(enumerate(lines[task], 1), name, file),
                data=about.tasks[task].data_fingerprint,
            )
        )
    # The folder's name is the reader's affair.
    return Run(label=about.label, folder=Path(), tasks=tasks, notes=list(about.notes))


def derived_files(
    about: About, run: Run, lines: Mapping[str, Sequence[Line]]
) -> dict[str, dict[str, Any] | bytes]:
    """Return the files that follow from a bundle's samples, by name: JSON data, or bytes.

    Args:
        about: The bundle.
        run: Its run, as `to_run` returns it.
        lines: The samples of each task, in the order of the file.
    """
    report = make_report([run])
    report["runs"] = [{k: v for k, v in one.items() if k != "folder"} for one in report["runs"]]
    rows = report["accuracy"]
    single = [row for row in rows if row["kind"] != MACRO]
    of_task = dict(zip([task.task for task in run.tasks], _by_task(run, single), strict=True))
    ordered = {task: of_task[task] for task in about.tasks}
    detailed = every_eval_ever.instances(about, lines)
    files: dict[str, dict[str, Any] | bytes] = {
        RESULTS: {task: _metrics(task, lines[task]) for task in about.tasks},
        STATISTICS: report,
        ROW: leaderboard_row(about, rows),
        every_eval_ever.instances_file(about): detailed,
        every_eval_ever.aggregate_file(about): every_eval_ever.aggregate(
            about, ordered.values(), detailed
        ),
    }
    if text := hub_results.eval_results(about, ordered):
        files[f"{EVAL_RESULTS}/{hub_results.file_name(about)}"] = text.encode()
    return files


def _by_task(run: Run, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the row of accuracy of each task of a run."""
    names = ("source", "kind", "condition", "variant", "scoring")
    keyed = {tuple(row[name] for name in names): row for row in rows}
    return [keyed[tuple(getattr(task.name, name) for name in names)] for task in run.tasks]


def _metrics(task: str, lines: Sequence[Line]) -> dict[str, Any]:
    rules = task_scoring(task)
    return rules.metrics(
        [
            rules.of_document(line["doc"], answer_of(line, generates=rules.generates))
            for line in lines
        ]
    )


def leaderboard_row(about: About, accuracy: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a leaderboard shows of a bundle.

    Args:
        about: The bundle.
        accuracy: All rows of accuracy of its statistics.
    """
    data = {
        task: {"name": asked.data_name, "fingerprint": asked.data_fingerprint}
        for task, asked in about.tasks.items()
    }
    return {
        "format": ROW_FORMAT,
        "label": about.label,
        "model": about.model.name,
        "family": about.model.family,
        "attention": about.attention.fingerprint if about.attention else None,
        "date": about.date,
        "organization": about.links.organization,
        "model_url": about.links.model_url,
        "licence": about.links.licence,
        "data": data,
        "scores": [{name: row[name] for name in _SCORE} for row in accuracy],
    }


def to_bytes(data: dict[str, Any] | bytes) -> bytes:
    """Return a file's bytes."""
    if isinstance(data, bytes):
        return data
    return (json.dumps(data, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()

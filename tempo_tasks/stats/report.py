"""All statistics of some runs as plain data, and what a reader must be told beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tempo_tasks
from tempo_attn.errors import OptionError
from tempo_tasks.stats.accuracy import MACRO, StatisticsRow, accuracy_rows, strata_rows
from tempo_tasks.stats.columns import items_of
from tempo_tasks.stats.comparisons import condition_rows, run_rows
from tempo_tasks.stats.robustness import prompt_rows, rotation_rows, scoring_rows
from tempo_tasks.stats.runs import Run

FORMAT = 1
FEW_CLUSTERS = 20
Report = dict[str, Any]


def check_level(level: float) -> None:
    """Check the coverage of intervals.

    Raises:
        OptionError: It is no share from 0.5 to below 1.
    """
    if not (math.isfinite(level) and 0.5 <= level < 1):
        raise OptionError(f"level is {level}; expected a share from 0.5 to below 1, such as 0.95")


def make_report(runs: Sequence[Run], level: float = 0.95) -> Report:
    """Return every table of some runs.

    Args:
        runs: As `tempo_tasks.stats.runs.read_runs` returns them.
        level: Coverage of the intervals; tests are planned at 1 - level.

    Returns:
        JSON data: `runs`, `notes`, `power` (sentences), and a list of rows for each of
        `tempo_tasks.stats.columns.SECTIONS`. Shares are between 0 and 1.

    Raises:
        OptionError: A level that is no share.
    """
    check_level(level)
    sections = {
        "accuracy": accuracy_rows(runs, level),
        "conditions": condition_rows(runs, level),
        "runs_compared": run_rows(runs, level),
        "strata": strata_rows(runs, level),
        "scorings": scoring_rows(runs, level),
        "prompts": prompt_rows(runs, level),
        "rotations": rotation_rows(runs, level),
    }
    return {
        "format": FORMAT,
        "tempo_version": tempo_tasks.__version__,
        "level": level,
        "runs": [_about(run) for run in runs],
        "notes": [*_notes_of_runs(runs), *_notes_of_rows(sections)],
        "power": _power([*sections["conditions"], *sections["runs_compared"]]),
        **sections,
    }


def _about(run: Run) -> StatisticsRow:
    tasks = {
        task.task: {"file": task.file, "n": len(task.samples), "data_fingerprint": task.data}
        for task in run.tasks
    }
    return {"label": run.label, "folder": run.folder.name, "tasks": tasks}


def _notes_of_runs(runs: Sequence[Run]) -> list[str]:
    notes = [f"{run.label}: {note}" for run in runs for note in run.notes]
    for task in dict.fromkeys(task.task for run in runs for task in run.tasks):
        data = {t.data for run in runs for t in run.tasks if t.task == task and t.data}
        if len(data) > 1:
            notes.append(f"{task}: the runs asked {len(data)} different sets of questions")
    return notes


def _notes_of_rows(sections: Mapping[str, Sequence[StatisticsRow]]) -> list[str]:
    notes = []
    for row in [*sections["conditions"], *sections["runs_compared"]]:
        if row["kind"] == MACRO:
            continue
        parts = [
            (row["only_from"], f"only in {row['from']}"),
            (row["only_to"], f"only in {row['to']}"),
            (row["other_question"], "asked differently in the two"),
        ]
        said = ", ".join(f"{count} items {what}" for count, what in parts if count)
        if said:
            where = f"{row['run']}, " if "run" in row else ""
            notes.append(
                f"{where}{items_of(row)}, {row['from']} -> {row['to']}: {said}; left out of the "
                "comparison"
            )
    for row in [*sections["scorings"], *sections["prompts"], *sections["rotations"]]:
        if row["unmatched"]:
            notes.append(
                f"{row['run']}, {items_of(row)}: {row['unmatched']} answers without their "
                "counterpart; left out of the comparison"
            )
    few = [row for row in sections["accuracy"] if row["n_clusters"] < FEW_CLUSTERS]
    if few:
        smallest = min(row["n_clusters"] for row in few)
        notes.append(
            f"{len(few)} rows of accuracy have fewer than {FEW_CLUSTERS} clusters (the fewest: "
            f"{smallest}): their intervals and tests were not checked by simulation"
        )
    return notes


def _power(rows: Sequence[StatisticsRow]) -> list[str]:
    """Say what could not have been seen: of macro averages, and of kinds that have none."""
    averaged = {_family(row) for row in rows if row["kind"] == MACRO}
    told = [r for r in rows if r["kind"] == MACRO or _family(r) not in averaged]
    return [
        f"{items_of(row)}, {row['from']} -> {row['to']}: with {row['n']} items in "
        f"{row['n_clusters']} clusters a difference under {100 * row['detectable']:.1f} points "
        "cannot be seen (80 % power)"
        for row in told
        if row["detectable"] is not None
    ]


def _family(row: StatisticsRow) -> tuple[Any, ...]:
    names = ("run", "source", "condition", "variant", "scoring", "from", "to")
    return tuple(row.get(name) for name in names)

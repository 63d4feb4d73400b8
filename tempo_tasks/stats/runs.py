"""Runs of the harness, read from disk: which samples count, and what a run is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tempo_attn.errors import OptionError
from tempo_tasks.errors import SamplesError
from tempo_tasks.stats.names import CONDITIONS, TaskName, kind_order, parse_other, parse_task
from tempo_tasks.stats.run_files import (
    data_fingerprint,
    dates_by_run,
    entry_at,
    folders_with_samples,
    read_results,
    samples_by_date,
)
from tempo_tasks.stats.samples import Sample, read_samples


@dataclass(frozen=True, kw_only=True)
class TaskRun:
    """One task's answers in one run.

    Attributes:
        name: The parts of the task's name.
        task: The task's name.
        file: Name of the samples file.
        samples: The answered items of the task.
        data: Fingerprint of the task's questions, where the results hold it.
    """

    name: TaskName
    task: str
    file: str
    samples: Sequence[Sample]
    data: str | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One model's answers.

    Attributes:
        label: What the tables call it; unique among the runs of a report.
        folder: The folder of its samples.
        tasks: The tasks that it answered, in the order of kinds and conditions.
        notes: What a reader must know of how it was read.
    """

    label: str
    folder: Path
    tasks: Sequence[TaskRun]
    notes: Sequence[str] = field(default=())


def read_runs(given: Sequence[str], *, others: bool = False) -> list[Run]:
    """Read runs, in the order given.

    Args:
        given: Folders that `lm_eval --output_path` wrote, or `results_*.json` files; `NAME=PATH`
            names a run. Each folder with samples below a path is a run, or several: calls with
            another model, edit, settings or data are runs of their own.
        others: Read tasks about other benchmarks too; else they are left out with a note.

    Raises:
        SamplesNotFoundError: A path does not exist, or has no samples.
        SamplesError: Samples of other tasks, or damaged ones.
        OptionError: A run given twice.
    """
    runs: list[Run] = []
    for argument in given:
        name, path = split_name(argument)
        found = [
            run
            for folder, date in folders_with_samples(path)
            for run in _read_folder(folder, date, name, others)
        ]
        if name and len({run.folder for run in found}) > 1:
            found = [replace(run, label=f"{name}/{run.folder.name}") for run in found]
        runs += found
    seen: dict[tuple[Path, tuple[str, ...]], str] = {}
    for run in runs:
        key = run.folder.resolve(), tuple(task.file for task in run.tasks)
        if key in seen:
            raise OptionError(
                f"{run.folder} is given twice; expected different runs. A run compared with itself "
                "says nothing"
            )
        seen[key] = run.label
    return _distinct(runs)


def split_name(argument: str) -> tuple[str | None, Path]:
    """Return name and path of `NAME=PATH`; the name is None for a path, which may have "=", too."""
    name, equals, path = argument.partition("=")
    named = bool(equals) and not Path(argument).exists() and "/" not in name
    return (name, Path(path)) if named else (None, Path(argument))


def _read_folder(folder: Path, date: str | None, name: str | None, others: bool) -> list[Run]:
    """Return the runs of one folder: lm_eval names it after the model's name alone."""
    dated = samples_by_date(folder, date)
    found = {task for files in dated.values() for task in files}
    ours = {
        task: parsed
        for task in found
        if (parsed := parse_task(task) or (parse_other(task) if others else None))
    }
    if not ours:
        raise SamplesError(
            f"{folder}: samples of {', '.join(sorted(found))} only; expected tasks of tempo, such "
            "as tempo_synth_eo_aqa"
        )
    results = {day: read_results(folder / f"results_{day}.json") for day in sorted(dated)}
    groups = dates_by_run(dated, results)
    runs = []
    for days in groups:
        files = {day: dated[day] for day in days}
        run = _read_run(folder, files, ours, results, name)
        if len(groups) > 1:
            note = (
                f"of {', '.join(days)}: other dates in {folder.name} are of another model or edit"
            )
            run = replace(run, notes=[note, *run.notes])
        runs.append(run)
    return [run for run in runs if run.tasks]


def _read_run(
    folder: Path,
    files: Mapping[str, Mapping[str, Path]],
    ours: Mapping[str, TaskName],
    results: Mapping[str, Mapping[str, Any]],
    name: str | None,
) -> Run:
    """Read the samples of one model under one edit; of each task the newest ones count."""
    dated: dict[str, list[tuple[str, Path]]] = {}
    for day, of_day in files.items():
        for task, file in of_day.items():
            dated.setdefault(task, []).append((day, file))
    notes = [f"{task} is no task of tempo: left out" for task in sorted(set(dated) - set(ours))]
    tasks, dates = [], set()
    for task in sorted(set(dated) & set(ours), key=lambda task: task_order(ours[task])):
        newest, file = max(dated[task])
        if (n := len(dated[task])) > 1:
            notes.append(f"{task}: the newest of {n} samples files counts, of {newest}")
        dates.add(newest)
        samples = read_samples(file, ours[task])
        if rescored := sum(sample.rescored for sample in samples):
            notes.append(
                f"{task}: {rescored} answers are scored again: another release, with other rules "
                "of what counts as an answer, wrote the file"
            )
        asked = entry_at(results[newest], "n-samples", task, "original")
        if isinstance(asked, int) and asked > len(samples):
            missing = entry_at(results[newest], "config", "predictions", "missing", task)
            why = "the others have no prediction" if missing else "a part (--limit, --samples)"
            notes.append(f"{task}: {len(samples)} of {asked} items were answered: {why}")
        data = data_fingerprint(results[newest], task)
        tasks.append(
            TaskRun(name=ours[task], task=task, file=file.name, samples=samples, data=data)
        )
    if len(dates) > 1:
        notes.append(f"tasks of {len(dates)} dates together: {', '.join(sorted(dates))}")
    label = name or _label(results[max(files)], folder)
    return Run(label=label, folder=folder, tasks=tasks, notes=notes)


def task_order(name: TaskName) -> tuple[object, ...]:
    """Return what the tasks of a run are sorted by."""
    condition, kind = CONDITIONS.index(name.condition), kind_order(name.kind)
    return name.source, name.variant, name.scoring, condition, kind


def _label(results: Mapping[str, Any], folder: Path) -> str:
    """Return the model's name, with a mark where its attention was edited."""
    model = entry_at(results, "config", "tempo", "pretrained")
    if not isinstance(model, str):
        return str(results.get("model_name") or folder.name)
    edited = " (attention edited)" if entry_at(results, "config", "tempo", "attn_scale") else ""
    # A name with half a character, as JSON can hold it, could not be written anywhere.
    return f"{model}{edited}".encode(errors="replace").decode()


def _distinct(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with their labels made unique by a number."""
    labels = [run.label for run in runs]
    seen: dict[str, int] = {}
    result = []
    for run in runs:
        seen[run.label] = seen.get(run.label, 0) + 1
        more = labels.count(run.label) > 1
        result.append(replace(run, label=f"{run.label} #{seen[run.label]}") if more else run)
    return result

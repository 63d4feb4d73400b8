"""Runs of the harness on disk: which samples files count, and what a run is called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tempo_attn.strict_json import parse_json
from tempo_tasks.errors import SamplesError, SamplesNotFoundError, StatsOptionError
from tempo_tasks.stats.names import CONDITIONS, KINDS, TaskName, parse_task
from tempo_tasks.stats.samples import Sample, read_samples

_DATE = r"\d{4}-\d\d-\d\dT[\d.:-]+"
_SAMPLES = re.compile(rf"samples_(?P<task>.+)_(?P<date>{_DATE})\.jsonl")
_RESULTS = re.compile(rf"results_(?P<date>{_DATE})\.json")
_HOW = (
    "lm_eval writes samples with --output_path DIR --log_samples (both are needed): "
    "lm_eval --model lalm --tasks tempo_synth --output_path DIR --log_samples"
)


@dataclass(frozen=True, kw_only=True)
class TaskRun:
    """One task's answers in one run.

    Attributes:
        name: The parts of the task's name.
        task: The task's name.
        file: Name of the samples file.
        samples: Its items.
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
        tasks: Its tasks, in the order of kinds and conditions.
        notes: What a reader must know of how it was read.
    """

    label: str
    folder: Path
    tasks: Sequence[TaskRun]
    notes: Sequence[str] = field(default=())


def read_runs(given: Sequence[str]) -> list[Run]:
    """Read runs, in the order given.

    Args:
        given: Folders that `lm_eval --output_path` wrote (each folder with samples below one is a
            run), or `results_*.json` files; `NAME=PATH` names a run.

    Raises:
        SamplesNotFoundError: A path does not exist, or has no samples.
        SamplesError: Samples of other tasks, or damaged ones.
        StatsOptionError: A run given twice.
    """
    runs: list[Run] = []
    for argument in given:
        name, path = _split(argument)
        found = [_read_run(folder, date, name) for folder, date in _folders(path)]
        if name and len(found) > 1:
            found = [_renamed(run, f"{name}/{run.folder.name}") for run in found]
        runs += found
    seen: dict[tuple[Path, tuple[str, ...]], str] = {}
    for run in runs:
        key = run.folder.resolve(), tuple(task.file for task in run.tasks)
        if key in seen:
            raise StatsOptionError(
                f"{run.folder} is given twice; expected different runs. A run compared with itself "
                "says nothing"
            )
        seen[key] = run.label
    return _distinct(runs)


def _split(argument: str) -> tuple[str, Path]:
    """Return name and path of `NAME=PATH`, or no name: a folder may have "=" in its own name."""
    name, equals, path = argument.partition("=")
    named = bool(equals) and not Path(argument).exists() and "/" not in name
    return (name, Path(path)) if named else ("", Path(argument))


def _folders(path: Path) -> list[tuple[Path, str | None]]:
    """Return the folders with samples at a path, with the date if one is asked for."""
    if path.is_file():
        found = _RESULTS.fullmatch(path.name)
        if not found:
            raise SamplesNotFoundError(
                f"{path}: expected a folder that lm_eval wrote, or one of its results_*.json"
            )
        return [(path.parent, found["date"])]
    if not path.is_dir():
        raise SamplesNotFoundError(f"{path}: no such folder or results file. {_HOW}")
    folders = sorted({file.parent for file in path.rglob("samples_*.jsonl")}, key=_first_date)
    if not folders:
        what = "results without samples" if any(path.rglob("results_*.json")) else "no samples"
        raise SamplesNotFoundError(f"{path}: {what}. {_HOW}")
    return [(folder, None) for folder in folders]


def _first_date(folder: Path) -> tuple[str, Path]:
    """Sort folders by when they were begun: without `pretrained` lm_eval draws their names."""
    dates = [found["date"] for file in folder.iterdir() if (found := _SAMPLES.fullmatch(file.name))]
    return min(dates, default=""), folder


def _read_run(folder: Path, date: str | None, name: str) -> Run:
    dated: dict[str, list[tuple[str, Path]]] = {}
    for file in sorted(folder.glob("samples_*.jsonl")):
        if (match := _SAMPLES.fullmatch(file.name)) and date in (None, match["date"]):
            dated.setdefault(match["task"], []).append((match["date"], file))
    ours = {task: parsed for task in dated if (parsed := parse_task(task))}
    if not dated:
        raise SamplesNotFoundError(f"{folder}: no samples of {date or 'any date'}. {_HOW}")
    if not ours:
        raise SamplesError(
            f"{folder}: samples of {', '.join(sorted(dated))} only; expected tasks of tempo, such "
            "as tempo_synth_eo_aqa"
        )
    notes = [f"{task} is no task of tempo: left out" for task in sorted(set(dated) - set(ours))]
    tasks, dates, results = [], set(), {}
    for task in sorted(ours, key=lambda task: _order(ours[task])):
        newest, file = max(dated[task])
        if (n := len(dated[task])) > 1:
            notes.append(f"{task}: the newest of {n} samples files counts, of {newest}")
        dates.add(newest)
        if newest not in results:
            results[newest] = _results(folder / f"results_{newest}.json")
        samples = read_samples(file, ours[task])
        if rescored := sum(sample.rescored for sample in samples):
            notes.append(
                f"{task}: {rescored} answers are scored again: another release, with other rules "
                "of what counts as an answer, wrote the file"
            )
        data = _data(results[newest], task)
        tasks.append(
            TaskRun(name=ours[task], task=task, file=file.name, samples=samples, data=data)
        )
    _refuse_several_models(folder, {date: results[date] for date in dates if results[date]})
    if len(dates) > 1:
        notes.append(f"tasks of {len(dates)} dates together: {', '.join(sorted(dates))}")
    label = name or _label(results[max(dates)], folder)
    return Run(label=label, folder=folder, tasks=tasks, notes=notes)


def _refuse_several_models(folder: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse samples of several models: lm_eval names a folder after the model's name alone."""
    asked = {
        date: (_label(found, folder), str(_at(found, "config", "tempo", "attn_scale")))
        for date, found in results.items()
    }
    if len(set(asked.values())) > 1:
        raise SamplesError(
            f"{folder}: samples of different models or edits, of {', '.join(sorted(asked))}; "
            "expected one. Name one results_<date>.json, or give each run an --output_path of its "
            "own"
        )


def _order(name: TaskName) -> tuple[object, ...]:
    condition, kind = CONDITIONS.index(name.condition), KINDS.index(name.kind)
    return name.source, name.variant, name.scoring, condition, kind


def _results(path: Path) -> Mapping[str, Any]:
    """Return the results beside samples; none are needed, but half of a file is an error."""
    if not path.exists():
        return {}
    try:
        found = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SamplesError(
            f"{path}: no whole JSON ({error}); the file was cut short or edited. Run the tasks "
            "again, or remove it: it only names the run"
        ) from None
    return found if isinstance(found, dict) else {}


def _data(results: Mapping[str, Any], task: str) -> str | None:
    fingerprint = _at(results, "configs", task, "metadata", "data_fingerprint")
    return fingerprint if isinstance(fingerprint, str) else None


def _label(results: Mapping[str, Any], folder: Path) -> str:
    """Return the model's name, with a mark where its attention was edited."""
    model = _at(results, "config", "tempo", "pretrained")
    if not isinstance(model, str):
        return str(results.get("model_name") or folder.name)
    edited = " (attention edited)" if _at(results, "config", "tempo", "attn_scale") else ""
    # A name with half a character, as JSON can hold it, could not be written anywhere.
    return f"{model}{edited}".encode(errors="replace").decode()


def _at(data: Any, *keys: str) -> Any:
    """Return what lies at the end of a path of keys; None where the path breaks off."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _distinct(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with their labels made unique by a number."""
    labels = [run.label for run in runs]
    seen: dict[str, int] = {}
    result = []
    for run in runs:
        seen[run.label] = seen.get(run.label, 0) + 1
        more = labels.count(run.label) > 1
        result.append(_renamed(run, f"{run.label} #{seen[run.label]}") if more else run)
    return result


def _renamed(run: Run, label: str) -> Run:
    return Run(label=label, folder=run.folder, tasks=run.tasks, notes=run.notes)

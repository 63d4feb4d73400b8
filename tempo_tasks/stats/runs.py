"""Runs of the harness on disk: which samples files count, and what a run is called."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import SamplesError, SamplesNotFoundError, StatsOptionError
from tempo_tasks.stats.names import CONDITIONS, KINDS, TaskName, parse_task
from tempo_tasks.stats.samples import Sample, read_samples

_DATE = r"\d{4}-\d\d-\d\dT[\d.:-]+"
_SAMPLES = re.compile(rf"samples_(?P<task>.+)_(?P<date>{_DATE})\.jsonl")
_RESULTS = re.compile(rf"results_(?P<date>{_DATE})\.json")
_WHAT_RAN = (
    *("model", "model_dtype", "model_revision", "model_sha", "peft_sha", "delta_sha"),
    "gen_kwargs",
)
_HOW_IT_RAN = {
    # Where an edit was loaded from: what it is stands in `tempo`.
    "model_args": (
        *("batch_size", "max_batch_size", "device", "token"),
        *("attn_scale", "attn_scale_revision"),
    ),
    "tempo": ("version", "checks"),
}
"""What does not tell runs apart in these parts of the results' `config`."""
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
        given: Folders that `lm_eval --output_path` wrote, or `results_*.json` files; `NAME=PATH`
            names a run. Each folder with samples below a path is a run, or several: calls with
            another model, edit, settings or data are told apart.

    Raises:
        SamplesNotFoundError: A path does not exist, or has no samples.
        SamplesError: Samples of other tasks, or damaged ones.
        StatsOptionError: A run given twice.
    """
    runs: list[Run] = []
    for argument in given:
        name, path = _split(argument)
        found = [run for folder, date in _folders(path) for run in _read_folder(folder, date, name)]
        if name and len({run.folder for run in found}) > 1:
            found = [replace(run, label=f"{name}/{run.folder.name}") for run in found]
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
    """Sort folders by when they were begun, whatever their names are."""
    dates = [found["date"] for file in folder.iterdir() if (found := _SAMPLES.fullmatch(file.name))]
    return min(dates, default=""), folder


def _read_folder(folder: Path, date: str | None, name: str) -> list[Run]:
    """Return the runs of one folder: lm_eval names it after the model's name alone."""
    dated: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.glob("samples_*.jsonl")):
        if (match := _SAMPLES.fullmatch(file.name)) and date in (None, match["date"]):
            dated.setdefault(match["date"], {})[match["task"]] = file
    found = {task for files in dated.values() for task in files}
    ours = {task: parsed for task in found if (parsed := parse_task(task))}
    if not dated:
        raise SamplesNotFoundError(f"{folder}: no samples of {date or 'any date'}. {_HOW}")
    if not ours:
        raise SamplesError(
            f"{folder}: samples of {', '.join(sorted(found))} only; expected tasks of tempo, such "
            "as tempo_synth_eo_aqa"
        )
    results = {day: _results(folder / f"results_{day}.json") for day in sorted(dated)}
    groups = _told_apart(dated, results)
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


def _told_apart(
    dated: Mapping[str, Mapping[str, Path]], results: Mapping[str, Mapping[str, Any]]
) -> list[list[str]]:
    """Return a folder's dates in groups of one model, edit, settings and data each."""
    groups: list[_Group] = []
    for day in sorted(dated):
        settings = _settings(results[day])
        data = {task: found for task in dated[day] if (found := _data(results[day], task))}
        group = next((group for group in groups if group.fits(settings, data)), None)
        if group is None:
            group = _Group()
            groups.append(group)
        group.settings = group.settings or settings
        group.data |= data
        group.days.append(day)
    return [group.days for group in groups]


@dataclass
class _Group:
    """Dates of one run: what was run, on which data by task, and when."""

    settings: str = ""
    data: dict[str, str] = field(default_factory=dict)
    days: list[str] = field(default_factory=list)

    def fits(self, settings: str, data: Mapping[str, str]) -> bool:
        """Whether a call can be of this run; one whose results are missing fits any."""
        same = not settings or not self.settings or settings == self.settings
        return same and all(self.data.get(task, found) == found for task, found in data.items())


def _settings(results: Mapping[str, Any]) -> str:
    """Return everything in the results of one call that answers depend on, as text."""
    if not results:
        return ""
    config = results.get("config")
    config = config if isinstance(config, dict) else {}
    known = {name: config.get(name) for name in _WHAT_RAN}
    for name, left_out in _HOW_IT_RAN.items():
        value = config.get(name)
        if isinstance(value, dict):
            # What is None says no more than what is not there, as an older version writes it.
            value = {k: v for k, v in value.items() if k not in left_out and v is not None}
        known[name] = value
    for name in ("model_name", "system_instruction", "chat_template_sha"):
        known[name] = results.get(name)
    return json.dumps(known, sort_keys=True, default=str)


def _read_run(
    folder: Path,
    files: Mapping[str, Mapping[str, Path]],
    ours: Mapping[str, TaskName],
    results: Mapping[str, Mapping[str, Any]],
    name: str,
) -> Run:
    """Read the samples of one model under one edit; of each task the newest ones count."""
    dated: dict[str, list[tuple[str, Path]]] = {}
    for day, of_day in files.items():
        for task, file in of_day.items():
            dated.setdefault(task, []).append((day, file))
    notes = [f"{task} is no task of tempo: left out" for task in sorted(set(dated) - set(ours))]
    tasks, dates = [], set()
    for task in sorted(set(dated) & set(ours), key=lambda task: _order(ours[task])):
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
        data = _data(results[newest], task)
        tasks.append(
            TaskRun(name=ours[task], task=task, file=file.name, samples=samples, data=data)
        )
    if len(dates) > 1:
        notes.append(f"tasks of {len(dates)} dates together: {', '.join(sorted(dates))}")
    label = name or _label(results[max(files)], folder)
    return Run(label=label, folder=folder, tasks=tasks, notes=notes)


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
        result.append(replace(run, label=f"{run.label} #{seen[run.label]}") if more else run)
    return result

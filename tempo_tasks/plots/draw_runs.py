"""From runs on disk to figures: which are the harness's, which the laboratory's, and who draws."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tempo_attn.errors import OptionError, RunFolderError
from tempo_attn.figures import saving_as
from tempo_tasks.stats.runs import Run, read_runs, split_name

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Drawn:
    """What was drawn.

    Attributes:
        files: The figures.
        notes: What a reader must know of them.
    """

    files: Sequence[Path]
    notes: Sequence[str]


def draw(given: Sequence[str], out: Path, formats: Sequence[str], level: float = 0.95) -> Drawn:
    """Draw the figures of runs.

    Args:
        given: Run folders of the laboratory, and folders or results files of the harness;
            `NAME=PATH` names one.
        out: Folder of the figures. Those of this name that are there are replaced, and only once
            all are drawn.
        formats: Some of `tempo_attn.figures.FORMATS`.
        level: Coverage of the intervals of accuracy.

    Raises:
        OptionError: Two figures would have one name, or runs are of different data.
        RunFolderError: A run of the laboratory is not finished, is a shard, or has no figures.
        SamplesError, SamplesNotFoundError: See `read_runs`.
    """
    experiments, harness = _sorted(given)
    runs = read_runs(harness) if harness else []
    _check_same_data(runs)
    with _then_moved(out) as folder, saving_as(formats):
        if runs:
            from tempo_tasks.plots.accuracy_figure import accuracy_by_condition
            from tempo_tasks.stats.accuracy import accuracy_rows

            accuracy_by_condition(accuracy_rows(runs, level), folder / "accuracy", level)
        for name, path in experiments:
            _draw_experiment(path, folder, name, formats)
        names = sorted(file.name for file in folder.iterdir())
    notes = [f"{run.label}: {note}" for run in runs for note in run.notes]
    return Drawn([out / name for name in names], notes)


def _sorted(given: Sequence[str]) -> tuple[list[tuple[str, Path]], list[str]]:
    """Return the laboratory's runs, each with the name of its figures, and the harness's."""
    experiments: dict[str, Path] = {}
    harness = []
    for argument in given:
        name, folder = split_name(argument)
        if not (folder / _MANIFEST).is_file():
            harness.append(argument)
            continue
        label = re.sub(r"[^\w.-]+", "_", folder.resolve().name if name is None else name).strip(".")
        if not label or label == "accuracy" or label in experiments:
            raise OptionError(
                f"the figures of {folder} would be called {label!r}, as others are; give it a "
                f"name of its own: NAME={folder}"
            )
        experiments[label] = folder
    return list(experiments.items()), harness


def _check_same_data(runs: Sequence[Run]) -> None:
    """Refuse a picture that compares answers to different questions.

    Raises:
        OptionError: A task of one run has other data than that of another.
    """
    seen: dict[str, tuple[str, str]] = {}
    for run in runs:
        for task in run.tasks:
            if task.data is None:
                continue
            label, data = seen.setdefault(task.task, (run.label, task.data))
            if data != task.data:
                raise OptionError(
                    f"{task.task} was run on other data in {run.label!r} than in {label!r} "
                    f"(fingerprints {task.data[:12]} and {data[:12]}); one picture would compare "
                    "different questions. Plot them apart"
                )


def _draw_experiment(path: Path, folder: Path, name: str, formats: Sequence[str]) -> None:
    """Have a run's own command draw its figures, and keep those alone."""
    from importlib import import_module

    from tempo_attn.lab.run_folder.folder import read_run
    from tempo_tasks.lab.outcome import COMMANDS, reading

    run = read_run(path)
    command = run.manifest.command
    if command not in COMMANDS:
        raise RunFolderError(
            f"{path}: a run of {command!r} has no figures; expected one of {', '.join(COMMANDS)}"
        )
    if run.manifest.shard is not None:
        raise RunFolderError(
            f"{path}: one shard of a run; put all together with tempo merge, and plot that"
        )
    if not run.complete:
        raise RunFolderError(
            f"{path}: not finished, {run.missing} of {len(run.manifest.item_indices)} items are "
            "missing; run the same command again, which goes on with it"
        )
    inside = folder / f".{name}"
    inside.mkdir()
    with reading(path):
        # Tables come with the figures, as in the run's own folder, which stays as it is.
        import_module(f"tempo_attn.lab.{command}.write").write(replace(run, folder=inside))
    drawn = [file for file in sorted(inside.iterdir()) if file.suffix.lstrip(".") in formats]
    if not drawn:
        raise RunFolderError(
            f"{path}: a run of {command!r} with these settings has no figures, only tables"
        )
    for file in drawn:
        os.replace(file, folder / f"{name}-{file.name}")
    shutil.rmtree(inside)


@contextmanager
def _then_moved(out: Path) -> Iterator[Path]:
    """Yield a folder to draw into, whose files go to `out` once all are there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.parent / f".{uuid.uuid4().hex}.partial"
    partial.mkdir()
    try:
        yield partial
        out.mkdir(exist_ok=True)
        for file in sorted(partial.iterdir()):
            os.replace(file, out / file.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)

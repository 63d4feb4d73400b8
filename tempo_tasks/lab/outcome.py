"""From a finished run to its tables and figures, by the command that ran."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tempo_attn.errors import RunFolderError, TempoError
from tempo_attn.lab.report import Report
from tempo_attn.lab.run_folder.folder import Run
from tempo_attn.lab.run_folder.manifest import Manifest
from tempo_tasks.lab.study import Study

COMMANDS = (
    *("sweep", "mass", "heads", "try_heads", "listen", "lens", "trace", "timeline", "steer"),
    *("compare", "presets"),
)
"""Commands whose runs have tables.

Each has a `tempo_attn/lab/<command>/write.py`, whose `write(run)` writes the files and returns a
report on them, and a `tempo_tasks/lab/show/<command>.py`, whose `show(report)` shows it in the
terminal. Both are imported when they are needed: figures are slow to import.
"""


@dataclass(frozen=True)
class Outcome:
    """Where a command wrote, and what.

    Attributes:
        folder: The run folder.
        files: Tables and figures in it.
    """

    folder: Path
    files: list[Path]


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Name the run folder in every error that its content causes: JSON, but not what a run wrote.

    Raises:
        RunFolderError: A value is missing, of another type, or does not go with the others.
        TempoError: As it was, with the folder's name.
    """
    try:
        yield
    except TempoError as error:
        raise type(error)(f"{folder}: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{folder}: its manifest or its records are damaged ({type(error).__name__}: {error}); "
            "bring them back from a copy, or run the same command with another --out"
        ) from error


def written(study: Study, run: Run) -> Outcome | None:
    """Write a run's tables, in the process that does; a shard has none of its own."""
    if not study.is_main:
        return None
    files = write_tables(run) if study.settings.shard is None else []
    return Outcome(run.folder, files)


def write_tables(run: Run) -> list[Path]:
    """Write the tables and figures of a finished run, and show them.

    Raises:
        RunFolderError: It is the run of a command without tables.
    """
    command = run.manifest.command
    if command not in COMMANDS:
        raise RunFolderError(
            f"a run of {command!r} has no tables; expected one of {', '.join(COMMANDS)}"
        )
    report: Report = import_module(f"tempo_attn.lab.{command}.write").write(run)
    import_module(f"tempo_tasks.lab.show.{command}").show(report)
    return report.files


def origin_of(manifest: Manifest) -> dict[str, Any]:
    """Return what a configuration says of the run that it was made from."""
    prints = manifest.fingerprints
    return {
        "tasks": list(manifest.settings.tasks),
        "data": prints.data,
        "items": prints.items,
        "model_weights": prints.model.weights,
        "code": prints.code,
    }

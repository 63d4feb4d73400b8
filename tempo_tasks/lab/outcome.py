"""From a run's records to its tables and pictures, by the verb that ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempo_attn.errors import ConfigError, RunFolderError, TempoError
from tempo_attn.lab.mass.records import MassRecord
from tempo_attn.lab.mass.table import mass_rows
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepRecord, SweepResults
from tempo_tasks.lab import lens_report, presets_report, report, trace_report
from tempo_tasks.lab.study import Record, Study


@dataclass(frozen=True)
class Outcome:
    """Where a verb wrote, and what.

    Attributes:
        folder: The run folder.
        files: Tables and pictures in it.
    """

    folder: Path
    files: list[Path]


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Name a run folder in what its content brings about: JSON, but not what a run wrote.

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


def written(
    study: Study, folder: Path, manifest: Mapping[str, Any], records: Sequence[Record]
) -> Outcome | None:
    """Write a run's tables, in the process that does; a shard has none of its own."""
    if not study.is_main:
        return None
    if study.settings.shard is not None:
        return Outcome(folder, [])
    return Outcome(folder, write_tables(folder, manifest, records))


def write_tables(
    folder: Path, manifest: Mapping[str, Any], records: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Write the tables and pictures of a finished run, by its verb."""
    if manifest["verb"] == "share":
        shares = [MassRecord.from_dict(record) for record in records]
        return report.write_shares(folder, mass_rows(shares))
    if manifest["verb"] == "lens":
        return lens_report.write_lens(folder, manifest, records)
    if manifest["verb"] == "trace":
        return trace_report.write_trace(folder, manifest, records)
    results = results_of(manifest, records)
    if manifest["verb"] == "compare-presets":
        return presets_report.write_presets(folder, manifest, results)
    write = report.write_compare if manifest["verb"] == "compare" else report.write_sweep
    return write(folder, manifest, results)


def results_of(manifest: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> SweepResults:
    """Return what `read_run` read of a sweep.

    Raises:
        ConfigError: It is another verb's run, or not finished.
    """
    variants = manifest["settings"].get("variants")
    if variants is None:
        raise ConfigError(
            f"a run of `tempo {manifest['verb']}` has no variants; expected one of `tempo sweep`"
        )
    return SweepResults(
        [Variant.from_dict(variant) for variant in variants],
        [SweepRecord.from_dict(record) for record in records],
    )

"""The tables and figures of a sweep's run.

Everything is made of the manifest and the records alone, so equal runs give equal files, byte for
byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tempo_attn.files.csv_and_json import write_json, write_table
from tempo_attn.lab.report import Report
from tempo_attn.lab.run_folder.folder import Run
from tempo_attn.lab.sweep.effects import Effect, effects
from tempo_attn.lab.sweep.figures import heat_map, layer_curves
from tempo_attn.lab.sweep.generation_and_control import agreement, largest_control_difference
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.lab.sweep.table import to_rows


@dataclass(frozen=True, kw_only=True)
class SweepReport(Report):
    """What was written of a sweep.

    Attributes:
        effects: What every edit does.
    """

    effects: Sequence[Effect]


def write(run: Run) -> SweepReport:
    """Write `effects.csv`, `effects.json`, `summary.json` and the figures of single layers."""
    report = write_tables(run)
    if all(len(effect.variant.layers) > 1 for effect in report.effects):
        return report
    figures = [
        *layer_curves(report.effects, run.folder / "layers"),
        *heat_map(report.effects, run.folder / "heatmap"),
    ]
    return replace(report, files=[*report.files, *figures])


def write_tables(run: Run) -> SweepReport:
    """Write `effects.csv`, `effects.json` and `summary.json`."""
    results = SweepResults.of_run(run)
    found = effects(results, seed=run.manifest.settings.seed)
    about = summary(run, results)
    files = write_effects(run.folder, to_rows(found), about)
    return SweepReport(effects=found, summary=about, files=files)


def write_effects(
    folder: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> list[Path]:
    """Write the rows of effects and the summary of a run, and return the files."""
    return [*write_table(folder / "effects", rows), write_json(folder / "summary.json", about)]


def summary(run: Run, results: SweepResults) -> dict[str, Any]:
    """Return what a reader must know of a sweep before its effects."""
    return {
        **run.about,
        "n": len(results.records),
        "n_clusters": len(set(results.clusters.tolist())),
        "n_variants": len(results.variants),
        "plain_accuracy": round(float(results.plain_right.mean()), 6),
        "engine": sorted({record.engine for record in results.records}),
        "generation": vars(agreement(results)),
        "recomputed_control": vars(largest_control_difference(results)),
    }

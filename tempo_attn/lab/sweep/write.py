"""The tables and figures of a sweep's run.

Everything is made of the manifest and the records alone, so equal runs give equal files, byte for
byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempo_attn.files.csv_and_json import write_json, write_table
from tempo_attn.lab.run_folder.folder import Run
from tempo_attn.lab.sweep.checks import agreement, largest_control_difference
from tempo_attn.lab.sweep.effects import Effect, effects
from tempo_attn.lab.sweep.figures import heat_map, layer_curves
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.lab.sweep.table import to_rows


@dataclass(frozen=True, kw_only=True)
class SweepReport:
    """What was written of a sweep.

    Attributes:
        effects: What every edit does.
        summary: What a reader must know before that, as in `summary.json`.
        files: The files.
    """

    effects: Sequence[Effect]
    summary: Mapping[str, Any]
    files: list[Path]


def write(run: Run) -> SweepReport:
    """Write `effects.csv`, `effects.json`, `summary.json` and the figures of single layers."""
    results = SweepResults.of_run(run)
    found = effects(results, seed=run.manifest.settings.seed)
    about = summary(run, results)
    files = write_effects(run.folder, to_rows(found), about)
    if any(len(effect.variant.layers) == 1 for effect in found):
        files += layer_curves(found, run.folder / "layers")
        files += heat_map(found, run.folder / "heatmap")
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
        "n_clips": len(set(results.clips.tolist())),
        "n_variants": len(results.variants),
        "plain_accuracy": round(float(results.plain_right.mean()), 6),
        "engine": sorted({record.engine for record in results.records}),
        "generation": vars(agreement(results)),
        "recomputed_control": vars(largest_control_difference(results)),
    }

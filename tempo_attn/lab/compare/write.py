"""The tables and figures of a run of `tempo compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempo_attn.lab.run_folder.folder import Run
from tempo_attn.lab.sweep.effects import Effect, effects
from tempo_attn.lab.sweep.figures import mass_against_change
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.lab.sweep.table import to_rows
from tempo_attn.lab.sweep.write import summary, write_effects


@dataclass(frozen=True, kw_only=True)
class CompareReport:
    """What was written of a comparison.

    Attributes:
        effects: What every edit does.
        matches: Each scaling with the constant bias of the same mean audio mass.
        summary: What a reader must know before that, as in `summary.json`.
        files: The files.
    """

    effects: Sequence[Effect]
    matches: Sequence[tuple[Variant, Variant]]
    summary: Mapping[str, Any]
    files: list[Path]


def write(run: Run) -> CompareReport:
    """Write a sweep's tables, and the figure of audio mass against change of accuracy."""
    results = SweepResults.of_run(run)
    found = effects(results, seed=run.manifest.settings.seed)
    about = summary(run, results)
    files = write_effects(run.folder, to_rows(found), about)
    files += mass_against_change(found, run.folder / "mass")
    matches = [
        (results.variants[scaling], results.variants[bias])
        for scaling, bias in run.manifest.settings.of_command["matches"]
    ]
    return CompareReport(effects=found, matches=matches, summary=about, files=files)

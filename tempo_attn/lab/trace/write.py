"""The tables and figures of a run of `tempo trace`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempo_attn.files.csv_and_json import write_json, write_table
from tempo_attn.lab.run_folder.folder import Run
from tempo_attn.lab.trace.figures import rate_table, rates_by_layer
from tempo_attn.lab.trace.records import TraceRecord
from tempo_attn.lab.trace.sites import Site
from tempo_attn.lab.trace.table import agreement_rows, dropped_rows, trace_rows

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TraceReport:
    """What was written of a trace.

    Attributes:
        rows: The table; empty without any item that could be traced.
        summary: What a reader must know before that, as in `summary.json`.
        files: The files.
    """

    rows: Sequence[Row]
    summary: Row
    files: list[Path]


def write(run: Run) -> TraceReport:
    """Write `trace.csv` and `trace.json`, `summary.json`, and the figures of a finished run.

    Without any item that could be traced, `summary.json` alone says why.
    """
    records = [TraceRecord.from_dict(record) for record in run.records]
    own = run.manifest.settings.of_command
    sites = [Site(**site) for site in own["sites"]]
    rows = trace_rows(records, sites, seed=run.manifest.settings.seed)
    about = {
        **run.about,
        "corrupt": own["corrupt"],
        "method": own["method"],
        "single_positions": own["single"],
        "n_patches": len(sites),
        "engine": sorted({record.engine for record in records if record.dropped is None}),
        "items": dropped_rows(records),
        "attribution": agreement_rows(rows),
    }
    files = [write_json(run.folder / "summary.json", about)]
    if rows:
        files = [*write_table(run.folder / "trace", rows), *files]
        files += _figures(run.folder, rows, own["method"])
    return TraceReport(rows=rows, summary=about, files=files)


def _figures(folder: Path, rows: Sequence[Row], method: str) -> list[Path]:
    files: list[Path] = []
    if method != "attribution":
        files += rate_table(rows, folder / "trace")
        files += rates_by_layer(rows, folder / "trace-layers")
    if any(row["twin"] is not None for row in rows):
        files += rate_table(rows, folder / "trace-twin", value="twin")
    if method != "patching":
        files += rate_table(rows, folder / "attribution", value="attributed")
    return files

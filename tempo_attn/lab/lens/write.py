"""The tables and the figure of a run of `tempo lens`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempo_attn.errors import RunFolderError
from tempo_attn.files.csv_and_json import write_csv, write_json, write_table
from tempo_attn.lab.item_records import is_right
from tempo_attn.lab.lens.critical import MARGIN, correlation_rows, critical_rows
from tempo_attn.lab.lens.figures import information_by_layer
from tempo_attn.lab.lens.records import LensRecord
from tempo_attn.lab.lens.table import lens_rows
from tempo_attn.lab.report import Report
from tempo_attn.lab.run_folder.folder import Run

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class LensReport(Report):
    """What was written of a lens.

    Attributes:
        layers: The information score of every layer.
        critical: The critical layers.
    """

    layers: Sequence[Row]
    critical: Sequence[Row]


def write(run: Run) -> LensReport:
    """Write the tables and the figure of a finished run.

    These are `lens.csv` and `lens.json` (every layer), `critical.csv` and `critical.json`,
    `summary.json`, and the figure `lens`.

    Raises:
        RunFolderError: There is nothing to write.
    """
    records = [LensRecord.from_dict(record) for record in run.records]
    layers = lens_rows(records)
    if not layers:
        raise RunFolderError(
            "there is no information to write: the run has no items, or all of them have options "
            "that begin with the same token"
        )
    critical = critical_rows(records)
    about = summary(run, records)
    flat = [{**row, "weights": _joined(row["weights"])} for row in critical]
    files = [
        *write_table(run.folder / "lens", layers),
        write_csv(run.folder / "critical.csv", flat),
        write_json(run.folder / "critical.json", critical),
        write_json(run.folder / "summary.json", about),
        *information_by_layer(layers, run.folder / "lens"),
    ]
    return LensReport(layers=layers, critical=critical, summary=about, files=files)


def summary(run: Run, records: Sequence[LensRecord]) -> dict[str, Any]:
    """Return what a reader must know of a run before its tables, and the correlations."""
    right = is_right(
        np.array([record.plain for record in records], dtype=float),
        np.array([record.answer for record in records]),
    )
    unread = [record for record in records if None in record.probabilities.values()]
    return {
        **run.about,
        "n": len(records),
        "n_clusters": len({record.cluster for record in records}),
        "plain_accuracy": round(float(right.mean()), 6),
        "n_without_labels": len(unread),
        "margin": MARGIN,
        "correlations": correlation_rows(records),
    }


def _joined(weights: Sequence[float] | None) -> str | None:
    return None if weights is None else " ".join(f"{weight:g}" for weight in weights)

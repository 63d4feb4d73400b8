"""The tables, the summary and the figure of a run of `tempo listen`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempo_attn.errors import RunFolderError
from tempo_attn.files.csv_and_json import write_json, write_table
from tempo_attn.lab.item_records import is_right
from tempo_attn.lab.listen.figures import listen_table, listens
from tempo_attn.lab.listen.records import ListenRecord
from tempo_attn.lab.listen.table import best_rows, listen_rows
from tempo_attn.lab.report import Report
from tempo_attn.lab.run_folder.folder import Run


@dataclass(frozen=True, kw_only=True)
class ListenReport(Report):
    """What was written of a run.

    Attributes:
        rows: The table of all layers and heads.
        best: The best head and layer of each panel, of clips that they were not chosen on.
    """

    rows: Sequence[Mapping[str, Any]]
    best: Sequence[Mapping[str, Any]]


def write(run: Run) -> ListenReport:
    """Write `listen.csv`, `best.csv`, both as JSON, too, `summary.json` and the figure.

    Raises:
        RunFolderError: The run has no items, or no head in it has a window.
    """
    records = [ListenRecord.from_dict(record) for record in run.records]
    if not records:
        raise RunFolderError("there is nothing to write: the run has no items")
    seed = run.manifest.settings.seed
    rows = listen_rows(records, seed=seed)
    if not rows:
        raise RunFolderError("there is nothing to write: no layer of the model has attention")
    best = best_rows(records, seed=seed)
    about = summary(run, records, rows)
    files = write_table(run.folder / "listen", rows)
    files += write_table(run.folder / "best", best) if best else []
    files.append(write_json(run.folder / "summary.json", about))
    if any(row["above_other_clips"] is not None for row in rows):
        files += listen_table(rows, run.folder / "listen")
    return ListenReport(rows=rows, best=best, summary=about, files=files)


def summary(
    run: Run, records: Sequence[ListenRecord], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what a reader must know before the tables."""
    right = [bool(is_right(np.array(r.plain), np.array(r.answer))) for r in records]
    return {
        **run.about,
        "n": len(records),
        "n_clusters": len({record.cluster for record in records}),
        "plain_accuracy": round(sum(right) / len(right), 6),
        "n_tested": sum(row["above_other_clips_p_holm"] is not None for row in rows),
        "n_that_listen": sum(map(listens, rows)),
    }

"""The table, the summary and the figure of a run of `tempo heads`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tempo_attn.errors import RunFolderError
from tempo_attn.files.csv_and_json import write_json, write_table
from tempo_attn.lab.heads.figures import score_table
from tempo_attn.lab.heads.records import TARGETS, HeadRecord
from tempo_attn.lab.heads.scores import groups, head_rows, rightness, stability
from tempo_attn.lab.report import Report
from tempo_attn.lab.run_folder.folder import Run


@dataclass(frozen=True, kw_only=True)
class HeadsReport(Report):
    """What was written of a measurement of heads.

    Attributes:
        rows: The table.
    """

    rows: Sequence[Mapping[str, Any]]


def write(run: Run) -> HeadsReport:
    """Write `heads.csv`, `heads.json`, `summary.json` and, where there are scores, the figure.

    Raises:
        RunFolderError: The run has no items.
    """
    records = [HeadRecord.from_dict(record) for record in run.records]
    if not records:
        raise RunFolderError("there is nothing to write: the run has no items")
    rows = head_rows(records)
    about = summary(run, records)
    path = run.folder / "heads"
    files = [*write_table(path, rows), write_json(run.folder / "summary.json", about)]
    if any(row["r"] is not None for row in rows):
        files += score_table(rows, path)
    return HeadsReport(rows=rows, summary=about, files=files)


def summary(run: Run, records: Sequence[HeadRecord]) -> dict[str, Any]:
    """Return what a reader must know before the table: sizes, and the agreement of halves."""
    agreements = [
        {
            **labels,
            "rows": rows,
            "target": target,
            **stability(known, target, rows, run.manifest.settings.seed),
        }
        for labels, mine in groups(records)
        for rows in mine[0].audio
        for target in TARGETS
        if (known := [record for record in mine if getattr(record, target) is not None])
    ]
    return {
        **run.about,
        "n": len(records),
        "n_clusters": len({record.cluster for record in records}),
        "n_with_event_times": sum(record.event is not None for record in records),
        "plain_accuracy": round(float(rightness(records).mean()), 6),
        "agreement_of_halves": agreements,
    }

"""The table and the figure of a run of `tempo try-heads`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tempo_attn.errors import RunFolderError
from tempo_attn.files.csv_and_json import write_json, write_table
from tempo_attn.lab.figures.lines import Line, draw_lines, percent_interval, points
from tempo_attn.lab.item_records import is_right
from tempo_attn.lab.report import Report
from tempo_attn.lab.run_folder.folder import Run
from tempo_attn.lab.try_heads.records import TriedRecord, sets_from
from tempo_attn.lab.try_heads.table import tried_rows


@dataclass(frozen=True)
class TrialSettings:
    """Settings of a trial that its tables depend on.

    Attributes:
        edit: The edit in words.
        sets: Every set of heads, as JSON data.
        chosen_on: What the heads were chosen on, for the reader.
    """

    edit: str
    sets: Sequence[Mapping[str, Any]]
    chosen_on: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrialReport(Report):
    """What was written of a trial.

    Attributes:
        rows: The table.
    """

    rows: Sequence[Mapping[str, Any]]


def write(run: Run) -> TrialReport:
    """Write `try_heads.csv`, `try_heads.json`, `summary.json` and the figure.

    Raises:
        RunFolderError: The run has no items.
    """
    records = [TriedRecord.from_dict(record) for record in run.records]
    if not records:
        raise RunFolderError("there is nothing to write: the run has no items")
    own = run.manifest.settings.own(TrialSettings)
    rows = tried_rows(records, sets_from(own.sets))
    plain = is_right(
        np.array([record.plain for record in records], dtype=float),
        np.array([record.answer for record in records]),
    )
    about = {
        **run.about,
        "edit": own.edit,
        "n": len(records),
        "n_clusters": len({record.cluster for record in records}),
        "plain_accuracy": round(float(plain.mean()), 6),
        "chosen_on": dict(own.chosen_on),
    }
    path = run.folder / "try_heads"
    files = [
        *write_table(path, rows),
        write_json(run.folder / "summary.json", about),
        *change_by_number(rows, own.edit, path),
    ]
    return TrialReport(rows=rows, summary=about, files=files)


def change_by_number(rows: Sequence[Mapping[str, Any]], edit: str, path: Path) -> list[Path]:
    """Draw the change of accuracy by the number of edited heads, best and random ones.

    Args:
        rows: As `tried_rows` has them.
        edit: The edit in words.
        path: Where to, without a suffix.
    """
    series = {"best heads": ("change", "low", "high")}
    if any(row["random"] is not None for row in rows):
        series["random heads, mean"] = ("random", "random_low", "random_high")
    lines = [
        Line(
            name=name,
            # Side by side on the logarithmic axis, so that the intervals can be told apart.
            x=[float(np.log2(row["heads"])) + 0.05 * at for row in rows],
            y=[points(row[columns[0]]) for row in rows],
            intervals=[percent_interval((row[columns[1]], row[columns[2]])) for row in rows],
        )
        for at, (name, columns) in enumerate(series.items())
    ]
    return draw_lines(
        {("", f"{edit}, n = {rows[0]['n']}"): lines},
        path,
        names=list(series),
        size=(3.6, 2.4),
        labels=("log2 of the number of edited heads", "change of accuracy, percentage points"),
    )

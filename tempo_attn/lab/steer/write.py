"""The table and the figure of a run of `tempo steer`."""

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
from tempo_attn.lab.steer.pushes import Push
from tempo_attn.lab.steer.records import SteerRecord
from tempo_attn.lab.steer.table import steer_rows


@dataclass(frozen=True)
class SteerSettings:
    """Settings of a trial that its tables depend on.

    Attributes:
        pushes: Every push, as JSON data.
        directions: Where the directions are from, for the reader.
    """

    pushes: Sequence[Mapping[str, Any]]
    directions: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SteerReport(Report):
    """What was written of a trial.

    Attributes:
        rows: The table.
    """

    rows: Sequence[Mapping[str, Any]]


def write(run: Run) -> SteerReport:
    """Write `steer.csv`, `steer.json`, `summary.json` and the figure.

    Raises:
        RunFolderError: The run has no items, or a record has not the pushes of the settings.
    """
    records = [SteerRecord.from_dict(record) for record in run.records]
    if not records:
        raise RunFolderError("there is nothing to write: the run has no items")
    own = run.manifest.settings.own(SteerSettings)
    pushes = [Push.from_dict(push) for push in own.pushes]
    wrong = next((record for record in records if len(record.pushed) != len(pushes)), None)
    if wrong is not None:
        raise RunFolderError(
            f"{wrong.id!r} has {len(wrong.pushed)} pushes and the settings {len(pushes)}; bring "
            "the folder back from a copy"
        )
    rows = steer_rows(records, pushes)
    plain = np.array([record.plain for record in records], dtype=float)
    control = np.array([record.control for record in records], dtype=float)
    about = {
        **run.about,
        "n": len(records),
        "n_clusters": len({record.cluster for record in records}),
        "plain_accuracy": round(
            float(is_right(plain, np.array([record.answer for record in records])).mean()), 6
        ),
        "control_change": round(float(np.abs(control - plain[:, None]).max()), 6),
        "engines": sorted({record.engine for record in records}),
        "directions": dict(own.directions),
    }
    path = run.folder / "steer"
    files = [
        *write_table(path, rows),
        write_json(run.folder / "summary.json", about),
        *flips_by_strength(rows, path),
    ]
    return SteerReport(rows=rows, summary=about, files=files)


def flips_by_strength(rows: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Draw the share of flipped pairs by strength: along the direction, and along random ones.

    Args:
        rows: As `steer_rows` has them.
        path: Where to, without a suffix.
    """
    series = {"direction of time": ("flipped", "flipped_low", "flipped_high")}
    if any(row["random"] is not None for row in rows):
        series["random directions, mean"] = ("random", "random_low", "random_high")
    panels: dict[tuple[str, str], list[Line]] = {}
    for where in dict.fromkeys((row["condition"], row["kind"], row["layers"]) for row in rows):
        condition, kind, layers = where
        mine = [row for row in rows if (row["condition"], row["kind"], row["layers"]) == where]
        mine = sorted(mine, key=lambda row: float(row["strength"]))
        panels[f"layer {layers}", f"{condition}, {kind}, n = {mine[0]['n']}"] = [
            Line(
                name=name,
                x=[float(row["strength"]) for row in mine],
                y=[points(row[columns[0]]) for row in mine],
                intervals=[percent_interval((row[columns[1]], row[columns[2]])) for row in mine],
            )
            for name, columns in series.items()
        ]
    return draw_lines(
        panels,
        path,
        names=list(series),
        size=(3.0, 2.2),
        labels=("strength, towards where the option wins", "flipped pairs, %"),
    )

"""Tables and pictures of `tempo lens`, and what the terminal shows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tempo_attn.errors import ConfigError
from tempo_attn.lab.item_records import is_right
from tempo_attn.lab.lens.critical import MARGIN, correlation_rows, critical_rows
from tempo_attn.lab.lens.figures import information_by_layer
from tempo_attn.lab.lens.records import LensRecord
from tempo_attn.lab.lens.table import GAP, lens_rows
from tempo_tasks.tables import write_csv, write_json

Row = Mapping[str, Any]
_PLACE = ("kind", "condition", "candidates", "rows")


def write_lens(folder: Path, manifest: Row, records: Sequence[Row]) -> list[Path]:
    """Write the tables and the picture of a finished run, and show the critical layers.

    Args:
        folder: The run folder.
        manifest: Its manifest.
        records: Its records, as `read_run` has them.

    Returns:
        `lens.csv` and `lens.json` (every layer), `critical.csv` and `critical.json`,
        `summary.json` (with the correlations), and the picture.

    Raises:
        ConfigError: There is nothing to write.
    """
    read = [LensRecord.from_dict(record) for record in records]
    layers = lens_rows(read)
    if not layers:
        raise ConfigError(
            "there is no information to write: the run has no items, or all of them have options "
            "that begin with the same token"
        )
    critical = critical_rows(read)
    about = summary(manifest, read)
    _show(layers, critical, about)
    flat = [{**row, "weights": _joined(row["weights"])} for row in critical]
    return [
        write_csv(folder / "lens.csv", layers),
        write_json(folder / "lens.json", layers),
        write_csv(folder / "critical.csv", flat),
        write_json(folder / "critical.json", critical),
        write_json(folder / "summary.json", about),
        *information_by_layer(layers, folder / "lens"),
    ]


def summary(manifest: Row, records: Sequence[LensRecord]) -> dict[str, Any]:
    """Return what a reader must know of a run before its tables, and the correlations."""
    right = is_right(
        np.array([record.plain for record in records], dtype=float),
        np.array([record.answer for record in records]),
    )
    unread = [r for r in records if None in r.probabilities.values()]
    return {
        "verb": manifest["verb"],
        "model": manifest["fingerprints"]["model"]["name"],
        "tasks": manifest["settings"]["tasks"],
        "n": len(records),
        "n_clusters": len({record.cluster for record in records}),
        "plain_accuracy": round(float(right.mean()), 6),
        "n_without_labels": len(unread),
        "margin": MARGIN,
        "correlations": correlation_rows(records),
    }


def _joined(weights: Sequence[float] | None) -> str | None:
    return None if weights is None else " ".join(f"{weight:g}" for weight in weights)


def _show(layers: Sequence[Row], critical: Sequence[Row], about: Row) -> None:
    console = Console(width=150)
    table = Table(
        title=f"{about['model']}: information score, % (95 % interval by clip), and critical layer"
    )
    for column in ("items", "candidates", "rows"):
        table.add_column(column)
    for column in ("most", "at layer", "last layer", "critical layer", "right", "wrong", GAP):
        table.add_column(column, justify="right")
    at = {(_place(row), row["group"]): row for row in critical}
    before = ""
    for place in dict.fromkeys(map(_place, layers)):
        mine = [row for row in layers if _place(row) == place and row["group"] == "all"]
        most = max(mine, key=lambda row: (row["score"], -row["layer"]))
        name = f"{place[0]} {place[1]} ({mine[0]['n']})"
        table.add_row(
            name if name != before else "",
            *place[2:],
            _score(most),
            str(most["layer"]),
            _score(mine[-1]),
            _layer(at.get((place, "all"))),
            *(_layer(at.get((place, group)), ends=False) for group in ("right", "wrong")),
            _layer(at.get((place, GAP)), signed=True),
        )
        before = name
    console.print(table)
    console.print(
        f"{about['n']} items of {about['n_clusters']} clips; {100 * about['plain_accuracy']:.1f} % "
        f"are right. {about['n_without_labels']} have no reading of labels: two of their options "
        "begin with the same token."
    )
    console.print(
        "At the last layer's last row, letters are the model's answer: right against wrong says "
        "nothing there."
    )


def _place(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _PLACE)


def _score(row: Row) -> str:
    if row["low"] is None:
        return f"{100 * row['score']:.0f}"
    return f"{100 * row['score']:.0f} ({100 * row['low']:.0f} to {100 * row['high']:.0f})"


def _layer(row: Row | None, *, ends: bool = True, signed: bool = False) -> str:
    if row is None or row["critical"] is None:
        return "-"
    sign = "+" if signed else ""
    text = f"{row['critical']:{sign}.1f}"
    if ends and row["low"] is not None:
        text += f" ({row['low']:{sign}.1f} to {row['high']:{sign}.1f})"
    return text

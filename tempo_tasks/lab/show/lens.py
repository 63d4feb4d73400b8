"""The layers that know most of the answer, as the terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tempo_attn.lab.lens.table import GAP
from tempo_attn.lab.lens.write import LensReport

Row = Mapping[str, Any]
_PLACE = ("kind", "condition", "candidates", "rows")


def show(report: LensReport) -> None:
    """Show the best layer of every reading, and the critical layers."""
    layers, about = report.layers, report.summary
    console = Console(width=150)
    table = Table(
        title=f"{about['model']}: information score, % (95 % interval by cluster), and critical "
        "layer"
    )
    for column in ("items", "candidates", "rows"):
        table.add_column(column)
    for column in ("most", "at layer", "last layer", "critical layer", "right", "wrong", GAP):
        table.add_column(column, justify="right")
    at = {(_place(row), row["group"]): row for row in report.critical}
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
        f"{about['n']} items of {about['n_clusters']} clusters; "
        f"{100 * about['plain_accuracy']:.1f} % are right. "
        f"{about['n_without_labels']} have no reading of labels: two of their options "
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

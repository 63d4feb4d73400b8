"""The audio mass of every layer, as the terminal shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tempo_attn.lab.mass.write import MassReport
from tempo_tasks.lab.show.numbers import percent, points


def show(report: MassReport) -> None:
    """Show how much attention goes to audio, and how right and wrong answers differ in it."""
    table = report.rows
    shown = Table(title="attention on audio, % (95 % interval by cluster)")
    for column in ("items", "rows", "layer"):
        shown.add_column(column)
    for column in ("audio", "interval", "first token", "right - wrong"):
        shown.add_column(column, justify="right")
    gaps = {_place(row): row for row in table if row["group"] == "right - wrong"}
    for row in table:
        if row["group"] == "all" and row["mass"] is not None:
            gap = gaps.get(_place(row))
            shown.add_row(
                f"{row['kind']} {row['condition']} ({row['n']})",
                row["rows"],
                str(row["layer"]),
                percent(row["mass"]),
                f"{percent(row['low'])} to {percent(row['high'])}",
                percent(row["first"]),
                "-" if gap is None else points(*(gap[name] for name in ("mass", "low", "high"))),
            )
    Console(width=110).print(shown)


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("kind", "condition", "rows", "layer"))

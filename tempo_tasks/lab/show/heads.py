"""The heads with the highest scores, as the terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table

from tempo_attn.lab.heads.write import HeadsReport
from tempo_tasks.lab.show.numbers import p_value, percent

SHOWN = 3
"""Heads shown of each kind, condition, set of rows and target."""


def show(report: HeadsReport) -> None:
    """Show the best heads of every table, and how far halves of the clips agree on them."""
    console = Console(width=110)
    shown = Table(title="heads whose attention goes with right answers (95 % interval by cluster)")
    for column in ("items", "rows", "target"):
        shown.add_column(column)
    for column in ("layer", "head", "attention", "r", "interval", "spearman", "p (Holm)"):
        shown.add_column(column, justify="right")
    for _, mine in groupby(report.rows, _place):
        scored = [row for row in mine if row["r"] is not None]
        for row in sorted(scored, key=lambda row: -row["r"])[:SHOWN]:
            shown.add_row(
                f"{row['kind']} {row['condition']} ({row['n']})",
                row["rows"],
                row["target"],
                str(row["layer"]),
                str(row["head"]),
                percent(row["mass"]),
                f"{row['r']:+.2f}",
                "-" if row["low"] is None else f"{row['low']:+.2f} to {row['high']:+.2f}",
                "-" if row["spearman"] is None else f"{row['spearman']:+.2f}",
                p_value(row["p_holm"]),
            )
    if shown.row_count:
        console.print(shown)
    about = report.summary
    console.print(
        f"{about['n']} items of {about['n_clusters']} clusters; {about['plain_accuracy']:.1%} are "
        f"right; the event's time is known of {about['n_with_event_times']}."
    )
    for row in about["agreement_of_halves"]:
        where = f"{row['kind']} {row['condition']}, rows {row['rows']}, {row['target']}"
        if row["agreement"] is None:
            console.print(f"{where}: no score, all items are right or all are wrong")
        else:
            console.print(
                f"{where}: halves of the clips agree on the order of heads at "
                f"{row['agreement']:.2f} ({row['null']:.2f} where answers are shuffled)"
            )


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("kind", "condition", "rows", "target"))

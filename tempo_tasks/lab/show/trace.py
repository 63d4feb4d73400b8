"""Which patches carry the answer, as the terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tempo_attn.lab.trace.records import DROPPED
from tempo_attn.lab.trace.sites import GROUPS
from tempo_attn.lab.trace.write import TraceReport

Row = Mapping[str, Any]
_NAMES = {"recover": "recovery rate", "shift": "belief shift"}
_SHOWN = 10
"""Sites with the largest attribution, where nothing was patched."""


def show(report: TraceReport) -> None:
    """Show the rates by layer and group, which items were traced, and how methods agree."""
    rows, about = report.rows, report.summary
    console = Console(width=150)
    places = dict.fromkeys(_place(row) for row in rows)
    for place in places:
        mine = [row for row in rows if _place(row) == place]
        if mine[0]["rate"] is None:
            console.print(_ranking(mine))
        else:
            console.print(_grid(mine, "rate"))
        if mine[0]["twin"] is not None:
            console.print(_grid(mine, "twin"))
    for row in about["items"]:
        reasons = ", ".join(f"{row[reason]} {reason}" for reason in DROPPED)
        console.print(
            f"{row['kind']} {row['condition']}: {row['traced']} of {row['n']} items traced "
            f"({about['corrupt']}); dropped: {reasons}."
        )
    for row in about["attribution"]:
        if row["rank_correlation"] is not None:
            console.print(
                f"Attribution against true patches, {row['kind']}, {row['direction']}, "
                f"{row['component']}, {row['sites']} sites: rank correlation "
                f"{row['rank_correlation']:.2f}, correlation {row['correlation']:.2f}; "
                f"{row['same_top']} of the {row['top']} largest are the same."
            )


def _place(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("condition", "kind", "direction", "component"))


def _title(row: Row) -> str:
    return (
        f"{row['kind']} {row['condition']} (n = {row['n']}, {row['n_clusters']} clusters), "
        f"{row['component']}: {_NAMES[row['direction']]}, % (95 % interval by cluster)"
    )


def _grid(rows: Sequence[Row], value: str) -> Table:
    """Return a table of layers and groups: of "rate", or of "twin", the twin's right answer."""
    ends, null = ("low", "high"), "null"
    title = _title(rows[0])
    if value == "twin":
        ends, null = ("twin_low", "twin_high"), "twin_null"
        title += ", of the twin's right answer"
    table = Table(title=title)
    groups = [group for group in GROUPS if any(row["group"] == group for row in rows)]
    table.add_column("after layer")
    for group in groups:
        table.add_column(group, justify="right")
    by_place = {(row["layer"], row["group"]): row for row in rows}
    for layer in sorted({row["layer"] for row in rows}):
        table.add_row(
            "input" if layer < 0 else str(layer),
            *(_cell(by_place[layer, group], value, ends) for group in groups),
        )
    nulls = [row[null] for row in rows if row[null] is not None]
    if nulls:
        table.caption = (
            "Random changes of the same size: "
            f"{_percent(min(nulls))} to {_percent(max(nulls))} (each in trace.csv)"
        )
    return table


def _ranking(rows: Sequence[Row]) -> Table:
    """Return a table of the sites with the largest attribution."""
    table = Table(title=f"{_title(rows[0])}, to first order, the {_SHOWN} largest")
    for column in ("positions", "after layer"):
        table.add_column(column)
    table.add_column("attributed", justify="right")
    for row in sorted(rows, key=lambda row: -abs(row["attributed"]))[:_SHOWN]:
        layer = "input" if row["layer"] < 0 else str(row["layer"])
        ends = ("attributed_low", "attributed_high")
        table.add_row(row["group"], layer, _cell(row, "attributed", ends))
    return table


def _cell(row: Row, value: str, ends: tuple[str, str]) -> str:
    if row[value] is None:  # the two runs do not differ at all
        return "-"
    text = _percent(row[value])
    low, high = (row[name] for name in ends)
    return text if low is None else f"{text} ({_percent(low)} to {_percent(high)})"


def _percent(share: float) -> str:
    return f"{round(100 * share)}"  # without the sign of a zero

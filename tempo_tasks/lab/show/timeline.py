"""What probes read at each layer, as the terminal shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tempo_attn.lab.timeline.table import BOTH
from tempo_attn.lab.timeline.write import TimelineReport

_SHOWN = ("states", "shuffled", "silence", "random_weights")


def show(report: TimelineReport) -> None:
    """Show the midpoint and the order by layer, and what the temporal IDs explain."""
    console = Console(width=110)
    shown = Table(title="read from the states at events' names (95 % interval by cluster)")
    shown.add_column("layer", justify="right")
    for column in ("probe", "states of"):
        shown.add_column(column)
    for column in ("midpoint, s off", "R2", "interval", "order right", "interval"):
        shown.add_column(column, justify="right")
    rows = [row for row in report.rows if row["held_out"] == BOTH]
    orders = {_place(row): row for row in rows if row["target"] == "order"}
    for row in rows:
        if row["target"] != "midpoint" or row["source"] not in (*_SHOWN, "mean"):
            continue
        order = orders.get(_place(row))
        shown.add_row(
            "-" if row["layer"] is None else str(row["layer"]),
            row["probe"],
            row["source"],
            f"{row['mae']:.2f}",
            "-" if row["r2"] is None else f"{row['r2']:+.2f}",
            _interval(row, "r2", "+.2f"),
            "-" if order is None else f"{order['accuracy']:.1%}",
            "-" if order is None else _interval(order, "accuracy", ".1%"),
        )
    console.print(shown)
    about = report.summary
    console.print(
        f"{about['n_events']} events of {about['n_classes']} classes in {about['n_with_events']} "
        f"of {about['n']} items, {about['n_clusters']} clusters; {about['n_pairs']} pairs. Tested "
        "on classes and clips that the probe has not seen."
    )
    if about["one_length_of_clips"]:
        console.print("All clips have one length: seconds and shares of a clip are the same here.")
    for one in about["temporal_ids"]:
        console.print(
            f"layer {one['layer']}: two components hold {one['explained_by_two']:.0%} of the "
            f"temporal IDs ({one['explained_by_two_shuffled']:.0%} where times are shuffled)"
        )


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["layer"], row["probe"], row["source"]


def _interval(row: Mapping[str, Any], value: str, form: str) -> str:
    low, high = row[f"{value}_low"], row[f"{value}_high"]
    return "-" if low is None else f"{low:{form}} to {high:{form}}"

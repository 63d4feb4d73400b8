"""Which heads look at the event while it sounds, as the terminal shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tempo_attn.lab.listen.write import ListenReport
from tempo_tasks.lab.show.numbers import percent


def show(report: ListenReport) -> None:
    """Show the best head and layer of each panel, and how the answers go with them."""
    console = Console(width=140)
    if report.best:
        console.print(_windows(report))
        console.print(_answers(report))
    about = report.summary
    console.print(
        f"{about['n']} items of {about['n_clusters']} clusters; {about['plain_accuracy']:.1%} are "
        f"right. Of {about['n_tested']} heads and layers, {about['n_that_listen']} look at the "
        "event more than other clips' windows and silence would (Holm's p < 0.05)."
    )


def _windows(report: ListenReport) -> Table:
    title = "the best head and layer, chosen on half of the clips, on the other half"
    numbers = ("n", "IoU (95 %)", "chance", "silence", "other clips", "centre in, %", "error, s")
    shown = _table(title, numbers)
    for row in report.best:
        shown.add_row(
            *_place(row),
            str(row["n"]),
            f"{_share(row['iou'])} ({_share(row['low'])}-{_share(row['high'])})",
            _share(row["chance"]),
            _share(row["silence"]),
            _share(row["other_clips"]),
            f"{percent(row['hit'])} ({percent(row['hit_chance'])})",
            f"{_share(row['error'])} ({_share(row['error_chance'])})",
        )
    return shown


def _answers(report: ListenReport) -> Table:
    title = "answers, %: attended where the window's centre lies in the event"
    numbers = ("right", "wrong, attended", "wrong, not attended", "attended if right", "if wrong")
    shown = _table(title, numbers)
    for row in report.best:
        shown.add_row(
            *_place(row),
            percent(row["right"]),
            f"{percent(row['wrong_though_attended'])} ({row['n_wrong_though_attended']})",
            f"{percent(row['wrong_and_not_attended'])} ({row['n_wrong_and_not_attended']})",
            percent(row["hit_if_right"]),
            percent(row["hit_if_wrong"]),
        )
    return shown


def _table(title: str, numbers: Sequence[str]) -> Table:
    shown = Table(title=title)
    for column in ("items", "rows", "event", "reading", "layer.head"):
        shown.add_column(column)
    for column in numbers:
        shown.add_column(column, justify="right")
    return shown


def _place(row: Mapping[str, Any]) -> tuple[str, ...]:
    what = f"{row['kind']} {row['condition']}"
    return what, row["rows"], row["target"], row["reading"], f"{row['layer']}.{row['head']}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

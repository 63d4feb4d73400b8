"""The edits of a sweep that help and harm most, as the terminal shows them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tempo_attn.lab.item_records import POOLED
from tempo_attn.lab.sweep.effects import Effect
from tempo_attn.lab.sweep.write import SweepReport
from tempo_tasks.lab.show.numbers import percent, show_summary

_SHOWN = 5
"""Edits of each group at either end of the ranking."""


def show(report: SweepReport) -> None:
    """Show the edits with the largest changes of accuracy in either direction."""
    found, about = report.effects, report.summary
    console = Console(width=120)
    table = Table(
        title=f"{about['model']}: change of accuracy, percentage points (95 % interval by cluster)"
    )
    for column in ("items", "edit"):
        table.add_column(column)
    for column in (
        "acc. %",
        "change",
        "interval",
        "p Holm",
        "fix %",
        "break %",
        "random",
        "mass %",
    ):
        table.add_column(column, justify="right")
    groups = dict.fromkeys((effect.condition, effect.kind) for effect in found)
    for condition, kind in groups:
        mine = [e for e in found if (e.condition, e.kind) == (condition, kind)]
        ranked = sorted(mine, key=lambda effect: -effect.change)
        shown = ranked if len(ranked) <= 2 * _SHOWN else ranked[:_SHOWN] + ranked[-_SHOWN:]
        for number, effect in enumerate(shown):
            name = f"{'all kinds' if kind == POOLED else kind} {condition} ({effect.n})"
            table.add_row(name if number == 0 else "", *_cells(effect))
        table.add_section()
    console.print(table)
    show_summary(about)


def _cells(effect: Effect) -> list[str]:
    null = effect.nulls.get("sign") or effect.nulls.get("keys")
    return [
        effect.variant.name,
        f"{100 * effect.accuracy:.1f}",
        f"{100 * effect.change:+.1f}",
        f"{100 * effect.interval[0]:+.1f} to {100 * effect.interval[1]:+.1f}",
        f"{effect.p_holm:.3f}",
        percent(effect.fix_rate),
        percent(effect.break_rate),
        "" if null is None else f"{100 * null.change:+.1f}",
        f"{percent(effect.mass_before)} > {percent(effect.mass_after)}",
    ]

"""Scaling beside its two parts and a constant bias, as the terminal shows them."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console
from rich.table import Table

from tempo_attn.lab.compare.write import CompareReport
from tempo_attn.modes import Mode
from tempo_tasks.lab.show.numbers import percent, show_summary

_SHOWN = 20
"""Scalings of each group, those with the largest change first."""


def show(report: CompareReport) -> None:
    """Show scaling beside its two parts and beside a constant bias of the same mean mass."""
    found = report.effects
    table = Table(title="change of accuracy, percentage points (audio mass of the edited rows, %)")
    for column in ("items", "rows", "layer", "alpha"):
        table.add_column(column)
    for column in (
        "scaling",
        "its shape, mass kept",
        "its mass, shape kept",
        "one bias, same mass",
    ):
        table.add_column(column, justify="right")
    by_variant = {(e.condition, e.kind, e.variant): e for e in found}
    groups = dict.fromkeys((effect.condition, effect.kind) for effect in found)
    for condition, kind in groups:
        rows = []
        for edit, bias in report.matches:
            modes: tuple[Mode, ...] = ("scale", "scale_preserving", "upweight_matched")
            four = [*(replace(edit, mode=mode) for mode in modes), bias]
            rows.append([by_variant[condition, kind, variant] for variant in four])
        rows.sort(key=lambda row: -max(abs(effect.change) for effect in row))
        for number, row in enumerate(rows[:_SHOWN]):
            edit = row[0].variant
            name = f"{kind} {condition} ({row[0].n})" if number == 0 else ""
            layers = ",".join(map(str, edit.layers))
            cells = [f"{100 * e.change:+.1f} ({percent(e.mass_after)})" for e in row]
            table.add_row(name, "+".join(edit.rows), layers, f"{edit.strength:g}", *cells)
        table.add_section()
    Console(width=120).print(table)
    show_summary(report.summary)

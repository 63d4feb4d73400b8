"""The table of presets, as the terminal shows it."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tempo_attn.lab.figures.titles import title
from tempo_attn.lab.presets.table import Line
from tempo_attn.lab.presets.write import PresetsReport
from tempo_tasks.lab.show.numbers import percent, points, show_summary

_WIDTH = 156
"""Characters of a line in the terminal."""


def show(report: PresetsReport) -> None:
    """Show the table of presets, what was done to their layers, and what the numbers leave out."""
    lines, about = report.lines, report.summary
    console = Console(width=_WIDTH, markup=False)
    for kind, condition in dict.fromkeys(map(_column, lines)):
        mine = [line for line in lines if _column(line) == (kind, condition)]
        one = mine[0].effect
        table = Table(
            title=f"{about['model']}, {title((kind, condition), [str(one.n)])}: "
            f"{100 * one.control_accuracy:.1f} % right without an edit",
            title_justify="left",
            box=SIMPLE_HEAD,
        )
        for name in ("preset", "layers", "rows"):
            fold = name == "layers"  # there may be many
            table.add_column(name, no_wrap=not fold, min_width=7 if fold else None)
        for name in ("acc %", "change, points", "p Holm", "fix %", "break %", "null"):
            table.add_column(name, justify="right", no_wrap=True)
        for name in ("mass, %", "entropy, nats"):
            table.add_column(name, justify="right", no_wrap=True)
        for line in mine:
            table.add_row(*_cells(line))
        console.print(table)
    if any("->" in line.of for line in lines):
        console.print("* Published for a decoder of another depth, and mapped:")
    for entry in about["presets"]:
        low = entry.get("items_with_low")
        words = "" if low is None else f"; {low} of {about['n']} items take the low strength"
        console.print(f"{entry['label']}: {entry['layers']}{words}.")
    for note in about["notes"]:
        console.print(note)
    show_summary(about)


def _column(line: Line) -> tuple[str, str]:
    return line.effect.kind, line.effect.condition


def _cells(line: Line) -> list[str]:
    effect, (_, null) = line.effect, line.null or (None, None)
    return [
        ("  " if ": " in line.label else "")
        + line.label.split(": ")[-1]
        + (", chosen here" if line.chosen_here else ""),
        line.layers + ("*" if "->" in line.of else ""),
        "+".join(effect.variant.rows),
        f"{100 * effect.accuracy:.1f}",
        points(effect.change, *effect.interval),
        "-" if math.isnan(effect.p_holm) else f"{effect.p_holm:.3f}",
        percent(effect.fix_rate),
        percent(effect.break_rate),
        "-" if null is None else f"{100 * null.change:+.1f}",
        f"{percent(effect.mass_before)} > {percent(effect.mass_after)}",
        f"{_nats(effect.entropy_before)} > {_nats(effect.entropy_after)}",
    ]


def _nats(entropy: float | None) -> str:
    return "-" if entropy is None else f"{entropy:.2f}"

"""Accuracy by kind and condition, several runs side by side, with intervals and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempo_attn.figures import Panel, save_all, sheets, style
from tempo_attn.lab.figures.lines import Look, looks
from tempo_attn.lab.figures.titles import span
from tempo_tasks.questions.questions import Kind
from tempo_tasks.stats.accuracy import CHANCE, MACRO
from tempo_tasks.stats.names import CONDITIONS, GENERATION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
SHOWN = {"aqa": "AQA", "cqa": "CQA", "acqa": "ACQA"}
"""Conditions as papers write them; the others are words."""
_KINDS = {
    Kind.EO.value: "earliest onset",
    Kind.LO.value: "latest offset",
    Kind.LD.value: "longest duration",
    MACRO: "mean of the kinds",
}
_CHANCE = f"chance ({100 * CHANCE:g} %)"
_NUMBERED = 2  # more runs side by side leave no room for numbers


def accuracy_by_condition(rows: Sequence[Row], path: Path, level: float = 0.95) -> list[Path]:
    """Draw accuracy with its interval: a panel a kind, conditions across, a mark a run.

    Tasks of another source, phrasing or scoring have a line of panels of their own. Runs are told
    apart by marker, filling and shade, so also in grey.

    Args:
        rows: Those of `tempo_tasks.stats.accuracy.accuracy_rows`.
        path: Where to, without a suffix.
        level: Coverage of their intervals, which the axis says.

    Returns:
        The files.
    """
    runs = list(dict.fromkeys(row["run"] for row in rows))
    panels: dict[Panel, list[Row]] = {}
    for row in rows:
        panels.setdefault((_family(row), row["kind"]), []).append(row)
    if len({label for label, _ in panels}) == 1:
        # The only line of panels needs no name.
        panels = {("", kind): found for (_, kind), found in panels.items()}
    ordered = {
        (label, _KINDS[kind]): panels[label, kind]
        for label in dict.fromkeys(label for label, _ in panels)
        for kind in _KINDS
        if (label, kind) in panels
    }
    conditions = [name for name in CONDITIONS if any(row["condition"] == name for row in rows)]
    width = 0.9 + len(conditions) * max(0.42, 0.1 * len(runs))
    figures = []
    with style():
        known = looks(runs)
        for figure, places in sheets(ordered, (max(2.0, width), 2.5)):
            entries: dict[str, Any] = {}
            for panel, axes in places.items():
                entries |= _draw(axes, ordered[panel], runs, conditions, known)
            figure.supylabel(f"accuracy, %, with {100 * level:g} % intervals")
            _legend(figure, {name: entries[name] for name in [*runs, _CHANCE] if name in entries})
            figures.append(figure)
        return save_all(figures, path)


def _draw(
    axes: Axes,
    rows: Sequence[Row],
    runs: Sequence[str],
    conditions: Sequence[str],
    known: Mapping[str, Look],
) -> dict[str, Any]:
    """Draw one panel; return what stands for each run, and for chance, in a legend."""
    from matplotlib.patheffects import withStroke

    drawn: dict[str, Any] = {
        _CHANCE: axes.axhline(100 * CHANCE, color="0.45", linewidth=0.8, linestyle="--", zorder=1)
    }
    step = min(0.26, 0.8 / len(runs))
    for at, run in enumerate(runs):
        of_run = [row for row in rows if row["run"] == run]
        if not of_run:
            continue
        look = known[run]
        shift = step * (at - (len(runs) - 1) / 2)
        x = [conditions.index(row["condition"]) + shift for row in of_run]
        y = [100 * row["accuracy"] for row in of_run]
        ends = [(row["low"], row["high"]) for row in of_run]
        sure = [place for place, (low, _) in enumerate(ends) if low is not None]
        axes.vlines(
            [x[place] for place in sure],
            [100 * ends[place][0] for place in sure],
            [100 * ends[place][1] for place in sure],
            color=look.color,
            linewidth=1.0,
            zorder=2,
        )
        (drawn[run],) = axes.plot(
            x,
            y,
            color=look.color,
            marker=look.marker,
            linestyle="none",
            markersize=5.0,
            markerfacecolor=look.color if look.filled else "white",
            markeredgewidth=0.9,
            zorder=3,
        )
        if len(runs) <= _NUMBERED:
            right = at == len(runs) - 1
            for here, height in zip(x, y, strict=True):
                axes.annotate(
                    f"{height:.1f}",
                    (here, height),
                    xytext=(4 if right else -4, 0),
                    textcoords="offset points",
                    ha="left" if right else "right",
                    va="center",
                    fontsize=5.5,
                    # Chance may lie behind it.
                    path_effects=[withStroke(linewidth=1.6, foreground="white")],
                )
    axes.text(
        *(0.02, 0.02, f"n = {span([row['n'] for row in rows])}"),
        transform=axes.transAxes,
        fontsize=6.5,
        color="0.3",
    )
    axes.set_xticks(range(len(conditions)), [SHOWN.get(name, name) for name in conditions])
    axes.set_xlim(-0.6, len(conditions) - 0.4)
    axes.set_ylim(0, 100)
    axes.grid(axis="y", color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
    return drawn


def _family(row: Row) -> str:
    """Return what tasks that are compared have in common, in words."""
    scoring = "" if row["scoring"] == GENERATION else f"by {row['scoring']}"
    return ", ".join(part for part in (row["source"], row["variant"], scoring) if part)


def _legend(figure: Figure, entries: Mapping[str, Any]) -> None:
    """Put the legend above all panels; long names are cut, and never markup."""
    names = [_cut(_printable(name)) for name in entries]
    width = figure.get_size_inches()[0]
    widest = 0.085 * max(map(len, names)) + 0.6
    figure.legend(
        list(entries.values()),
        names,
        loc="outside upper center",
        ncols=max(1, min(len(names), int(width / widest))),
        columnspacing=1.2,
        handlelength=2.0,
    )


def _cut(name: str) -> str:
    """Return a name with its middle left out where it is long: both ends tell names apart."""
    return name if len(name) <= 60 else f"{name[:28]}...{name[-29:]}"


def _printable(name: str) -> str:
    """Return a name in letters that the font of the figures has; what else is installed varies."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    return "".join(letter if font.get_char_index(ord(letter)) else "?" for letter in name)

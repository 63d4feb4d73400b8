"""A forest plot: the change of accuracy by preset, each with its random perturbation beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempo_attn.errors import ConfigError
from tempo_attn.figures import save_all, sheets, style
from tempo_attn.lab.figures.lines import limits
from tempo_attn.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _LINE, _LABELS = 3.0, 0.27, 1.9
"""Inches: a panel's width, a preset's height, room for the labels."""
_APART = 0.26
"""Of a line's height: how far below an edit its null is drawn."""
_LEAST = 5.0
"""Percentage points that the axis shows at least, to either side of zero."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One line of a panel; changes are shares from -1 to 1.

    Attributes:
        label: The line's label at the axis.
        change: Change of accuracy that the edit brings.
        interval: Interval of `change`; NaN where unknown.
        null: Change of accuracy that the random perturbation brings; None without one.
        null_interval: Interval of `null`.
        hollow: Whether its marker is left open: chosen on these very items.
    """

    label: str
    change: float
    interval: Interval
    null: float | None = None
    null_interval: Interval | None = None
    hollow: bool = False


def forest(panels: Mapping[str, Sequence[Mark]], path: Path) -> list[Path]:
    """Draw changes of accuracy with intervals, a line a preset, the first one on top.

    Nulls are grey squares below their edits; an open circle was chosen on these very items. All
    panels have the same lines and axes. The axis holds the edits; a null far beyond them is an
    arrow at its end, with its change in points.

    Args:
        panels: The lines by the panel's title.
        path: The files' path without a suffix.

    Returns:
        The files: PNG and SVG of every sheet.

    Raises:
        ConfigError: There is nothing to draw, or panels have different lines.
    """
    names = [[mark.label for mark in marks] for marks in panels.values()]
    if not names or not names[0]:
        raise ConfigError("there is nothing to draw: no preset was compared")
    if any(found != names[0] for found in names):
        raise ConfigError(f"panels have different lines: {names}; expected the same in all")
    bounds = _bounds([mark for marks in panels.values() for mark in marks])
    size = (_WIDTH, _LINE * len(names[0]) + 0.5)
    figures = []
    with style():
        for figure, places in sheets([("", title) for title in panels], size, margin=_LABELS):
            entries: dict[str, Any] = {}
            for (_, title), axes in places.items():
                entries |= _draw(axes, panels[title], bounds)
                axes.set_xlim(bounds)
                axes.set_ylim(len(names[0]) - 0.4, -0.6)
                axes.set_yticks(range(len(names[0])), names[0])
                axes.tick_params(axis="y", length=0)
            figure.supxlabel("change of accuracy, percentage points (95 % interval by cluster)")
            _legend(figure, entries)
            figures.append(figure)
        return save_all(figures, path)


def _legend(figure: Figure, entries: Mapping[str, Any]) -> None:
    """Put a legend above the panels, in as few lines as the figure's width allows."""
    width, height = figure.get_size_inches()
    for columns in (3, 2, 1):
        legend = figure.legend(
            list(entries.values()), list(entries), loc="outside upper center", ncols=columns
        )
        if columns == 1 or legend.get_window_extent().width <= width * figure.dpi:
            n_lines = math.ceil(len(entries) / columns)
            figure.set_size_inches(width, height + 0.3 + 0.16 * (n_lines - 1))
            return
        legend.remove()


def _bounds(marks: Sequence[Mark]) -> Interval:
    """Return what the axis holds, points: all edits, and the nulls that are not far beyond."""
    edits = [100 * end for mark in marks for end in (mark.change, *mark.interval)]
    low, high = limits([*edits, -_LEAST, _LEAST])
    nulls = [
        100 * end
        for mark in marks
        if mark.null is not None and 2 * low < 100 * mark.null < 2 * high
        for end in (mark.null, *(mark.null_interval or ()))
    ]
    return limits([*edits, *nulls, -_LEAST, _LEAST])


def _draw(axes: Axes, marks: Sequence[Mark], bounds: Interval) -> dict[str, Any]:
    """Draw a panel's lines; return what stands for them in a legend."""
    axes.axvline(0, color="0.2", linewidth=0.5, zorder=1)
    for at in range(0, len(marks), 2):  # the eye follows a line to its label
        axes.axhspan(at - 0.5, at + 0.5, color="0.95", linewidth=0, zorder=0)
    entries: dict[str, Any] = {}
    for at, mark in enumerate(marks):
        face = "white" if mark.hollow else "black"
        name = "best layer, chosen on these items" if mark.hollow else "edit"
        entries[name] = _point(
            axes, at - _APART / 2, mark.change, mark.interval, "black", "o", face
        )
        if mark.null is not None and not bounds[0] < 100 * mark.null < bounds[1]:
            _beyond(axes, at + _APART, 100 * mark.null, bounds)
        elif mark.null is not None:
            interval = mark.null_interval or (math.nan, math.nan)
            entries["random perturbation of the same size"] = _point(
                axes, at + _APART, mark.null, interval, "0.55", "s", "0.55"
            )
    return entries


def _point(
    axes: Axes, y: float, change: float, interval: Interval, color: str, marker: str, face: str
) -> Any:
    low, high = (100 * end for end in interval)
    if math.isfinite(low + high):
        # Not `errorbar`: a percentile interval need not contain its estimate.
        axes.hlines(y, low, high, color=color, linewidth=1.1, zorder=2)
    (drawn,) = axes.plot(
        100 * change,
        y,
        color=color,
        marker=marker,
        linestyle="none",
        markersize=4.0 if marker == "o" else 3.0,
        markerfacecolor=face,
        markeredgewidth=0.8,
        zorder=3,
    )
    return drawn


def _beyond(axes: Axes, y: float, points: float, bounds: Interval) -> None:
    """Draw an arrow at the axis' end with the change that lies beyond it."""
    left = points < 0
    room = 0.03 * (bounds[1] - bounds[0])
    end = bounds[0] + room if left else bounds[1] - room
    axes.plot(end, y, color="0.55", marker="<" if left else ">", linestyle="none", markersize=4)
    axes.text(
        end + room if left else end - room,
        y,
        f"{points:+.1f}",
        color="0.35",
        ha="left" if left else "right",
        va="center",
        fontsize=6.5,
    )

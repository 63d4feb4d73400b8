"""Lines, clouds of points and their intervals in panels, told apart without colour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempo_attn.figures import Panel, save_all, sheets, style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "o^svDPX*"
_DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (9, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (2, 1)),
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is drawn as one line, or one cloud of points.

    Attributes:
        name: What the legend calls it.
        x: Where its points are.
        y: Their heights; NaN for a gap.
        intervals: Low and high of each; NaN for none.
        reference: Whether it is what the others are compared to: grey and dashed, in a band.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    intervals: Sequence[tuple[float, float]]
    reference: bool = False

    @property
    def heights(self) -> list[float]:
        """All that the y axis must hold."""
        return [*self.y, *(end for interval in self.intervals for end in interval)]


def draw_lines(
    panels: Mapping[Panel, Sequence[Line]],
    path: Path,
    *,
    names: Sequence[str],
    size: tuple[float, float],
    labels: tuple[str, str],
    layers: Sequence[int] | None = None,
    signed: bool = True,
    bands: bool = False,
    joined: bool = True,
) -> list[Path]:
    """Draw lines in panels, with the same axes and looks in all, and save the sheets.

    Args:
        panels: The lines of each panel.
        path: Where to, without a suffix.
        names: The lines' names but for references, in the order of their looks and the legend.
        size: Of a panel, inches.
        labels: Of the x axis and the y axis.
        layers: The layers on the x axis; None if it has something else.
        signed: Whether values have two signs, so that a line marks zero; else axes start there.
        bands: Whether intervals are bands; bars otherwise.
        joined: Whether a line joins the points.

    Returns:
        The files.
    """
    lines = [line for found in panels.values() for line in found]
    y_bounds = limits([y for line in lines for y in line.heights])
    x_bounds = limits([x for line in lines for x in line.x])
    figures = []
    with style():
        known = looks(names)
        for figure, places in sheets(panels, size):
            entries: dict[str, Any] = {}
            for panel, axes in places.items():
                if signed:
                    axes.axhline(0, color="0.2", linewidth=0.5, zorder=1)
                if signed and layers is None:
                    axes.axvline(0, color="0.2", linewidth=0.5, zorder=1)
                for line in panels[panel]:
                    look = _REFERENCE if line.reference else known[line.name]
                    entries[line.name] = _draw(axes, line, look, bands or line.reference, joined)
                axes.set_ylim(y_bounds if signed else (0, y_bounds[1]))
                if layers is None:
                    axes.set_xlim(x_bounds)
                else:
                    room = max(0.5, 0.02 * (max(layers) - min(layers)))
                    axes.set_xlim(min(layers) - room, max(layers) + room)
                    axes.set_xticks(layer_ticks(layers))
            figure.supxlabel(labels[0])
            figure.supylabel(labels[1])
            order = [*(name for name in names if name in entries), *entries]
            _legend(figure, {name: entries[name] for name in order})
            figures.append(figure)
        return save_all(figures, path)


@dataclass(frozen=True)
class Look:
    """How a line looks; markers and dashes alone tell lines apart, too."""

    color: Any
    marker: str
    dashes: Any
    filled: bool = True


_REFERENCE = Look("0.45", "", "--")


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return a look for each name: the later, the lighter."""
    from matplotlib import colormaps

    # Few lines need not be light; many must not be as light as the end of the map.
    lightest = min(0.78, 0.1 + 0.15 * len(names))
    shades = [lightest * at / max(1, len(names) - 1) for at in range(len(names))]
    return {
        name: Look(
            color=colormaps["viridis"](shade),
            marker=_MARKERS[at % len(_MARKERS)],
            dashes=_DASHES[at % len(_DASHES)],
            filled=at % 2 == 0,
        )
        for at, (name, shade) in enumerate(zip(names, shades, strict=True))
    }


def _draw(
    axes: Axes, line: Line, look: Look, band: bool, joined: bool
) -> Artist | tuple[Artist, ...]:
    """Draw a line with its intervals; return what stands for it in a legend."""
    few = len(line.x) <= 16
    (drawn,) = axes.plot(
        line.x,
        line.y,
        color=look.color,
        marker=look.marker,
        linestyle=look.dashes if joined else "none",
        linewidth=1.0 if few else 0.8,
        markersize=4.2 if few else 3.0,
        markerfacecolor=look.color if look.filled else "white",
        markeredgewidth=0.8 if few else 0.6,
        label=line.name,
        zorder=2 if line.reference else 3,
    )
    low, high = zip(*line.intervals, strict=True)
    known = [at for at in range(len(low)) if math.isfinite(low[at] + high[at])]
    if band and len(known) > 1:
        edge = 0.0 if line.reference else 0.4
        area = axes.fill_between(line.x, low, high, color=look.color, alpha=0.2, linewidth=edge)
        return area, drawn
    if not known:
        return drawn
    # Not `errorbar`: a percentile interval need not contain its estimate.
    axes.vlines(
        [line.x[at] for at in known],
        [low[at] for at in known],
        [high[at] for at in known],
        color=look.color,
        linewidth=0.6,
        alpha=0.6,
        zorder=2,
    )
    return drawn


def _legend(figure: Figure, entries: Mapping[str, Any]) -> None:
    """Put one legend for all panels above them, and make room for it."""
    width, height = figure.get_size_inches()
    for columns in range(len(entries), 0, -1):
        legend = figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside upper center",
            ncols=columns,
            columnspacing=1.2,
        )
        box = legend.get_window_extent()
        if box.width <= width * figure.dpi or columns == 1:
            figure.set_size_inches(width, height + box.height / figure.dpi)
            return
        legend.remove()


def layer_ticks(layers: Iterable[int], most: int = 11) -> list[int]:
    """Return which layers get a tick: all, or, where they are too dense, round numbers."""
    found = sorted(set(layers))
    span = found[-1] - found[0]
    gaps = [b - a for a, b in pairwise(found)]
    if not gaps or min(gaps) * most >= span:
        return found
    step = next(
        s for scale in (1, 10, 100) for s in (scale, 2 * scale, 5 * scale) if s * most >= span
    )
    return [layer for layer in range(found[0], found[-1] + 1) if layer % step == 0]


def limits(values: Iterable[float]) -> tuple[float, float]:
    """Return axis limits around zero and all finite values, with some room."""
    finite = [0.0, *(value for value in values if math.isfinite(value))]
    room = 0.05 * (max(finite) - min(finite)) or 1.0
    return min(finite) - room, max(finite) + room


def points(share: float | None) -> float:
    """Return a share in percent, or a difference in percentage points; NaN for None."""
    return math.nan if share is None else 100 * float(share)


def percent_interval(interval: Sequence[float | None] | None) -> tuple[float, float]:
    """Return an interval of shares in percent; NaN where it is not known."""
    low, high = interval or (None, None)
    return points(low), points(high)


def by_layer_size(layers: Sequence[int]) -> tuple[float, float]:
    """Return the width and height in inches of a panel with layers across."""
    return min(4.4, 2.6 + 0.05 * len(layers)), 2.2

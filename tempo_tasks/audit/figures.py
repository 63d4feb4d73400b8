"""Two figures of an audit: the ceiling by timing error, and how many options are in the clip."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tempo_attn.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Part = Mapping[str, Any]
_LINES = ("-", "--", "-.", ":")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_GREYS = ("#c6dbef", "#6baed6", "#3182bd", "#08519c", "#08306b")


def ceiling_figure(parts: Sequence[Part], names: Sequence[str]) -> Figure | None:
    """Draw accuracy by timing error, with the presence-only score of each part as a thin line.

    Args:
        parts: Those without a ceiling are left out.
        names: Names of the parts, for the legend.

    Returns:
        The figure; None where no part has a ceiling.
    """
    from matplotlib.figure import Figure

    drawn = [(part, name) for part, name in zip(parts, names, strict=True) if part["ceiling"]]
    if not drawn:
        return None
    with style():
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.subplots()
        for number, (part, name) in enumerate(drawn):
            look: dict[str, Any] = {
                "color": _COLOURS[number % len(_COLOURS)],
                "linestyle": _LINES[number % len(_LINES)],
            }
            curve = part["ceiling"]["curve"]
            axes.plot(
                [point["sigma"] for point in curve],
                [100 * point["accuracy"] for point in curve],
                label=name,
                **look,
            )
            for row in part["shortcuts"]:
                if row["strategy"] == "presence only":
                    axes.axhline(100 * row["accuracy"], linewidth=0.6, **look)
        axes.axhline(25, color="0.6", linewidth=0.8)
        axes.set_xscale("log")
        ticks = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_ylim(0, 102)
        axes.set_xlabel("timing error sigma of every boundary, seconds")
        axes.set_ylabel("accuracy of a perfect detector, %")
        axes.set_title("Thin lines: presence only, which hears no time. Grey: chance", loc="left")
        axes.legend(loc="lower left")
    return figure


def in_clip_figure(parts: Sequence[Part], names: Sequence[str]) -> Figure | None:
    """Draw the shares of items by how many of their options occur in the clip.

    Returns:
        The figure; None where no part has intervals.
    """
    from matplotlib.figure import Figure

    drawn = [
        (part["strata"]["n_present"], name)
        for part, name in zip(parts, names, strict=True)
        if part["strata"].get("n_present")
    ]
    if not drawn:
        return None
    counts = sorted({int(name) for bins, _ in drawn for name in bins})
    with style():
        figure = Figure(figsize=(6.4, 0.9 + 0.36 * len(drawn)), layout="constrained")
        axes = figure.subplots()
        for row, (bins, _) in enumerate(drawn):
            left = 0.0
            for count in counts:
                share = 100 * bins.get(str(count), {"share": 0.0})["share"]
                axes.barh(row, share, left=left, color=_GREYS[count], edgecolor="white")
                if share >= 2:
                    ink = "black" if count < 2 else "white"
                    text = f"{count}: {share:.0f} %" if share >= 9 else str(count)
                    axes.text(left + share / 2, row, text, ha="center", va="center", color=ink)
                left += share
        axes.set_yticks(range(len(drawn)), [name for _, name in drawn])
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("options in the clip: % of items; from two on an item tests time")
    return figure


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG, with the same bytes every time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    with style():  # ticks are made late, when the figure is drawn
        FigureCanvasAgg(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()

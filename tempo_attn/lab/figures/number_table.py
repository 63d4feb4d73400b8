"""A table of numbers as a figure: a cell's colour says its size, its text the number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tempo_attn.statistics import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh


def draw_cells(
    axes: Axes,
    values: Array,
    *,
    most: float,
    columns: Sequence[str],
    lines: Sequence[str],
    marked: Array,
    decimals: int = 1,
    numbers: bool = True,
) -> QuadMesh:
    """Draw a table; its colours go from `-most` to `most`.

    Args:
        axes: Where.
        values: (lines, columns); NaN for what was not tried.
        most: The largest size.
        columns: Their names.
        lines: Their names, from below.
        marked: (lines, columns) bool: bold, with a star.
        decimals: Of the numbers.
        numbers: Whether cells have their number; without, what is marked has a star alone.
    """
    axes.set_facecolor("0.9")  # what was not tried
    mesh = axes.pcolormesh(
        values, cmap="RdBu", vmin=-most, vmax=most, edgecolors="white", linewidth=0.5
    )
    for y, x in zip(*np.nonzero(np.isfinite(values)), strict=True):
        red, green, blue, _ = mesh.to_rgba(values[y, x])
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        text = axes.text(
            x + 0.5,
            y + 0.5,
            (signed(values[y, x], decimals) if numbers else "") + ("*" if marked[y, x] else ""),
            ha="center",
            va="center",
            fontsize=6.5,
            fontweight="bold" if marked[y, x] else "normal",
            color="white" if dark else "black",
        )
        text.set_in_layout(False)  # inside the axes anyway, and measuring takes time
    axes.set_xticks(np.arange(len(columns)) + 0.5, list(columns))
    axes.set_yticks(np.arange(len(lines)) + 0.5, list(lines))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return mesh


def signed(value: float, decimals: int = 1) -> str:
    """Return a number with its sign, a true minus, and no sign for what rounds to zero."""
    text = f"{value:+.{decimals}f}".replace("-", "−")
    zero = f"{0:.{decimals}f}"
    return zero if text[1:] == zero else text

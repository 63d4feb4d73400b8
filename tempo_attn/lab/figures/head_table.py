"""Layers and heads as a figure: in every panel a table, layers from below, heads side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tempo_attn.figures import Panel, save_all, sheets, style
from tempo_attn.lab.figures.number_table import draw_cells

_MOST_NUMBERS = 16
"""Heads of a layer whose numbers can still be read."""
Row = Mapping[str, Any]


def draw_heads(
    panels: Mapping[Panel, Sequence[Row]],
    path: Path,
    *,
    value: str,
    columns: Mapping[Any, str],
    n_layers: int,
    n_heads: int,
    cell: float,
    marked: Callable[[Row], bool],
    title: str,
    label: str,
) -> list[Path]:
    """Draw the tables and save the sheets.

    Args:
        panels: The rows of each panel, which have `layer`, `head` and the value.
        path: Where to, without a suffix.
        value: The column that is drawn.
        columns: The columns' names by `head`, in their order.
        n_layers: Lines.
        n_heads: Heads of a layer; where they are many, cells have no numbers.
        cell: Width of a cell with a number, inches.
        marked: Which rows have a star.
        title: Above all panels.
        label: Of the colours.

    Returns:
        The files: PNG and SVG of every sheet.
    """
    numbers = n_heads <= _MOST_NUMBERS
    most = max(abs(float(row[value])) for rows in panels.values() for row in rows) or 1.0
    size = 0.5 + len(columns) * (cell if numbers else 0.16), 0.6 + max(0.6, 0.17 * n_layers)
    place = {head: at for at, head in enumerate(columns)}
    figures = []
    with style():
        for figure, places in sheets(panels, size, margin=1.3, sharex=False):
            for panel, axes in places.items():
                values = np.full((n_layers, len(columns)), np.nan)
                stars = np.zeros(values.shape, dtype=bool)
                for row in panels[panel]:
                    values[row["layer"], place[row["head"]]] = row[value]
                    stars[row["layer"], place[row["head"]]] = marked(row)
                mesh = draw_cells(
                    axes,
                    values,
                    most=most,
                    columns=list(columns.values()),
                    lines=[str(layer) for layer in range(n_layers)],
                    marked=stars,
                    decimals=2,
                    numbers=numbers,
                )
            figure.suptitle(title, fontsize=8)
            figure.supxlabel("head")
            figure.supylabel("layer")
            aspect = 5 * figure.get_size_inches()[1]
            bar = figure.colorbar(mesh, ax=list(places.values()), aspect=aspect, pad=0.02)
            bar.set_label(label)
            figures.append(figure)
        return save_all(figures, path)

"""The figure of head scores: a table of layers and heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tempo_attn.errors import ConfigError
from tempo_attn.figures import Panel, save_all, sheets, style
from tempo_attn.lab.figures.number_table import draw_cells
from tempo_attn.lab.figures.titles import in_order, title

SIGNIFICANT = 0.05
_MOST_NUMBERS = 16
"""Heads of a layer whose numbers can still be read."""


def score_table(rows: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Draw the scores as tables of layers (from below) and heads.

    A panel for each kind and condition, and for each set of query rows and target.

    Args:
        rows: As `head_rows` has them.
        path: Where to, without a suffix.

    Returns:
        The files: PNG and SVG of every sheet.

    Raises:
        ConfigError: No row has a score.
    """
    scored = [row for row in rows if row["r"] is not None]
    if not scored:
        raise ConfigError(
            "there is no score to draw: correctness does not vary. All items of a kind are "
            "answered right, or all wrong"
        )
    n_layers, n_heads = (1 + max(int(row[name]) for row in rows) for name in ("layer", "head"))
    columns = {(str(row["kind"]), str(row["condition"])): int(row["n"]) for row in scored}
    panels: dict[Panel, list[Mapping[str, Any]]] = {}
    for column in in_order(columns):
        head = title(column, [str(columns[column])])
        for row in scored:
            if (row["kind"], row["condition"]) == column:
                panels.setdefault((f"{row['target']}, rows {row['rows']}", head), []).append(row)
    numbers = n_heads <= _MOST_NUMBERS
    most = max(abs(float(row["r"])) for row in scored) or 1.0
    size = 0.5 + n_heads * (0.36 if numbers else 0.16), 0.6 + max(0.6, 0.17 * n_layers)
    figures = []
    with style():
        for figure, places in sheets(panels, size, margin=1.3, sharex=False):
            for panel, axes in places.items():
                values = np.full((n_layers, n_heads), np.nan)
                marked = np.zeros(values.shape, dtype=bool)
                for row in panels[panel]:
                    values[row["layer"], row["head"]] = row["r"]
                    p = row["p_holm"]
                    marked[row["layer"], row["head"]] = p is not None and p < SIGNIFICANT
                mesh = draw_cells(
                    axes,
                    values,
                    most=most,
                    columns=[str(head) for head in range(n_heads)],
                    lines=[str(layer) for layer in range(n_layers)],
                    marked=marked,
                    decimals=2,
                    numbers=numbers,
                )
            figure.suptitle(
                "A head's score: correlation, over items, of its attention mass with right answers."
                f"\n*: p < {SIGNIFICANT:g} (Holm-corrected over the heads of a panel).",
                fontsize=8,
            )
            figure.supxlabel("head")
            figure.supylabel("layer")
            aspect = 5 * figure.get_size_inches()[1]
            bar = figure.colorbar(mesh, ax=list(places.values()), aspect=aspect, pad=0.02)
            bar.set_label("score, Pearson's r")
            figures.append(figure)
        return save_all(figures, path)

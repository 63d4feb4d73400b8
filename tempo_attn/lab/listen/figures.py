"""The figure of a run of `tempo listen`: layers and heads, how far above other clips' windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tempo_attn.errors import ConfigError
from tempo_attn.figures import Panel, save_all, sheets, style
from tempo_attn.lab.figures.number_table import draw_cells
from tempo_attn.lab.figures.titles import in_order, title
from tempo_attn.lab.listen.table import MEAN

SIGNIFICANT = 0.05
_MOST_NUMBERS = 16
"""Heads of a layer whose numbers can still be read."""


def listens(row: Mapping[str, Any]) -> bool:
    """Whether a head looks at the event, and would not without sound.

    Above the windows of other clips and, but for changes (which have none), above silence, each
    with Holm's p below `SIGNIFICANT`.
    """
    needed = ["other_clips"] + (["silence"] if row["reading"] == "attention" else [])
    return all(
        row[f"above_{name}"] is not None
        and row[f"above_{name}"] > 0
        and row[f"above_{name}_p_holm"] is not None
        and row[f"above_{name}_p_holm"] < SIGNIFICANT
        for name in needed
    )


def listen_table(rows: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Draw IoU above that of other clips' windows, by layer (from below) and head.

    A panel for each kind and condition, and for each set of query rows, target and reading.

    Args:
        rows: As `listen_rows` has them.
        path: Where to, without a suffix.

    Returns:
        The files: PNG and SVG of every sheet.

    Raises:
        ConfigError: No row has a number.
    """
    known = [row for row in rows if row["above_other_clips"] is not None]
    if not known:
        raise ConfigError(
            "there is nothing to draw: no head has a window, or no second clip to compare it with"
        )
    n_layers = 1 + max(int(row["layer"]) for row in rows)
    n_heads = 1 + max(int(row["head"]) for row in rows if row["head"] != MEAN)
    sizes = {(str(row["kind"]), str(row["condition"])): int(row["n_clusters"]) for row in known}
    panels: dict[Panel, list[Mapping[str, Any]]] = {}
    for column in in_order(sizes):
        head = title(column, [f"{sizes[column]} clusters"])
        for row in known:
            if (row["kind"], row["condition"]) == column:
                panels.setdefault((_label(row), head), []).append(row)
    numbers = n_heads <= _MOST_NUMBERS
    most = max(abs(float(row["above_other_clips"])) for row in known) or 1.0
    wide = n_heads + 1
    size = 0.5 + wide * (0.38 if numbers else 0.16), 0.6 + max(0.6, 0.17 * n_layers)
    figures = []
    with style():
        for figure, places in sheets(panels, size, margin=1.3, sharex=False):
            for panel, axes in places.items():
                values = np.full((n_layers, wide), np.nan)
                marked = np.zeros(values.shape, dtype=bool)
                for row in panels[panel]:
                    at = n_heads if row["head"] == MEAN else int(row["head"])
                    values[row["layer"], at] = row["above_other_clips"]
                    marked[row["layer"], at] = listens(row)
                mesh = draw_cells(
                    axes,
                    values,
                    most=most,
                    columns=[*map(str, range(n_heads)), "all"],
                    lines=[str(layer) for layer in range(n_layers)],
                    marked=marked,
                    decimals=2,
                    numbers=numbers,
                )
            figure.suptitle(
                "Windows of the highest attention against the event:\n"
                "IoU minus that of the windows in other clips.\n"
                f"*: above other clips and silence, p < {SIGNIFICANT:g}\n"
                "(Holm-corrected over a panel). all: mean over heads.",
                fontsize=8,
            )
            figure.supxlabel("head")
            figure.supylabel("layer")
            aspect = 5 * figure.get_size_inches()[1]
            bar = figure.colorbar(mesh, ax=list(places.values()), aspect=aspect, pad=0.02)
            bar.set_label("IoU - IoU of other clips")
            figures.append(figure)
        return save_all(figures, path)


def _label(row: Mapping[str, Any]) -> str:
    what = f"rows {row['rows']}, {row['target']} event"
    if row["target"] == "others":
        what = f"rows {row['rows']}, other events"
    return what if row["reading"] == "attention" else f"{what}, change {row['reading']}"

"""Figures of a trace: a table of layers and groups of positions, and rates by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tempo_attn.errors import ConfigError
from tempo_attn.figures import Panel, save_all, sheets, style
from tempo_attn.lab.figures.lines import Line, draw_lines, percent_interval, points
from tempo_attn.lab.figures.number_table import draw_cells
from tempo_attn.lab.trace.sites import GROUPS

_NAMES = {"recover": "recovery rate", "shift": "belief shift"}
_STAR = "\nBold with *: its 95 % interval holds neither zero nor any of the random change's."
_HEADS = {
    "rate": "The number in a cell is the share of the two runs' difference that the patch "
    "brings, %." + _STAR,
    "twin": "The same of the twin's right answer: the share of the belief in it that the patch "
    "brings, %." + _STAR,
    "attributed": "The same to first order (attribution), %.",
}
Row = Mapping[str, Any]


def rate_table(rows: Sequence[Row], path: Path, *, value: str = "rate") -> list[Path]:
    """Draw rates as a table of layers and groups of positions.

    A panel for each kind and condition, direction and component. Bold with a star: the 95 %
    interval holds neither zero nor any of the null's.

    Args:
        rows: As `trace_rows` returns.
        path: Where to, without a suffix.
        value: "rate"; "twin" for those of the twin's right answer; or "attributed" for the rates
            to first order.

    Returns:
        The files: PNG and SVG of every sheet.

    Raises:
        ConfigError: There is nothing to draw.
    """
    panels = _panels(rows, value)
    layers = sorted({row["layer"] for found in panels.values() for row in found})
    groups = [name for name in GROUPS if any(row["group"] == name for row in rows)]
    most = max(100.0, *(abs(points(row[value])) for found in panels.values() for row in found))
    most = min(most, 200.0)  # a wild rate must not make all others pale
    figures = []
    with style():
        size = (max(2.4, 0.5 + 0.46 * len(groups)), 0.6 + max(0.6, 0.19 * len(layers)))
        for figure, places in sheets(panels, size, margin=1.3):
            drawn = []
            for panel, axes in places.items():
                values = np.full((len(layers), len(groups)), np.nan)
                marked = np.zeros(values.shape, dtype=bool)
                for row in panels[panel]:
                    at = layers.index(row["layer"]), groups.index(row["group"])
                    values[at], marked[at] = points(row[value]), _stands_out(row, value)
                drawn.append(
                    draw_cells(
                        axes,
                        values,
                        most=most,
                        columns=groups,
                        lines=[_layer(layer) for layer in layers],
                        marked=marked,
                        decimals=0,
                    )
                )
            figure.suptitle(_HEADS[value], fontsize=8)
            figure.supxlabel("patched positions")
            figure.supylabel("behind layer")
            aspect = 5 * figure.get_size_inches()[1]
            bar = figure.colorbar(drawn[0], ax=list(places.values()), aspect=aspect, pad=0.02)
            bar.set_label("%")
            figures.append(figure)
        return save_all(figures, path)


def rates_by_layer(rows: Sequence[Row], path: Path) -> list[Path]:
    """Draw rates by layer with 95 % intervals as bands: a panel as in `rate_table`, a line a group.

    Args:
        rows: As `trace_rows` returns, with true patches.
        path: Where to, without a suffix.

    Returns:
        The files.

    Raises:
        ConfigError: There is nothing to draw.
    """
    panels = _panels(rows, "rate")
    layers = sorted({row["layer"] for found in panels.values() for row in found})
    drawn: dict[Panel, list[Line]] = {}
    names: dict[str, None] = {}
    for panel, found in panels.items():
        for group in (name for name in GROUPS if any(row["group"] == name for row in found)):
            mine = sorted(
                (row for row in found if row["group"] == group), key=lambda row: int(row["layer"])
            )
            names[group] = None
            drawn.setdefault(panel, []).append(
                Line(
                    name=group,
                    x=[row["layer"] for row in mine],
                    y=[points(row["rate"]) for row in mine],
                    intervals=[percent_interval((row["low"], row["high"])) for row in mine],
                )
            )
    return draw_lines(
        drawn,
        path,
        names=list(names),
        size=(min(4.4, 2.8 + 0.05 * len(layers)), 2.4),
        labels=("layer (−1: what enters the first one)", "% of the two runs' difference"),
        layers=layers,
        bands=True,
    )


def _panels(rows: Sequence[Row], value: str) -> dict[Panel, list[Row]]:
    found: dict[Panel, list[Row]] = {}
    for row in rows:
        if row[value] is not None:
            label = f"{_NAMES[row['direction']]}, {row['component']}"
            title = f"{row['kind']}, {row['condition']} (n = {row['n']})"
            found.setdefault((label, title), []).append(row)
    if not found:
        raise ConfigError(
            f"there is nothing to draw: no row has a {value!r}. Either every item was dropped, or "
            "the run used another method"
        )
    return found


def _layer(layer: int) -> str:
    return "input" if layer < 0 else str(layer)


def _stands_out(row: Row, value: str) -> bool:
    if value == "attributed" or abs(points(row[value])) < 0.5:  # a star on a zero would puzzle
        return False
    names = ("low", "high", "null_low", "null_high")
    if value == "twin":
        names = ("twin_low", "twin_high", "twin_null_low", "twin_null_high")
    ends = [points(row[name]) for name in names]
    low, high, null_low, null_high = ends
    if math.isnan(low):
        return False
    clear_of_zero = low > 0 or high < 0
    without_null = math.isnan(null_low)
    return clear_of_zero and (without_null or low > null_high or high < null_low)

"""The figures of a timeline: what probes read by layer, and the path of the temporal IDs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tempo_attn.figures import Panel, save_all, sheets, style
from tempo_attn.lab.figures.lines import Line, by_layer_size, draw_lines

_NAN = float("nan")
NAMES = {
    ("states", "ridge", "classes and clips"): "ridge",
    ("states", "mlp", "classes and clips"): "MLP",
    ("states", "ridge", "clips"): "ridge, only clips held out",
    ("shuffled", "ridge", "classes and clips"): "ridge, shuffled times",
    ("silence", "ridge", "classes and clips"): "ridge, silence",
    ("random_weights", "ridge", "classes and clips"): "ridge, random weights",
}
MOST_PATHS = 8
_LOWEST = -0.5
"""R2 below it is drawn at it: how bad a useless prediction is says nothing."""


def scores_by_layer(rows: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Draw R2 of times, and the accuracy of the order, by layer with 95 % intervals.

    Args:
        rows: The table's.
        path: Where to, without a suffix.

    Returns:
        The files: PNG and SVG of every sheet.
    """
    panels: dict[Panel, list[Line]] = {}
    layers = sorted({row["layer"] for row in rows if row["layer"] is not None})
    for target in ("onset", "offset", "midpoint", "duration", "order"):
        value = "accuracy" if target == "order" else "r2"
        for at, (key, name) in enumerate(NAMES.items()):
            mine = [
                row
                for row in rows
                if (row["source"], row["probe"], row["held_out"]) == key
                and row["target"] == target
                and row[value] is not None
            ]
            if not mine:
                continue
            title = f"{target} (n = {mine[0]['n']}, {mine[0]['n_clusters']} clusters)"
            panels.setdefault(("accuracy, R2", title), []).append(
                Line(
                    name=name,
                    x=[row["layer"] + 0.06 * (at - 2.5) for row in mine],
                    y=[max(_LOWEST, row[value]) for row in mine],
                    intervals=[_ends(row, value) for row in mine],
                )
            )
    names = [n for n in NAMES.values() if any(n == li.name for p in panels.values() for li in p)]
    return draw_lines(
        panels,
        path,
        names=names,
        size=by_layer_size(layers),
        labels=("layer (-1: the embeddings)", "R2; of the order: accuracy (chance 0.5)"),
        layers=layers,
    )


def _ends(row: Mapping[str, Any], value: str) -> tuple[float, float]:
    low, high = row[f"{value}_low"], row[f"{value}_high"]
    return (_NAN, _NAN) if low is None else (max(_LOWEST, low), max(_LOWEST, high))


def paths_by_layer(
    rows: Sequence[Mapping[str, Any]], about: Sequence[Mapping[str, Any]], path: Path
) -> list[Path]:
    """Draw the path of the temporal IDs through two components, for up to eight layers.

    Args:
        rows: Of every layer and bin.
        about: Of every layer.
        path: Where to, without a suffix.

    Returns:
        The files: PNG and SVG of every sheet.
    """
    layers = [int(one["layer"]) for one in about]
    if len(layers) > MOST_PATHS:
        last = len(layers) - 1
        layers = [layers[round(at * last / (MOST_PATHS - 1))] for at in range(MOST_PATHS)]
    shares = {one["layer"]: one for one in about}
    panels: dict[Panel, list[Mapping[str, Any]]] = {}
    for layer in layers:
        one = shares[layer]
        title = (
            f"layer {layer}: {one['explained_by_two']:.0%} in two components "
            f"(shuffled {one['explained_by_two_shuffled']:.0%})"
        )
        mine = [row for row in rows if row["layer"] == layer and row["pc1"] is not None]
        panels["second component", title] = mine
    figures = []
    with style():
        for figure, places in sheets(panels, (3.0, 2.6), sharex=False):
            for panel, axes in places.items():
                found = panels[panel]
                x, y = [row["pc1"] for row in found], [row["pc2"] for row in found]
                axes.plot(x, y, color="0.6", linewidth=0.8, zorder=1)
                axes.scatter(x, y, c=range(len(x)), cmap="viridis", s=18, zorder=2)
                for row in found:
                    axes.annotate(
                        f"{row['start']:g}",
                        (row["pc1"], row["pc2"]),
                        xytext=(3, 3),
                        textcoords="offset points",
                        fontsize=6.5,
                    )
                axes.axhline(0, color="0.85", linewidth=0.5, zorder=0)
                axes.axvline(0, color="0.85", linewidth=0.5, zorder=0)
            figure.supxlabel("first component; numbers: where a bin of time begins")
            figures.append(figure)
        return save_all(figures, path)

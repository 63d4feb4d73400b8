"""Figures of a sweep's effects, as PNG and SVG.

Every one can be read without colour. What takes too many panels for one file is split into
numbered ones; axes, lines and colours mean the same in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from tempo_attn.errors import ConfigError
from tempo_attn.figures import Panel, save_all, sheets, style
from tempo_attn.lab.figures.lines import Line, by_layer_size, draw_lines, percent_interval, points
from tempo_attn.lab.figures.number_table import draw_cells
from tempo_attn.lab.sweep.effects import Effect
from tempo_attn.lab.sweep.panels import by_panel, edit_name, edit_names, single_layer
from tempo_attn.modes import Null

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

SIGNIFICANT = 0.05
CHANGE = "change of accuracy, percentage points"
_MOST_LINES = 8


def layer_curves(effects: Sequence[Effect], path: Path, *, null: Null = "sign") -> list[Path]:
    """Draw the change of accuracy by layer with 95 % intervals, for edits of a single layer.

    A panel for each kind and condition and each set of rows; a line for each mode and strength,
    or, where these are more than eight, a panel for each mode, too. The random perturbations are
    grey: their mean over the panel's edits of a layer (dashed), in a band from the lowest to the
    highest end of their intervals.

    Args:
        effects: The effects; edits of several layers are left out.
        path: Where to, without a suffix.
        null: Which random perturbation to draw, where there is one.

    Returns:
        The files: PNG and SVG of every sheet.

    Raises:
        ConfigError: No effect is of an edit of a single layer, or one comes twice.
    """
    effects = single_layer(effects, "the change by layer")
    layers = sorted({effect.variant.layers[0] for effect in effects})
    gap = min((b - a for a, b in pairwise(layers)), default=1)
    by_mode = len(edit_names(effects, by_mode=False)) > _MOST_LINES
    panels: dict[Panel, list[Line]] = {}
    for panel, found in by_panel(effects, by_mode=by_mode).items():
        panels[panel] = _null_line(found, null)
        present = edit_names(found, by_mode)
        for at, name in enumerate(present):
            # Side by side, so that the intervals can be told apart.
            shift = gap * (at - (len(present) - 1) / 2) * min(0.12, 0.7 / len(present))
            of_edit = sorted(
                (effect for effect in found if edit_name(effect, by_mode) == name),
                key=lambda effect: effect.variant.layers,
            )
            x = [effect.variant.layers[0] + shift for effect in of_edit]
            panels[panel].append(_line(name, x, of_edit))
    return draw_lines(
        panels,
        path,
        names=edit_names(effects, by_mode),
        size=by_layer_size(layers),
        labels=("layer", CHANGE),
        layers=layers,
    )


def heat_map(effects: Sequence[Effect], path: Path) -> list[Path]:
    """Draw the change of accuracy as a table of layers and strengths, for edits of a single layer.

    A panel for each kind and condition, set of rows, and mode. The numbers are in the cells.

    Args:
        effects: The effects; edits of several layers are left out.
        path: Where to, without a suffix.

    Returns:
        The files: PNG and SVG of every sheet.

    Raises:
        ConfigError: No effect is of an edit of a single layer, or one comes twice.
    """
    effects = single_layer(effects, "the table of layers and strengths")
    panels = by_panel(effects, by_mode=True)
    layers = sorted({effect.variant.layers[0] for effect in effects})
    widest = max(len(edit_names(found, True)) for found in panels.values())
    changes = [abs(points(effect.change)) for effect in effects]
    most = max([1.0, *(change for change in changes if math.isfinite(change))])
    figures = []
    with style():
        size = (max(2.2, 0.4 + 0.42 * widest), 0.6 + max(0.6, 0.17 * len(layers)))
        for figure, places in sheets(panels, size, margin=1.3, sharex=False):
            drawn = [_draw_cells(axes, panels[at], layers, most) for at, axes in places.items()]
            figure.suptitle(
                "The number in a cell is the change of accuracy in percentage points.\n"
                f"Bold with *: p < {SIGNIFICANT:g} (McNemar, Holm-corrected over the sweep).",
                fontsize=8,
            )
            figure.supxlabel("strength")
            figure.supylabel("layer")
            # A fifth of an inch wide.
            aspect = 5 * figure.get_size_inches()[1]
            bar = figure.colorbar(drawn[0], ax=list(places.values()), aspect=aspect, pad=0.02)
            bar.set_label(CHANGE)
            figures.append(figure)
        return save_all(figures, path)


def mass_against_change(effects: Sequence[Effect], path: Path) -> list[Path]:
    """Draw the change of accuracy against the change of attention on audio, one point an edit.

    A panel for each kind and condition and each set of rows; a marker for each mode. Where all of
    a panel's edits are of the same layers, a line joins them by strength.

    Args:
        effects: The effects; those without a mass are left out.
        path: Where to, without a suffix.

    Returns:
        The files: PNG and SVG of every sheet.

    Raises:
        ConfigError: No effect has the audio's mass before and after the edit, or one comes twice.
    """
    effects = [effect for effect in effects if math.isfinite(_mass_change(effect))]
    if not effects:
        raise ConfigError(
            "the change against mass has nothing to draw: no effect has the audio's mass before "
            "and after its edit (mass_before, mass_after)"
        )
    modes = list(dict.fromkeys(effect.variant.mode for effect in effects))
    panels: dict[Panel, list[Line]] = {}
    one_place = True
    for panel, found in by_panel(effects, by_mode=False).items():
        found.sort(key=lambda effect: effect.variant.strength or 0.0)
        one_place = one_place and len({effect.variant.layers for effect in found}) == 1
        panels[panel] = []
        for mode in modes:
            of_mode = [effect for effect in found if effect.variant.mode == mode]
            if of_mode:
                panels[panel].append(_line(mode, [_mass_change(e) for e in of_mode], of_mode))
    return draw_lines(
        panels,
        path,
        names=modes,
        size=(2.9, 2.5),
        labels=("change of attention mass on audio, percentage points", CHANGE),
        joined=one_place,
    )


def _line(name: str, x: Sequence[float], effects: Sequence[Effect]) -> Line:
    return Line(
        name=name,
        x=x,
        y=[points(effect.change) for effect in effects],
        intervals=[percent_interval(effect.interval) for effect in effects],
    )


def _null_line(effects: Sequence[Effect], kind: Null) -> list[Line]:
    """Return the random perturbations as one line, or none if there are none."""
    by_layer: dict[int, list[Any]] = {}
    for effect in effects:
        if kind in effect.nulls:
            by_layer.setdefault(effect.variant.layers[0], []).append(effect.nulls[kind])
    if not by_layer:
        return []
    lines: list[tuple[float, float, tuple[float, float]]] = []
    for layer, nulls in sorted(by_layer.items()):
        low, high = zip(*(percent_interval(null.interval) for null in nulls), strict=True)
        mean = fmean(_known(points(null.change) for null in nulls))
        lines.append((layer, mean, (min(_known(low)), max(_known(high)))))
    if len(lines) == 1:  # a band needs two points
        lines = [(at + side, mean, ends) for at, mean, ends in lines for side in (-0.4, 0.4)]
    x, y, intervals = zip(*lines, strict=True)
    name = f"random {kind} (mean, 95 % intervals)"
    return [Line(name=name, x=x, y=y, intervals=intervals, reference=True)]


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)] or [math.nan]


def _mass_change(effect: Effect) -> float:
    return points(effect.mass_after) - points(effect.mass_before)


def _draw_cells(
    axes: Axes, effects: Sequence[Effect], layers: Sequence[int], most: float
) -> QuadMesh:
    """Draw one panel's table of layers and strengths."""
    names = edit_names(effects, by_mode=True)
    values = np.full((len(layers), len(names)), np.nan)
    starred = np.zeros(values.shape, dtype=bool)
    for effect in effects:
        at = layers.index(effect.variant.layers[0]), names.index(edit_name(effect, True))
        values[at] = points(effect.change)
        starred[at] = effect.p_holm is not None and effect.p_holm < SIGNIFICANT
    return draw_cells(
        axes,
        values,
        most=most,
        columns=[name.removeprefix("strength ") for name in names],
        lines=[str(layer) for layer in layers],
        marked=starred,
    )

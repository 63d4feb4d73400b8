"""The figure of the lens: information by layer, for right and wrong answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from tempo_attn.errors import ConfigError
from tempo_attn.figures import Panel
from tempo_attn.lab.figures.lines import Line, by_layer_size, draw_lines, percent_interval, points
from tempo_attn.lab.figures.titles import Column, in_order, title
from tempo_attn.lab.lens.table import GROUPS

_NAN = float("nan")


def information_by_layer(rows: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Draw the information score by layer with 95 % intervals, and chance.

    A panel for each kind and condition, kind of candidates and set of rows; a line for all, right
    and wrong items.

    Args:
        rows: As `lens_rows` has them; differences are left out.
        path: Where to, without a suffix.

    Returns:
        The files: PNG and SVG of every sheet.

    Raises:
        ConfigError: There are no such rows.
    """
    present = sorted({str(row["group"]) for row in rows})
    rows = [row for row in rows if row["group"] in GROUPS]
    if not rows:
        raise ConfigError(
            f"the information by layer has nothing to draw: expected rows of the groups "
            f"{list(GROUPS)}, found the groups {present}"
        )
    layers = sorted({int(row["layer"]) for row in rows})
    names = [_name(group) for group in GROUPS if group in present]
    cells: dict[tuple[Column, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        column = (str(row["kind"]), str(row["condition"]))
        cells.setdefault((column, str(row["candidates"]), str(row["rows"])), []).append(row)
    columns = in_order(dict.fromkeys(column for column, _, _ in cells))
    candidates = list(dict.fromkeys(kind for _, kind, _ in cells))
    sets = list(dict.fromkeys(name for _, _, name in cells))
    panels: dict[Panel, list[Line]] = {}
    for set_of_rows, column, kind in product(sets, columns, candidates):
        found = cells.get((column, kind, set_of_rows))
        if found:
            panel = f"rows: {set_of_rows}", f"{kind}: {title(column, _sizes(found))}"
            panels[panel] = [_chance(found, layers), *_lines(found)]
    return draw_lines(
        panels,
        path,
        names=names,
        size=by_layer_size(layers),
        labels=("layer", "information score, % of items"),
        layers=layers,
        signed=False,
    )


def _lines(rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    lines = []
    for at, group in enumerate(GROUPS):
        mine = sorted((r for r in rows if r["group"] == group), key=lambda row: int(row["layer"]))
        if not mine:
            continue
        lines.append(
            Line(
                name=_name(group),
                # Side by side, so that the intervals can be told apart.
                x=[int(row["layer"]) + 0.1 * (at - 1) for row in mine],
                y=[points(row["score"]) for row in mine],
                intervals=[percent_interval((row["low"], row["high"])) for row in mine],
            )
        )
    return lines


def _chance(rows: Sequence[Mapping[str, Any]], layers: Sequence[int]) -> Line:
    share = 100 / int(rows[0]["n_candidates"])
    ends = layers[0] - 0.5, layers[-1] + 0.5  # a line needs two points
    none = (_NAN, _NAN)
    return Line(name="chance", x=ends, y=[share, share], intervals=[none, none], reference=True)


def _sizes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    sizes = {str(row["group"]): int(row["n"]) for row in rows}
    return [
        str(sizes[group]) if group == "all" else f"{sizes[group]} {group}"
        for group in GROUPS
        if group in sizes
    ]


def _name(group: str) -> str:
    return f"{group} items"

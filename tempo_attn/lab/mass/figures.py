"""The figure of attention mass on audio, by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from tempo_attn.errors import ConfigError
from tempo_attn.figures import Panel
from tempo_attn.lab.figures.lines import Line, by_layer_size, draw_lines, percent_interval, points
from tempo_attn.lab.figures.titles import Column, in_order, span, title
from tempo_attn.lab.mass.table import GROUPS


def mass_by_layer(rows: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Draw attention mass on audio by layer, with 95 % intervals as bands.

    A panel for each kind and condition. With one group of items, it has a line for each set of
    rows; with several (right against wrong), there is a panel for each set of rows, too, and a
    line for each group.

    Args:
        rows: Dicts with `kind`, `condition`, `group` ("all", "right", "wrong"), `rows` (the query
            rows), `layer`, `mass` (0 to 1), `low` and `high` (its interval, or None), `n`. Those
            of other groups, such as differences of mass, are left out.
        path: Where to, without a suffix.

    Returns:
        The files: PNG and SVG of every sheet.

    Raises:
        ConfigError: There are no such rows.
    """
    found = sorted({str(row["group"]) for row in rows})
    rows = [row for row in rows if row["group"] in GROUPS]
    if not rows:
        raise ConfigError(
            f"the mass by layer has nothing to draw: expected rows of the groups {list(GROUPS)}, "
            f"found the groups {found}"
        )
    groups = sorted({str(row["group"]) for row in rows})
    queries = list(dict.fromkeys(str(row["rows"]) for row in rows))
    columns: dict[Column, list[Mapping[str, Any]]] = {}
    for row in rows:
        columns.setdefault((str(row["kind"]), str(row["condition"])), []).append(row)
    panels: dict[Panel, list[Line]] = {}
    for query, column, group in product(queries, in_order(columns), groups):
        of_line = [
            row
            for row in columns[column]
            if (str(row["rows"]), str(row["group"])) == (query, group)
        ]
        if not of_line:
            continue
        head = title(column, [_group_size(columns[column], group) for group in groups])
        label = f"query rows: {query}"
        if len(groups) > 1:
            line = _line(f"{group} items", of_line, reference=group == "all")
            panels.setdefault((label, head), []).append(line)
        else:
            panels.setdefault(("", head), []).append(_line(label, of_line))
    drawn = [line for lines in panels.values() for line in lines]
    layers = sorted({int(row["layer"]) for row in rows})
    return draw_lines(
        panels,
        path,
        names=list(dict.fromkeys(line.name for line in drawn if not line.reference)),
        size=by_layer_size(layers),
        labels=("layer", "attention mass on audio, %"),
        layers=layers,
        signed=False,
        bands=True,
    )


def _line(name: str, rows: Sequence[Mapping[str, Any]], reference: bool = False) -> Line:
    rows = sorted(rows, key=lambda row: int(row["layer"]))
    ends = [None if reference else (row["low"], row["high"]) for row in rows]
    return Line(
        name=name,
        x=[int(row["layer"]) for row in rows],
        y=[points(row["mass"]) for row in rows],
        intervals=[percent_interval(interval) for interval in ends],
        reference=reference,
    )


def _group_size(rows: Sequence[Mapping[str, Any]], group: str) -> str:
    size = span([int(row["n"]) for row in rows if row["group"] == group] or [0])
    return size if group == "all" else f"{size} {group}"

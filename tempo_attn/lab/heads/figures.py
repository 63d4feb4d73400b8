"""The figure of head scores: a table of layers and heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tempo_attn.errors import ConfigError
from tempo_attn.figures import Panel
from tempo_attn.lab.figures.head_table import draw_heads
from tempo_attn.lab.figures.titles import in_order, title

SIGNIFICANT = 0.05


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
    return draw_heads(
        panels,
        path,
        value="r",
        columns={head: str(head) for head in range(n_heads)},
        n_layers=n_layers,
        n_heads=n_heads,
        cell=0.36,
        marked=lambda row: row["p_holm"] is not None and row["p_holm"] < SIGNIFICANT,
        title="A head's score: correlation, over items, of its attention mass with right answers."
        f"\n*: p < {SIGNIFICANT:g} (Holm-corrected over the heads of a panel).",
        label="score, Pearson's r",
    )

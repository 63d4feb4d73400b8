"""The figure of a run of `tempo listen`: layers and heads, how far above other clips' windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tempo_attn.errors import ConfigError
from tempo_attn.figures import Panel
from tempo_attn.lab.figures.head_table import draw_heads
from tempo_attn.lab.figures.titles import in_order, title
from tempo_attn.lab.listen.table import MEAN

SIGNIFICANT = 0.05


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
    return draw_heads(
        panels,
        path,
        value="above_other_clips",
        columns={**{head: str(head) for head in range(n_heads)}, MEAN: "all"},
        n_layers=n_layers,
        n_heads=n_heads,
        cell=0.38,
        marked=listens,
        title="Windows of the highest attention against the event:\n"
        "IoU minus that of the windows in other clips.\n"
        f"*: above other clips and silence, p < {SIGNIFICANT:g}\n"
        "(Holm-corrected over a panel). all: mean over heads.",
        label="IoU - IoU of other clips",
    )


def _label(row: Mapping[str, Any]) -> str:
    what = f"rows {row['rows']}, {row['target']} event"
    if row["target"] == "others":
        what = f"rows {row['rows']}, other events"
    return what if row["reading"] == "attention" else f"{what}, change {row['reading']}"

"""What run folders of the laboratory hold, for a page: their tables, figures and edits by item."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_attn.lab.run_folder.folder import Run

MOST_ROWS = 60
_MOST_FIGURE_BYTES = 1_500_000
_TABLES = (
    "effects",
    "presets",
    "mass",
    "best",
    "listen",
    "trace",
    "correlations",
    "lens",
    "critical",
)
"""Tables in the order of a section; others that a folder has follow by name."""
_NO_TABLES = ("manifest", "summary")
_LEFT_OUT = ("null_", "mass_", "entropy_", "recomputed", "margin_")
"""Beginnings of columns that are in the folder's CSV but not on the page."""


def section_of(name: str, run: Run) -> dict[str, Any]:
    """Return what the page shows of a run folder.

    Args:
        name: What the page calls the run.
        run: The run; it may be unfinished.
    """
    tables = [_table(path) for path in _tables_of(run.folder)]
    notes = []
    if run.missing:
        notes.append(
            f"unfinished: {run.missing} of its {len(run.manifest.item_indices)} items are not "
            "done. Its tables are of an earlier moment, or not written yet; the same command goes "
            "on with it"
        )
    elif not tables and run.manifest.shard is not None:
        notes.append("a shard, which has no tables of its own: `tempo merge` joins the shards")
    elif not tables:
        notes.append("its tables are not there; the same command writes them again")
    return {
        "name": name,
        "command": run.manifest.command,
        "about": _about(run),
        "notes": notes,
        "tables": [table for table in tables if table["rows"]],
        "figures": _figures(run.folder),
    }


def _about(run: Run) -> list[tuple[str, str]]:
    prints = run.manifest.fingerprints
    rows = [
        ("command", f"tempo {run.manifest.command}"),
        ("model", prints.model.name),
        ("tasks", ", ".join(run.manifest.settings.tasks)),
        ("items", f"{len(run.records):,} of {len(run.manifest.item_indices):,}"),
        ("limit", str(run.manifest.settings.limit or "none")),
        ("seed", str(run.manifest.settings.seed)),
        ("weights", prints.model.weights[:16]),
        ("code", prints.code[:16]),
    ]
    summary = _json(run.folder / "summary.json")
    if isinstance(summary, Mapping):
        rows += [(key, _cell(value)) for key, value in summary.items() if _is_short(value)]
    return list(dict(rows).items())


def _is_short(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and len(str(value)) < 200


def _tables_of(folder: Path) -> list[Path]:
    """Return the tables that a command wrote: JSON beside a CSV of the same name."""
    found = [path for path in folder.glob("*.json") if path.with_suffix(".csv").is_file()]
    found = [path for path in found if path.stem not in _NO_TABLES]
    order = {name: place for place, name in enumerate(_TABLES)}
    return sorted(found, key=lambda path: (order.get(path.stem, len(order)), path.name))


def _table(path: Path) -> dict[str, Any]:
    rows = _json(path)
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if rows and "change" in rows[0]:
        # The largest changes at either end are what a reader looks for.
        rows.sort(key=lambda row: -(row["change"] or 0.0))
    shown = rows
    if len(rows) > MOST_ROWS:
        shown = [*rows[: MOST_ROWS // 2], *rows[-MOST_ROWS // 2 :]]
    columns = [
        name
        for name in (rows[0] if rows else {})
        if not name.startswith(_LEFT_OUT) and any(row.get(name) is not None for row in rows)
    ]
    return {
        "name": path.stem,
        "columns": columns,
        "rows": [[_cell(row.get(name)) for name in columns] for row in shown],
        "numbers": [_is_number_column(rows, name) for name in columns],
        "left_out": len(rows) - len(shown),
    }


def _is_number_column(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return all(isinstance(row.get(name), (int, float, type(None))) for row in rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def _figures(folder: Path) -> list[dict[str, str]]:
    """Return a folder's figures, drawings before pictures of them."""
    found: list[dict[str, str]] = []
    for path in sorted(folder.glob("*.svg")) + sorted(folder.glob("*.png")):
        if any(figure["name"] == path.stem for figure in found):
            continue
        content = path.read_bytes()
        if len(content) > _MOST_FIGURE_BYTES:
            continue
        kind = "svg+xml" if path.suffix == ".svg" else "png"
        data = base64.b64encode(content).decode("ascii")
        found.append({"name": path.stem, "uri": f"data:image/{kind};base64,{data}"})
    return sorted(found, key=lambda figure: figure["name"])

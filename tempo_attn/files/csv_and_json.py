"""Tables as CSV and data as JSON, each file written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tempo_attn.files.atomic import replacing


def write_json(path: Path, data: Any, *, ensure_ascii: bool = True) -> Path:
    """Write JSON, atomically; missing folders are made.

    Args:
        path: The file.
        data: JSON data with finite numbers.
        ensure_ascii: Whether other letters are written as escapes.

    Returns:
        The path.
    """
    text = json.dumps(data, indent=2, ensure_ascii=ensure_ascii, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write a table, atomically.

    Args:
        path: The file; its folder must exist.
        rows: One or more rows, all with the first one's columns.

    Returns:
        The path.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8")
    return path


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write one table twice, as `<path>.csv` and as `<path>.json`, and return both files."""
    return [write_csv(path.with_suffix(".csv"), rows), write_json(path.with_suffix(".json"), rows)]


def table_number(value: float) -> float | None:
    """Return a number as tables have it: six decimals; None for NaN."""
    return None if math.isnan(value) else round(float(value), 6)

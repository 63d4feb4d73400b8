"""Writing results as JSON and CSV, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tempo_attn.errors import OptionError
from tempo_attn.files.atomic import replacing


def check_output(path: Path | None, *, folder: bool, option: str = "--out") -> None:
    """Check, before any work, that something can be written to a place.

    Args:
        path: The place; None where nothing will be written.
        folder: Whether it is a folder; else a file, whose folder is made.
        option: What it was given by.

    Raises:
        OptionError: A folder is where a file belongs, or the other way round, or nothing may be
            written there.
    """
    if path is None:
        return
    for place in (path, *path.absolute().parents):
        if not place.exists():
            continue
        wanted = folder or place is not path
        if place.is_dir() is not wanted:
            raise OptionError(
                f"{option} {path}: {place} is a {'file' if wanted else 'folder'}; expected a "
                f"{'folder' if wanted else 'file'}, or nothing yet"
            )
        if not os.access(place, os.W_OK):
            raise OptionError(f"{option} {path}: {place} may not be written to; name another place")
        return


def write_json(path: Path, data: Any, *, ensure_ascii: bool = True) -> Path:
    """Write JSON, atomically; missing folders are made."""
    text = json.dumps(data, indent=2, ensure_ascii=ensure_ascii, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write a table, atomically; all rows have the first one's columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8")
    return path

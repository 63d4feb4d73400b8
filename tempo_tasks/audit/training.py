"""Lists of clips that a model was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import DataUnavailableError, DataVersionError
from tempo_tasks.sources.table_files import find_tables

COLUMNS = (
    "filename",
    "file_name",
    "audio_path",
    "audio_paths",
    "audio",
    "audio_id",
    "clip_id",
    "clip",
    "id",
)
"""Columns that may name a clip; the first that a list has is read."""


@dataclass(frozen=True)
class TrainingList:
    """Clips that a model may have been trained on.

    Attributes:
        name: The file's name.
        names: Ids, filenames or paths, as they stand.
        rows: How many rows were read.
        column: The column they stand in, or several with commas; empty for a text file.
    """

    name: str
    names: frozenset[str]
    rows: int
    column: str = ""


def read_training(path: Path) -> TrainingList:
    """Read a list of clips.

    Args:
        path: A text file with one name a line; or a CSV, JSON, JSON Lines or Parquet file (or a
            folder of them) with one of `COLUMNS`, such as an interval CSV. A cell may hold several
            names, or an object with a `path`.

    Raises:
        DataUnavailableError: There is no such file.
        DataVersionError: It is of another format, or names no clip.
    """
    path = path.expanduser()
    if not path.exists():
        raise DataUnavailableError(
            f"there is no list {path.absolute()}; expected a text, CSV, JSON, JSON Lines or "
            "Parquet file with the names of training clips"
        )
    if path.suffix.lower() == ".txt":
        names = [name for line in _text(path).splitlines() if (name := line.strip())]
        found = TrainingList(path.name, frozenset(names), len(names))
    else:
        found = _read_rows(path)
    if not found.names:
        raise DataVersionError(f"{path}: {found.rows} rows, and none names a clip")
    return found


def _read_rows(path: Path) -> TrainingList:
    names: set[str] = set()
    columns: dict[str, None] = {}
    count = 0
    for row in _rows(path):
        count += 1
        column = next((name for name in COLUMNS if row.get(name) is not None), "")
        if not column and not any(name in row for name in COLUMNS):
            raise DataVersionError(
                f"{path}: columns {[str(name) for name in row]}; expected one of {list(COLUMNS)}. "
                "A list without a header must be a .txt file, one name a line"
            )
        found = _names(row.get(column))
        columns.update({column: None} if found else {})
        names.update(found)
    return TrainingList(path.name, frozenset(names), count, ", ".join(columns))


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    if path.suffix.lower() == ".json":
        return _json_rows(path)
    return (row for table in find_tables(path) for row in table.rows())


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        read = parse_json(_text(path))
    except ValueError as error:
        raise DataVersionError(f"{path}: not JSON: {error}") from error
    if not isinstance(read, list):
        raise DataVersionError(f"{path}: expected a list, found {type(read).__name__}")
    for row in read:
        yield row if isinstance(row, dict) else {"filename": row}


def _names(cell: Any) -> list[str]:
    if isinstance(cell, Mapping):
        cell = cell.get("path")
    if isinstance(cell, (list, tuple)):
        return [name for part in cell for name in _names(part)]
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # a number that a table with gaps made a fraction
    if isinstance(cell, (str, int)) and str(cell).strip():
        return [str(cell).strip()]
    return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise DataVersionError(f"{path}: not readable as text: {error}") from error

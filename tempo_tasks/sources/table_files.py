"""Tables of rows in a folder, whichever way they were written, one row in memory at a time.

Read are: what `datasets.save_to_disk` writes; Parquet shards (`*.parquet`, `data/*.parquet`,
`<config>/*.parquet`); one CSV or JSON Lines file. Audio columns are never decoded: `datasets`
needs torchcodec for that, and a row's bytes are all that is wanted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import DataVersionError
from tempo_tasks.sources.csv_reader import csv_rows

TableRow = dict[str, Any]
"""A row of any table, by column; cells are as the file types them."""

TEXT_NAMES = ("metadata.csv", "metadata.jsonl", "questions.csv", "questions.jsonl")
# What may lie beside questions and holds none: see `captions_and_intervals` and `tempo data build`.
_BESIDE = (
    *("intervals.csv", "captions.csv", "annotations_weak.csv", "attribution.csv"),
    *("events.csv", "recordings.csv", "mirror.csv"),  # of `tempo data render`
)
_SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
_SPLIT_WORD = re.compile(r"(train|validation|valid|val|dev|test|eval)(?=$|[-_.])")
# Rows with embedded audio are large: few at a time, whatever the row groups of the file.
_ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class Table:
    """One split.

    Attributes:
        name: "<config>/<split>" or "<split>", empty where the layout names none.
        where: What a reader of an error message should look into.
        rows: Starts reading from the first row.
    """

    name: str
    where: str
    rows: Callable[[], Iterator[TableRow]]


def find_tables(path: Path) -> list[Table]:
    """Return the tables of a folder (or of a single file); none where there is nothing to read.

    Raises:
        DataVersionError: Shards are missing, or it cannot be told which file holds the questions.
    """
    if path.is_file():
        return _table_of_file(path)
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return _saved_tables(path)
    shards = sorted([*path.glob("*.parquet"), *path.glob("*/*.parquet")])
    if shards:
        return _parquet_tables(path, shards)
    for name in TEXT_NAMES:
        if (path / name).is_file():
            return _table_of_file(path / name)
    texts = sorted(
        file for file in (*path.glob("*.csv"), *path.glob("*.jsonl")) if file.name not in _BESIDE
    )
    if len(texts) > 1:
        raise DataVersionError(
            f"{path} holds {[file.name for file in texts]}, and none is called "
            f"{' or '.join(TEXT_NAMES)}; rename the one with the questions, or name that file"
        )
    return _table_of_file(texts[0]) if texts else []


def _table_of_file(file: Path) -> list[Table]:
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise DataVersionError(f"{file}: expected a folder or a {', '.join(readers)} file")
    return [Table("", file.name, lambda: reader(file))]


def _saved_tables(path: Path) -> list[Table]:
    import datasets

    with _reading(path, "`datasets` cannot read what it saved"):
        saved = datasets.load_from_disk(str(path))
    splits = saved.items() if isinstance(saved, datasets.DatasetDict) else [("", saved)]

    def reader(split: Any) -> Callable[[], Iterator[TableRow]]:
        def rows() -> Iterator[TableRow]:
            with _reading(path, "`datasets` cannot read what it saved"):
                for batch in split.with_format("arrow").iter(batch_size=_ROWS_AT_ONCE):
                    # Else damaged offsets are followed out of the file, which ends the process.
                    batch.validate(full=True)
                    yield from batch.to_pylist()

        return rows

    return [Table(name, f"{path.name}/{name}".rstrip("/"), reader(split)) for name, split in splits]


@contextmanager
def _reading(path: Path, problem: str) -> Iterator[None]:
    """Name the file in whatever a library raises over a damaged one.

    Raises:
        DataVersionError: It raised something.
    """
    try:
        yield
    # Of any kind: IndexError, TypeError, UnicodeDecodeError ... come from deep inside the formats.
    except Exception as error:
        raise DataVersionError(f"{path}: {problem}: {type(error).__name__}: {error}") from error


def _parquet_tables(path: Path, shards: list[Path]) -> list[Table]:
    """Group shards by configuration and split, the way the Hub names them."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for shard in shards:
        folder = shard.relative_to(path).parent.name
        numbered = _SHARD.fullmatch(shard.stem)
        word = _SPLIT_WORD.match(shard.stem)
        split = numbered["split"] if numbered else word[1] if word else ""
        groups[split if folder in ("", "data") else f"{folder}/{split}"].append(shard)
    for files in groups.values():
        _refuse_missing_shards(path, files)

    def reader(files: list[Path]) -> Callable[[], Iterator[TableRow]]:
        return lambda: (row for file in files for row in _parquet_rows(file))

    return [
        Table(name, ", ".join(str(file.relative_to(path)) for file in files), reader(files))
        for name, files in sorted(groups.items())
    ]


def _refuse_missing_shards(path: Path, files: list[Path]) -> None:
    matches = [match for file in files if (match := _SHARD.fullmatch(file.stem))]
    counts = {int(match["count"]) for match in matches}
    if counts and counts != {len(files)}:
        raise DataVersionError(
            f"{path}: found {len(files)} of {max(counts)} shards "
            f"({', '.join(file.name for file in files)}); download the data set again"
        )


def _parquet_rows(file: Path) -> Iterator[TableRow]:
    # Not through `datasets`: that copies every clip into its own cache before the first row.
    import pyarrow.parquet  # type: ignore[import-untyped]

    with (
        _reading(file, "not a readable Parquet file"),
        pyarrow.parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False) as parquet,
    ):
        for batch in parquet.iter_batches(batch_size=_ROWS_AT_ONCE):
            batch.validate(full=True)
            yield from batch.to_pylist()


def _csv_rows(file: Path) -> Iterator[TableRow]:
    # Not through `datasets` either: it guesses types, and a label such as "None" becomes null.
    for _, row in csv_rows(file):
        yield row


def _jsonl_rows(file: Path) -> Iterator[TableRow]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except ValueError as error:
                raise DataVersionError(f"{file}, line {number}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise DataVersionError(f"{file}, line {number}: expected an object, found {row!r}")
            yield row

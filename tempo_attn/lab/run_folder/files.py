"""The files of a run folder: its manifest, lines and locks, and what can be wrong with them."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from tempo_attn.errors import RunFolderError
from tempo_attn.files.atomic import replacing
from tempo_attn.files.strict_json import parse_json
from tempo_attn.lab.run_folder.manifest import SCHEMA, Manifest, manifest_text

MANIFEST = "manifest.json"
_OURS = re.compile(r"\.lock.*|manifest\.[0-9a-f]{32}\.partial\.json")
"""Names of files that another process may be making in a new folder."""

Record = dict[str, Any]
"""A record as JSON data, with at least the item's "key" and "index"."""


def refuse_foreign(folder: Path) -> None:
    """Look before touching anything: only a new, an empty or a run folder is written to.

    Raises:
        RunFolderError: It is the folder of something else.
    """
    names = os.listdir(folder) if folder.exists() else []
    foreign = sorted(name for name in names if not _OURS.fullmatch(name))
    # Listed first: what another process makes in between has its manifest by now.
    if foreign and not (folder / MANIFEST).exists():
        raise RunFolderError(
            f"{folder}: is not empty and no run folder: it has no {MANIFEST}, but {foreign[0]!r}"
            f"{f' and {len(foreign) - 1} more' if len(foreign) > 1 else ''}; nothing was changed; "
            "choose another --out"
        )


def lock_place(folder: Path, process: int, n_processes: int) -> FileLock:
    """Lock one process's place; the system unlocks it when the process ends, however it does.

    The processes of one run have places of their own; of a run with another number of processes,
    none may be taken.

    Raises:
        Timeout: One is taken.
    """
    for place in folder.glob(".lock.*of*"):
        if not place.name.endswith(f"of{n_processes}"):
            with FileLock(place, timeout=0, thread_local=False):
                pass
    lock = FileLock(folder / f".lock.{process}of{n_processes}", timeout=0, thread_local=False)
    lock.acquire()
    return lock


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a folder's manifest, whole or not at all."""
    with replacing(folder / MANIFEST) as partial, partial.open("wb") as file:
        file.write(manifest_text(manifest.to_dict()).encode())
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> Manifest:
    """Return a folder's manifest, checked.

    Raises:
        RunFolderError: The folder has none, or it is damaged or of another schema.
    """
    path = folder / MANIFEST
    try:
        data = parse_json(path.read_bytes().decode(), finite=True)
    except (FileNotFoundError, NotADirectoryError):
        raise RunFolderError(
            f"{folder}: no run folder: it has no {MANIFEST}; give the folder that --out named"
        ) from None
    except ValueError as error:
        raise RunFolderError(
            f"{path}: is not JSON ({error}); expected the manifest of a run, of schema {SCHEMA}; "
            "choose another --out, or bring the file back"
        ) from error
    return Manifest.from_dict(data, str(path))


def collect(folder: Path, manifest: Manifest) -> tuple[list[Record], dict[Path, int]]:
    """Return the records of all processes, and how many bytes of each file are whole lines.

    Raises:
        RunFolderError: A file is damaged, a record is of no item of the run, or two of one differ.
    """
    items = manifest.item_indices
    expected = items if isinstance(items, range) else frozenset(items)
    found: dict[str | int, tuple[Record, str]] = {}  # by key and by index
    good: dict[Path, int] = {}
    for path in sorted(folder.glob("items*.jsonl")):
        records, good[path] = _read_items(path)
        for number, record in enumerate(records, 1):
            where, key, index = f"{path}, line {number}", record["key"], record["index"]
            if index not in expected:
                raise RunFolderError(
                    f"{where}: {item_name(record)} is no item of this run, which has "
                    f"{len(expected)}; the line is from another folder: delete it"
                )
            same, same_where = found.get(key) or found.get(index) or (record, where)
            if record != same:
                raise RunFolderError(
                    f"{where}: {item_name(record)} differs from {item_name(same)} in {same_where}, "
                    f"which has the same {'key' if key == same['key'] else 'index'}; expected one "
                    "record an item; delete the wrong line, or both to compute the item again"
                )
            found[key] = found[index] = same, same_where
    return [record for name, (record, _) in found.items() if isinstance(name, str)], good


def _read_items(path: Path) -> tuple[list[Record], int]:
    """Return the records of a file and the bytes they take; a broken last line is left out."""
    records: list[Record] = []
    good = 0
    broken: ValueError | None = None
    for line in io.BytesIO(path.read_bytes()):  # read at once: it may be growing
        if broken:
            raise RunFolderError(
                f"{path}, line {len(records) + 1}: is no record ({broken}); only the last line may "
                "be broken, by a killed run, so the file was damaged otherwise; bring it back from "
                "a copy, or delete this line to compute its item again"
            )
        try:
            records.append(_parse(line))
            good += len(line)
        except ValueError as error:
            broken = error
    return records, good


def _parse(line: bytes) -> Record:
    if not line.endswith(b"\n"):
        raise ValueError("the line does not end")
    record = parse_json(line.decode(), finite=True)
    _check_identity(record)
    return dict(record)


def to_line(record: Mapping[str, Any], path: Path) -> bytes:
    """Return a record as it is in the file; the order of its fields is kept.

    Raises:
        RunFolderError: It is not a record, or not JSON data.
    """
    try:
        _check_identity(record)
        text = json.dumps(dict(record), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise RunFolderError(
            f"{path}: cannot write {item_name(record)}: {error}; expected JSON data with finite "
            "numbers; if these come from the model, try another dtype"
        ) from error


def _check_identity(record: Any) -> None:
    if not (
        isinstance(record, Mapping)
        and isinstance(record.get("key"), str)
        and type(record.get("index")) is int
    ):
        raise ValueError("expected an object with a string 'key' and an integer 'index'")


def by_index(record: Record) -> int:
    """Return the index of a record's item, by which records are sorted."""
    return int(record["index"])


def item_name(record: Mapping[str, Any]) -> str:
    """Return what a record's item is called in messages, also that of a damaged one."""
    return f"item {record.get('id', record.get('key'))!r} (index {record.get('index')!r})"


@contextmanager
def io_errors(path: Path, done: str) -> Iterator[None]:
    """Turn the system's errors inside the context into ours.

    Args:
        path: The run folder, or the file in it.
        done: What is being done to it, for the message: "read" or "written".

    Raises:
        RunFolderError: The system refused it.
    """
    try:
        yield
    except OSError as error:
        raise RunFolderError(
            f"{error.filename or path}: cannot be {done}: {error.strerror or error}; what is there "
            "is kept; make room or get permission and run the same command again, or choose "
            "another --out"
        ) from error

"""Run folders: what a long command found so far, on disk, so that a killed run goes on.

    with RunFolder.open("runs/sweep", Manifest(command="sweep", ...)) as folder:
        for batch in batches:
            folder.append(compute(item) for item in batch if item.key not in folder.done)
    run = read_run("runs/sweep")

`manifest.json` says what was run on what and never changes; `items.jsonl` has one record a line, in
the order of finding them (`items.r<r>.jsonl`: found by process r of several). A record is a JSON
object with at least "key", a hash of its content, and "index", its place among the run's items.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tempo_attn.errors import RunFolderError, RunLockedError, RunMismatchError
from tempo_attn.lab.run_folder.differences import differences, without_info
from tempo_attn.lab.run_folder.files import (
    MANIFEST,
    Record,
    by_index,
    collect,
    io_errors,
    item_name,
    lock_place,
    read_manifest,
    refuse_foreign,
    to_line,
    write_manifest,
)
from tempo_attn.lab.run_folder.fingerprints import content_key
from tempo_attn.lab.run_folder.manifest import Manifest

__all__ = ["Run", "RunFolder", "default_folder", "merge_runs", "read_run"]

_log = logging.getLogger(__name__)

ARRAYS = "states"
"""The folder in a run folder for what is too large for records: files named after items' keys."""
OPENING_SECONDS = 60.0
"""How long a process waits for another one that is opening the same folder."""


class RunFolder:
    """A run folder that this process appends to; made by `RunFolder.open`.

    Deal items to processes and shards by their place in the whole run, and only then leave out
    those in `done`: every process may have opened the folder at another moment.

    Attributes:
        path: The folder.
        manifest: Its manifest.
        done: Keys of the records that were there on opening, of any process, and of those that this
            one has appended since.
        cut: Number of bytes of a half-written last line that were cut off on opening.
    """

    def __init__(self, path: Path, manifest: Manifest, items: Path, lock: FileLock) -> None:
        records, good = collect(path, manifest)
        self.path = path
        self.manifest = manifest
        self.done: set[str] = {record["key"] for record in records}
        self._needed = set(manifest.item_indices) - {record["index"] for record in records}
        self.cut = items.stat().st_size - good[items] if items in good else 0
        if self.cut:
            _log.warning(
                "%s: the last line is half-written, from a run that was killed: its %d bytes are "
                "cut off, and its item is computed again",
                items,
                self.cut,
            )
            os.truncate(items, good[items])
        self._file = items.open("ab", buffering=0)
        self._lock = lock

    @classmethod
    def open(
        cls,
        path: str | Path,
        manifest: Manifest,
        *,
        process: int = 0,
        n_processes: int = 1,
    ) -> RunFolder:
        """Create a run folder, or go on with one; the number of processes may differ.

        Args:
            path: The folder.
            manifest: The run's manifest, equal in all processes.
            process: This process among those of the run, from 0.
            n_processes: Number of processes of the run.

        Raises:
            RunMismatchError: The folder holds another run.
            RunLockedError: Another run is writing to it.
            RunFolderError: It is not a run folder, or damaged, or cannot be written.
        """
        folder = Path(path)
        given = Manifest.from_dict(manifest.to_dict(), "this run's manifest")
        if not 0 <= process < n_processes:
            raise RunFolderError(f"process {process} of {n_processes}: they count from 0")
        items = folder / ("items.jsonl" if n_processes == 1 else f"items.r{process}.jsonl")
        with io_errors(folder, "written"):
            refuse_foreign(folder)
            folder.mkdir(parents=True, exist_ok=True)
            try:
                # Locked, so that one of several processes makes the manifest and all see it whole.
                with FileLock(folder / ".lock", timeout=OPENING_SECONDS, thread_local=False):
                    if not (folder / MANIFEST).exists():
                        write_manifest(folder, given)
                    _require_equal(
                        read_manifest(folder).to_dict(),
                        given.to_dict(),
                        ("the folder", "this run"),
                        f"{folder}: holds another run, and two must not mix; choose another --out, "
                        "or repeat the settings of the folder's run",
                    )
                    lock = lock_place(folder, process, n_processes)
            except Timeout:
                raise RunLockedError(
                    f"{folder}: another run is writing to this folder; wait for it or stop it, "
                    "then run the same command again; or choose another --out"
                ) from None
            try:
                return cls(folder, given, items, lock)
            except BaseException:
                lock.release()
                raise

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write records and wait until they are on the disk; on an error, none of them is written.

        Raises:
            RunFolderError: A record is there already, is of no item of this run, or is not JSON; or
                the disk is full.
        """
        lines: list[bytes] = []
        new: dict[str, int] = {}
        for record in records:
            lines.append(to_line(record, self.path))
            key, index = record["key"], record["index"]
            if key in self.done or key in new:
                raise RunFolderError(
                    f"{self.path}: {item_name(record)} is there already (key {key!r}); leave out "
                    "what is in `done`"
                )
            if index not in self._needed or index in new.values():
                raise RunFolderError(
                    f"{self.path}: {item_name(record)} is not among the {len(self._needed)} items "
                    "that are still to come: its index is another record's, another shard's, or "
                    "too high"
                )
            new[key] = index
        self._write(b"".join(lines))
        self.done |= new.keys()
        self._needed -= set(new.values())

    def _write(self, data: bytes) -> None:
        number = self._file.fileno()
        before = os.fstat(number).st_size
        with io_errors(self.path, "written"):
            try:
                left = memoryview(data)
                while left:  # written at once, unless the disk is full or a signal comes
                    left = left[os.write(number, left) :]
                os.fsync(number)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(number, before)
                raise

    def close(self) -> None:
        """Let other runs write to the folder."""
        self._file.close()
        self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True)
class Run:
    """What a run folder holds; equal to another run that found the same, wherever that lies.

    Attributes:
        folder: The folder.
        manifest: What was run on what.
        records: One for each finished item, by index, as JSON data.
    """

    folder: Path = field(compare=False)
    manifest: Manifest
    records: list[Record]

    @property
    def missing(self) -> int:
        """Number of items of the run, or of its shard, that have no record yet."""
        return len(self.manifest.item_indices) - len(self.records)

    @property
    def complete(self) -> bool:
        """Whether every item has its record."""
        return self.missing == 0

    @property
    def about(self) -> dict[str, Any]:
        """What every summary of a run begins with: its command, model and tasks."""
        return {
            "command": self.manifest.command,
            "model": self.manifest.fingerprints.model.name,
            "tasks": self.manifest.settings.tasks,
        }


def default_folder(manifest: Manifest) -> Path:
    """Return a run folder named after the manifest: the same command, the same folder."""
    digest = content_key(without_info(manifest.to_dict()))[:10]
    return Path("runs") / f"{manifest.command}-{digest}"


def read_run(path: str | Path) -> Run:
    """Read a run folder, finished or not, also while it is written to.

    Raises:
        RunFolderError: It is not a run folder, damaged, or has two different records of one item.
    """
    folder = Path(path)
    with io_errors(folder, "read"):
        manifest = read_manifest(folder)
        records, _ = collect(folder, manifest)
    return Run(folder, manifest, sorted(records, key=by_index))


def merge_runs(paths: Iterable[str | Path], out: str | Path) -> Run:
    """Join the shards of a run into a new folder, byte for byte that of an unsharded run.

    Args:
        paths: The folders of all shards, each complete; any order.
        out: The new folder; must not exist, or be empty.

    Raises:
        RunMismatchError: The folders are not of one run.
        RunFolderError: A shard is missing, there twice, or unfinished; or `out` cannot be written.
    """
    target = Path(out).absolute()
    with io_errors(target, "written"):
        if target.exists() and os.listdir(target):
            raise RunFolderError(
                f"{target}: is not empty; a merged run goes to a new folder: choose another --out"
            )
    shards = _in_order([read_run(path) for path in paths])
    manifest = shards[0].manifest.unsharded
    records = sorted((record for shard in shards for record in shard.records), key=by_index)
    if [record["index"] for record in records] != list(manifest.item_indices):
        raise RunFolderError(
            f"the shards do not hold each of the run's {manifest.n_items} items once: they "
            "were not dealt from one list; compute all shards again with one version of tempo"
        )
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    with io_errors(target, "written"):
        try:
            partial.mkdir(parents=True)
            write_manifest(partial, manifest)
            (partial / "items.jsonl").write_bytes(b"".join(to_line(r, target) for r in records))
            for shard in shards:
                if (shard.folder / ARRAYS).is_dir():
                    shutil.copytree(shard.folder / ARRAYS, partial / ARRAYS, dirs_exist_ok=True)
            os.rename(partial, target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return Run(Path(out), manifest, records)


def _in_order(runs: list[Run]) -> list[Run]:
    """Return the shards 0 to n - 1 of one run, after checking that they are that."""
    found: dict[int, Run] = {}
    n_shards = 0
    for run in runs:
        if run.manifest.shard is None:
            raise RunFolderError(
                f"{run.folder}: is a whole run; give folders that `--shard i/n` wrote"
            )
        if found:
            first = next(iter(found.values()))
            _require_equal(
                _of_any_shard(first.manifest),
                _of_any_shard(run.manifest),
                (str(first.folder), str(run.folder)),
                "shards of different runs cannot be merged",
            )
        number, n_shards = run.manifest.shard
        if number in found:
            raise RunFolderError(
                f"{found[number].folder} and {run.folder} are both shard {number}/{n_shards}; "
                "give each once"
            )
        if not run.complete:
            n_items = len(run.manifest.item_indices)
            raise RunFolderError(
                f"{run.folder}: shard {number}/{n_shards} misses {run.missing} of its {n_items} "
                "items; run its command again: it goes on where it was"
            )
        found[number] = run
    missing = [f"{number}/{n_shards}" for number in range(n_shards) if number not in found]
    if missing or not found:
        raise RunFolderError(
            f"cannot merge: shards missing: {', '.join(missing) or 'all of them'}; give one folder "
            "for each shard, made with `--shard i/n`"
        )
    return [found[number] for number in sorted(found)]


def _of_any_shard(manifest: Manifest) -> dict[str, Any]:
    """Return what all shards of one run have in common."""
    data = manifest.unsharded.to_dict()
    return {**data, "shard": manifest.shard and f"any of {manifest.shard[1]}"}


def _require_equal(
    one: Mapping[str, Any], other: Mapping[str, Any], names: tuple[str, str], why: str
) -> None:
    found = [f"  {line}" for line in differences(one, other, names)]
    if found:
        raise RunMismatchError("\n".join([f"{why}. What differs:", *found]))

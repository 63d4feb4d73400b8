"""A stranger's bundle, folder or zip, read within limits: only what a bundle may have is opened.

Everything is refused before it is read: links, devices, paths that lead elsewhere, names that no
bundle has, and sizes, as declared and as they turn out to be.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tempo_tasks.errors import BundleError
from tempo_tasks.submission.schema import (
    ABOUT,
    AUDIT,
    EVAL_RESULTS,
    EVERY_EVAL_EVER,
    MANIFEST,
    RESULTS,
    ROW,
    SAMPLES,
    STATISTICS,
)

MIB = 1 << 20
MAX_FILES = 200
MAX_FILE = 64 * MIB  # 1,657 items in four rotations have 16
MAX_TOTAL = 512 * MIB
MAX_ZIP = 128 * MIB
MAX_DIRECTORY = 1 * MIB  # of a zip: names and sizes
_CHUNK = 1 << 16
_SMALL = {ABOUT: MIB, MANIFEST: MIB, RESULTS: 8 * MIB, ROW: MIB, STATISTICS: 16 * MIB}
_NAME = re.compile(
    rf"{re.escape(ABOUT)}|{MANIFEST}|{re.escape(RESULTS)}|{re.escape(STATISTICS)}"
    rf"|{re.escape(ROW)}|{re.escape(AUDIT)}"
    rf"|{SAMPLES}/tempo_[a-z0-9_]{{1,80}}\.jsonl"
    rf"|{re.escape(EVAL_RESULTS)}/tempo-lalm-[a-z0-9-]{{1,40}}\.yaml"
    rf"|{EVERY_EVAL_EVER}/[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(\.json|_samples\.jsonl)",
    re.ASCII,
)
_FOLDERS = {SAMPLES, EVAL_RESULTS, EVERY_EVAL_EVER}
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END, _END_SIZE, _LOCATOR_SIZE = b"PK\5\6", 22, 20


@contextmanager
def open_bundle(path: Path) -> Iterator[Path]:
    """Yield a bundle as a folder of regular files with known names and bounded sizes.

    Args:
        path: A folder, or a zip, which is unpacked to a temporary folder.

    Raises:
        BundleError: It is neither, or holds what no bundle has; nothing of it was read.
    """
    try:
        if path.is_dir():
            _check_folder(path)
            yield path
        elif path.is_file():
            with tempfile.TemporaryDirectory(prefix="tempo-bundle-") as folder:
                _unpack(path, Path(folder))
                yield Path(folder)
        else:
            raise BundleError(f"{path}: no such folder or zip; expected what `tempo submit` wrote")
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error}") from error


def _check_folder(root: Path) -> None:
    total = 0
    files = 0
    folders = [(root, "")]
    while folders:
        folder, prefix = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                files += 1
                if files > MAX_FILES:
                    raise BundleError(f"{root}: more than {MAX_FILES} files; no bundle has so many")
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode) and name in _FOLDERS:
                    folders.append((folder / entry.name, f"{name}/"))
                    continue
                if not stat.S_ISREG(found.st_mode):
                    raise BundleError(
                        f"{root}: {_shown(name)} is no regular file; a bundle has no links, "
                        "devices or further folders"
                    )
                _check_name(root, name)
                total += found.st_size
                _check_size(root, name, found.st_size, total)


def _unpack(path: Path, folder: Path) -> None:
    size = path.stat().st_size
    if size > MAX_ZIP:
        raise BundleError(f"{path}: {size:,} bytes; expected at most {MAX_ZIP:,}")
    _check_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not _is_folder(path, member)]
            _check_members(path, members)
            total = 0
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(exist_ok=True)
                total += _extract(path, archive, member, target, total)
    except _BROKEN as error:
        raise BundleError(f"{path}: no whole zip: {error}; write the bundle again") from error


def _check_directory(path: Path) -> None:
    """Refuse a table of contents that would fill the memory, before the zip is opened."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_SIZE - _LOCATOR_SIZE - (1 << 16)))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _END_SIZE:
        raise BundleError(f"{path}: no zip, or cut short; expected a folder, or a zip of one")
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    if directory > MAX_DIRECTORY or tail[:at][-_LOCATOR_SIZE:].startswith(b"PK\6\7"):
        raise BundleError(f"{path}: its table of contents is larger than any bundle's")


def _is_folder(path: Path, member: zipfile.ZipInfo) -> bool:
    if not member.filename.endswith("/"):
        return False
    if member.filename.rstrip("/") not in _FOLDERS:
        raise BundleError(f"{path}: the folder {_shown(member.filename)} is in no bundle")
    return True


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES:
        raise BundleError(f"{path}: {len(members):,} files; expected at most {MAX_FILES}")
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise BundleError(f"{path}: a file is in the zip twice; expected each once")
    total = 0
    for member in members:
        mode = member.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise BundleError(f"{path}: {_shown(member.filename)} is a link or no regular file")
        _check_name(path, member.filename)
        if member.compress_type not in _COMPRESSIONS:
            raise BundleError(f"{path}: {member.filename} is compressed otherwise than by Deflate")
        total += member.file_size
        _check_size(path, member.filename, member.file_size, total)


def _extract(
    path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, before: int
) -> int:
    """Write one file and return its size; the declared size is not believed."""
    written = 0
    with archive.open(member) as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            _check_size(path, member.filename, written, before + written)
            file.write(chunk)
    return written


def _check_name(path: Path, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BundleError(
            f"{path}: {_shown(name)} is no file of a bundle; expected the files that `tempo "
            "submit` writes and no others"
        )


def _check_size(path: Path, name: str, size: int, total: int) -> None:
    limit = _SMALL.get(name, MAX_FILE)
    if size > limit:
        raise BundleError(f"{path}: {name} has {size:,} bytes; expected at most {limit:,}")
    if total > MAX_TOTAL:
        raise BundleError(f"{path}: {total:,} bytes in all; expected at most {MAX_TOTAL:,}")


def _shown(name: str) -> str:
    return repr(name[:120])

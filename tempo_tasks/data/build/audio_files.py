"""Where a build's audio comes from: an archive or a folder, one file a clip.

Files get their names once they are whole, so a killed build leaves nothing half-written and goes on
with what is missing. No path of an archive is ever used: a clip's file lies under the clip's name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from tempo_attn.files.atomic import replacing
from tempo_tasks.errors import AudioNotFoundError, UnreadableAudioError
from tempo_tasks.file_hashes import hash_file
from tempo_tasks.sources.blank_names import blank_twins
from tempo_tasks.sources.csv_reader import listed

_CHUNK = 1 << 20  # bytes


class AudioSource(Protocol):
    """Gives the audio files of clips."""

    @property
    def names(self) -> frozenset[str]:
        """Clips that it has a file of."""

    def place(self, name: str, target: Path) -> str:
        """Put a clip's file at `target`, unless it is there; return its SHA-256 sum."""


def open_audio(path: Path) -> AudioSource:
    """Return the source in a folder or a ZIP archive.

    Raises:
        AudioNotFoundError: There is neither.
        UnreadableAudioError: No archive, or a damaged one.
    """
    if path.is_dir():
        return FolderAudio.at(path)
    if path.is_file():
        return ZipAudio(path)
    raise AudioNotFoundError(f"there is no {path.absolute()}; expected an audio folder or archive")


class FolderAudio:
    """Files in a folder, linked where the file system can, else copied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def names(self) -> frozenset[str]:
        """Clips that have a file which is not empty."""
        with os.scandir(self.folder) as entries:
            return frozenset(e.name for e in entries if e.is_file() and e.stat().st_size)

    @classmethod
    def at(cls, path: Path) -> FolderAudio:
        """Return the source in a folder, or in `audio` in it."""
        inner = path / "audio"
        return cls(inner if inner.is_dir() else path)

    def same(self, name: str, target: Path) -> bool:
        """Whether a clip's file is the one at `target`, or has its bytes."""
        source = self.folder / name
        return target.samefile(source) or hash_file(source, "sha256") == hash_file(target, "sha256")

    def place(self, name: str, target: Path) -> str:
        """Link or copy a clip's file."""
        source = (self.folder / name).resolve()
        if target.exists() and target.samefile(source):
            return hash_file(target, "sha256")[0]
        (digest,) = hash_file(source, "sha256")
        if target.exists() and hash_file(target, "sha256") == [digest]:
            return digest
        _link_or_copy(source, target)
        return digest


def _link_or_copy(source: Path, target: Path) -> None:
    with replacing(target) as partial:
        try:
            os.link(source, partial)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, partial)


class ZipAudio:
    """Members of a ZIP archive, found by the last part of their path, checked by their CRC."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.where = f"{archive}: "
        try:
            with zipfile.ZipFile(archive) as opened:
                members = opened.infolist()
        except (OSError, zipfile.BadZipFile) as error:
            raise UnreadableAudioError(
                f"{self.where}not a readable ZIP archive ({error}); half a download? Delete it and "
                "fetch it again"
            ) from error
        self._members: dict[str, list[zipfile.ZipInfo]] = {}
        for member in members:
            path = PurePosixPath(member.filename)
            # Archives made on a Mac carry a shadow of every file.
            if member.file_size and not member.is_dir() and "__MACOSX" not in path.parts:
                self._members.setdefault(path.name, []).append(member)

    @cached_property
    def names(self) -> frozenset[str]:
        """Clips that have a member which is not empty."""
        return frozenset(self._members)

    @cached_property
    def _opened(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.archive)

    def place(self, name: str, target: Path) -> str:
        """Extract a clip's file."""
        member, *others = self._members[name]
        if others:
            paths = [found.filename for found in (member, *others)]
            raise UnreadableAudioError(f"{self.where}{name} is in it {len(paths)} times: {paths}")
        if target.exists() and _crc(target) == (member.file_size, member.CRC):
            return hash_file(target, "sha256")[0]
        digest = hashlib.sha256()
        try:
            with (
                self._opened.open(member) as packed,
                replacing(target) as partial,
                partial.open("wb") as file,
            ):
                while chunk := packed.read(_CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as e:
            raise UnreadableAudioError(
                f"{self.where}{member.filename} cannot be read ({e}); fetch the archive again"
            ) from e
        return digest.hexdigest()


def _crc(path: Path) -> tuple[int, int]:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return path.stat().st_size, crc


def place_all(
    source: AudioSource, names: Iterable[str], folder: Path, *, progress: bool = False
) -> dict[str, str]:
    """Put the files of clips into a folder; return their SHA-256 sums by name.

    Raises:
        AudioNotFoundError: Clips have no file; all are listed.
        UnreadableAudioError: A damaged archive.
    """
    from tqdm import tqdm

    wanted = sorted(names)
    refuse_missing(source, wanted)
    folder.mkdir(parents=True, exist_ok=True)
    bar = tqdm(wanted, desc="audio", unit="clip", disable=not progress)
    return {name: source.place(name, folder / name) for name in bar}


def refuse_missing(source: AudioSource, names: Iterable[str]) -> None:
    """Raise AudioNotFoundError if there is no file, or an empty one, of a clip."""
    missing = sorted(set(names) - source.names)
    if missing:
        twins = blank_twins(missing, source.names)
        lines = [
            f"  {name!r}, and there is {twins[name]!r}" if name in twins else f"  {name}"
            for name in missing
        ]
        raise AudioNotFoundError(
            f"{len(missing)} clips of the questions have no audio file, or an empty one; add them, "
            "or use --repair to leave those clips out (recorded):\n" + listed(lines)
        )

"""Lazy handles of clips: what the harness passes around in place of waveforms.

A handle is a plain dictionary, for the harness hashes it for its cache and writes it into the
samples. It is made and read by the functions of this module only. Memory does not grow with the
number of clips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from tempo_tasks.errors import AudioNotFoundError, UnreadableAudioError


class _Clip(TypedDict):
    path: str
    sha256: str
    silence: bool


class Handle(_Clip, total=False):
    """What is to be heard of a clip, and where its file lies.

    Attributes:
        path: The audio file.
        sha256: SHA-256 of the file's bytes, 64 hexadecimal digits.
        silence: Whether zeros of the clip's length are heard in its place.
        reversed: Whether the clip is heard backwards. Absent where it is not: the harness's caches
            name a request by its handles' JSON, and answers that were cached before there was such
            a key are to be found again.
    """

    reversed: bool


class DocumentAudio(TypedDict):
    """What a harness document says of a clip: all of its handle but where the file lies."""

    sha256: str
    silence: bool
    reversed: bool


def make_handle(path: str | Path, sha256: str) -> Handle:
    """Return the handle of a file whose hash is known."""
    return {"path": str(path), "sha256": sha256, "silence": False}


def reversed_handle(handle: Handle) -> Handle:
    """Return the handle of the same clip heard backwards."""
    return {**handle, "reversed": True}


def silenced_handle(handle: Handle, silence: bool = True) -> Handle:
    """Return the handle of the same clip with zeros in its place, or (False) of the clip itself."""
    return {**handle, "silence": silence}


def is_silenced(handle: Handle) -> bool:
    """Return whether zeros are heard in a clip's place."""
    return bool(handle.get("silence"))


def is_reversed(handle: Handle) -> bool:
    """Return whether a clip is heard backwards."""
    return bool(handle.get("reversed"))


def document_audio(handle: Handle) -> DocumentAudio:
    """Return what a document says of a clip; `document_handle` is the inverse."""
    return {
        "sha256": handle["sha256"],
        "silence": handle["silence"],
        "reversed": is_reversed(handle),
    }


def document_handle(audio: DocumentAudio, paths: Mapping[str, str]) -> Handle:
    """Return the handle of a clip that a document names.

    Args:
        audio: What the document says.
        paths: Where the files lie, by the hash of their bytes.
    """
    handle = make_handle(paths[audio["sha256"]], audio["sha256"])
    handle["silence"] = audio["silence"]
    return reversed_handle(handle) if audio.get("reversed") else handle


def content_of(handle: Handle) -> tuple[str, str | None]:
    """Return what tells one file from another, whatever is to be heard of it: path and hash."""
    return handle["path"], handle.get("sha256")


def file_handle(path: str | Path) -> Handle:
    """Return the handle of an audio file, with the hash of its bytes.

    Raises:
        AudioNotFoundError: There is no such file.
    """
    path = Path(path).absolute()
    return make_handle(path, _sha256(_read_bytes(path)))


def read_content(handle: Handle) -> bytes:
    """Return the bytes of a handle's file.

    Raises:
        AudioNotFoundError: The file does not exist.
        UnreadableAudioError: It cannot be read, or these are not the bytes that were indexed.
    """
    path = Path(handle["path"])
    content = _read_bytes(path)
    expected = handle.get("sha256")
    if expected and _sha256(content) != expected:
        raise UnreadableAudioError(
            f"{path}: its content changed since it was indexed "
            f"(SHA-256 {_sha256(content)[:12]}..., expected {expected[:12]}...); "
            "restore the file, or index the data anew"
        )
    return content


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise AudioNotFoundError(
            f"{path}: no such audio file; check the data folder or download it again"
        ) from None
    except OSError as error:
        raise UnreadableAudioError(f"{path}: cannot be read: {error.strerror}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

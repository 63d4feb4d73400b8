"""Lazy handles of clips.

A handle is `{"path": str, "sha256": str, "silence": bool}`, with `"reversed": True` where the clip
is to be heard backwards. It is what the harness passes around, hashes for its cache and writes into
the samples; memory does not grow with the number of clips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tempo_tasks.errors import AudioNotFoundError, UnreadableAudioError

Handle = Mapping[str, Any]


def make_handle(path: str | Path, sha256: str) -> dict[str, Any]:
    """Return the handle of a file whose hash is known."""
    return {"path": str(path), "sha256": sha256, "silence": False}


def reversed_handle(handle: Handle) -> dict[str, Any]:
    """Return the handle of the same clip heard backwards.

    No other handle has the key `reversed`: the harness's caches name a request by its handles'
    JSON, and answers that were cached before there was such a key are to be found again.
    """
    return {**handle, "reversed": True}


def file_handle(path: str | Path) -> dict[str, Any]:
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

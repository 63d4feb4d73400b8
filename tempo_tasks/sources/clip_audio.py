"""Where the audio of a row is: bytes in the row, which go into the cache, or a file beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from tempo_attn.files.atomic import replacing
from tempo_tasks.audio import Handle, file_handle, make_handle
from tempo_tasks.cache_folder import cache_dir
from tempo_tasks.errors import AudioNotFoundError, DataUnavailableError
from tempo_tasks.sources.table_files import TableRow


def audio_of_row(row: TableRow, clip_id: str, folder: Path) -> Handle:
    """Return the handle of a row's audio: embedded bytes, or a file in the folder or its `audio`.

    Args:
        row: The row; its column `audio` has bytes, a path, or nothing.
        clip_id: The row's filename.
        folder: Where paths start.

    Raises:
        AudioNotFoundError: There is neither; a name that differs in blanks alone is told.
    """
    cell = row.get("audio")
    content, named = (
        (cell.get("bytes"), cell.get("path")) if isinstance(cell, Mapping) else (cell, cell)
    )
    if isinstance(content, bytes):
        return store_audio(content, Path(named if isinstance(named, str) else clip_id).suffix)
    names = [value for value in (named, clip_id) if isinstance(value, str) and value.strip()]
    for name in names:
        for place in (folder / name, folder / "audio" / name):
            if place.is_file():
                return file_handle(place)
    shown = " or ".join(map(repr, names))
    near = [
        f"; there is {str(place / other)!r}, whose name differs in blanks around it: rename it, or "
        "correct the row"
        for name in names
        for other in dict.fromkeys((name.strip(), f" {name}", f"{name} "))
        for place in (folder, folder / "audio")
        if (place / other).is_file()
    ]
    raise AudioNotFoundError(
        f"{clip_id}: no audio in its row, and no file {shown} in {folder} or in its audio/ "
        f"subfolder{near[0] if near else '; get the data again or put the files there'}"
    )


def store_audio(content: bytes, suffix: str) -> Handle:
    """Put a clip's bytes into the cache, once, and return its handle.

    The file is named after its content and renamed into place, so several processes may do this
    at once and a killed one leaves nothing half-written under the name.

    Raises:
        DataUnavailableError: The cache cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()
    path = (cache_dir() / "audio" / f"{digest}{suffix.lower()}").absolute()
    try:
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                partial.write_bytes(content)
    except OSError as error:
        raise DataUnavailableError(
            f"the clips' audio cannot be written to {path.parent} ({error}); make room, or set "
            "TEMPO_CACHE to another folder"
        ) from error
    return make_handle(path, digest)

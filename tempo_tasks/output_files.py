"""Whether results can be written to a place, told before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from tempo_attn.errors import OptionError


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

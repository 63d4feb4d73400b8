"""The folder of what is rendered, decoded or downloaded once."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the cache folder: `TEMPO_CACHE`, else `tempo-lalm` in the user's cache folder."""
    named = os.environ.get("TEMPO_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "tempo-lalm"

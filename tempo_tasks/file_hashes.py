"""MD5 and SHA-256 sums of files, which may be larger than memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

_CHUNK = 1 << 20  # bytes


def hash_file(path: Path, *names: str) -> list[str]:
    """Return hexadecimal digests of a file, one for each algorithm named, reading it once."""
    digests = [hashlib.new(name, usedforsecurity=False) for name in names]
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            for digest in digests:
                digest.update(chunk)
    return [digest.hexdigest() for digest in digests]

"""Writing files so that nothing is ever half-written."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a place beside `path` to write to; renamed to `path` once that went well.

    Several processes may do this at once, and a failed one leaves nothing under either name.
    """
    # The stem is cut: names have 255 bytes at most, and this one is longer.
    partial = path.with_name(f"{path.stem[:40]}.{uuid.uuid4().hex}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
        # A rename onto a hard link of the same file does nothing (POSIX).
        partial.unlink(missing_ok=True)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise

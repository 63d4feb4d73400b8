"""What C libraries write to the terminal, kept off it while audio is decoded.

libmpg123 comments on damaged streams by `fprintf(stderr, ...)` and libsndfile has no switch for it.
The C variable `stderr` points to another stream meanwhile. File descriptor 2 stays as it is, so
whatever Python writes (other threads' messages, progress bars, the stderr of processes that are
started) arrives as ever.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Stderr:
    """The C variable and its two values; `inside` counts the threads that want it quiet."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        name = "__stderrp" if sys.platform == "darwin" else "stderr"
        self.variable = ctypes.c_void_p.in_dll(libc, name)
        self.ours = self.variable.value
        self.nowhere = libc.fopen(os.devnull.encode(), b"w")
        self.inside = 0
        self.lock = threading.Lock()

    def enter(self) -> None:
        with self.lock:
            self.inside += 1
            if self.nowhere and self.inside == 1:
                self.ours, self.variable.value = self.variable.value, self.nowhere

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.variable.value = self.ours

    def after_fork(self) -> None:
        # The threads that were decoding are not in the child, so nobody else would put it back.
        self.lock = threading.Lock()
        self.inside = 0
        self.variable.value = self.ours


def _find() -> _Stderr | None:
    """Return the variable where it may be written; elsewhere (musl, Windows) notes stay seen."""
    try:
        if sys.platform != "darwin" and not _glibc():
            return None
        found = _Stderr()
    except (AttributeError, OSError, ValueError):
        return None
    os.register_at_fork(after_in_child=found.after_fork)
    return found


def _glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):
        return False


_stderr = _find()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep off the terminal what C code writes to its `stderr`; threads may overlap."""
    if _stderr is None:
        yield
        return
    _stderr.enter()
    try:
        yield
    finally:
        _stderr.leave()

"""What C libraries write to the terminal, kept off it while audio is decoded.

libmpg123 comments on damaged streams by `fprintf(stderr, ...)`, libsndfile on some by `printf`, and
there is no switch for it. The C variables `stderr` and `stdout` point to another stream meanwhile.
File descriptors 1 and 2 stay as they are, so whatever Python writes (other threads' messages,
progress bars, the output of processes that are started) arrives as ever.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Streams:
    """The C variables and their two values; `inside` counts the threads that want them quiet."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        names = ("__stderrp", "__stdoutp") if sys.platform == "darwin" else ("stderr", "stdout")
        self.variables = [ctypes.c_void_p.in_dll(libc, name) for name in names]
        self.ours = [variable.value for variable in self.variables]
        self.nowhere = libc.fopen(os.devnull.encode(), b"w")
        if not self.nowhere:
            raise OSError(f"{os.devnull} cannot be opened")
        self.inside = 0
        self.lock = threading.Lock()

    def enter(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.ours = [variable.value for variable in self.variables]
                for variable in self.variables:
                    variable.value = self.nowhere

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.put_back()

    def put_back(self) -> None:
        for variable, value in zip(self.variables, self.ours, strict=True):
            variable.value = value

    def after_fork(self) -> None:
        # The threads that were decoding are not in the child, so nobody else would put them back.
        self.lock = threading.Lock()
        if self.inside:
            self.inside = 0
            self.put_back()


def _find() -> _Streams | None:
    """Return the variables where they may be written; elsewhere (musl, Windows) notes are seen."""
    try:
        if sys.platform != "darwin" and not _glibc():
            return None
        found = _Streams()
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    os.register_at_fork(after_in_child=found.after_fork)
    return found


def _glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):
        return False


_streams = _find()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep off the terminal what C code writes to it; threads may overlap."""
    if _streams is None:
        yield
        return
    _streams.enter()
    try:
        yield
    finally:
        _streams.leave()

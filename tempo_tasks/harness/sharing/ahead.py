"""Clips are decoded, and features computed, by a thread while the model runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from tempo_tasks.audio import Handle, Wave

Row = tuple[str, Sequence[Handle]]
"""A rendered prompt and its clips."""
Processed = tuple[Any, list[list[Wave]]]
"""What a family's processor makes of rows, on the CPU, and the rows' waveforms."""
BATCHES = 3
"""Batches that are worked on ahead of the model: so much more memory is needed."""

_Name = tuple[tuple[str, tuple[int, ...]], ...]


class Ahead:
    """Rows through the processor, ahead of time or when they are needed.

    Args:
        process: Processes rows by a processor.
        processor: Returns the model's own.
    """

    def __init__(
        self, process: Callable[[Sequence[Row], Any], Processed], processor: Callable[[], Any]
    ) -> None:
        self._process, self._processor = process, processor
        self._copy: tuple[Any, Any] = None, None
        self._futures: dict[_Name, Future[Processed]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def begin(self, rows: Sequence[Row]) -> None:
        """Have rows processed while something else runs."""
        if not any(handles for _, handles in rows):
            return  # text alone takes no time
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "tempo-ahead")
        self._futures[_name(rows)] = self._pool.submit(self._apart, rows)

    def _apart(self, rows: Sequence[Row]) -> Processed:
        """Use a copy of the processor: a tokenizer cannot be used by two threads at once."""
        own = self._processor()
        if self._copy[0] is not own:
            self._copy = own, copy.deepcopy(own)
        return self._process(rows, self._copy[1])

    def take(self, rows: Sequence[Row]) -> Processed:
        """Return processed rows; where nobody began with these very rows, process them now."""
        future = self._futures.pop(_name(rows), None)
        if future is None or future.cancel() or future.exception() is not None:
            return self._process(rows, self._processor())  # an error is raised here, in full
        return future.result()

    def end(self) -> None:
        """Forget what was not taken, and end the thread."""
        for future in self._futures.values():
            future.cancel()
        self._futures.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _name(rows: Sequence[Row]) -> _Name:
    """Return what tells rows apart as long as they are in use."""
    return tuple((prompt, tuple(map(id, handles))) for prompt, handles in rows)

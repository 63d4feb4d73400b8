"""What is kept between batches because it will be needed again, up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Values by key; the one that was used longest ago goes where there is no room.

    Args:
        limit: Bytes that they may take together.
        size: Returns a value's bytes.
    """

    def __init__(self, limit: int, size: Callable[[T], int]) -> None:
        self.limit = limit
        self.n_bytes = 0
        self._size = size
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def get(self, key: Hashable) -> T | None:
        """Return a value, or None where it is not kept (any more)."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: Hashable, value: T) -> None:
        """Keep a value, and let go of others; one that is too large by itself is not kept."""
        size = self._size(value)
        if key in self._values or size > self.limit:
            return
        while self.n_bytes + size > self.limit:
            _, gone = self._values.popitem(last=False)
            self.n_bytes -= self._size(gone)
        self._values[key] = value
        self.n_bytes += size

    def clear(self) -> None:
        """Let go of everything."""
        self._values.clear()
        self.n_bytes = 0

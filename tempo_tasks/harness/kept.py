"""What is kept between batches because it will be needed again, up to a number of bytes."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from tempo_tasks.audio import (
    AudioLimits,
    Handle,
    Wave,
    as_heard,
    content_of,
    is_reversed,
    is_silenced,
    read_audio,
)

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


class Clips:
    """Waveforms by handle, decoded once as long as there is room; for several threads.

    Args:
        rate: Sampling rate in Hz.
        limits: What audio is accepted.
        longest: Samples after which a waveform is cut.
        limit: Bytes that the waveforms may take.
    """

    def __init__(self, rate: int, limits: AudioLimits, longest: int, limit: int) -> None:
        self._rate, self._limits, self._longest = rate, limits, longest
        self._waves: Kept[Wave] = Kept(limit, lambda wave: wave.nbytes)
        self._keys: dict[Hashable, tuple[str, int]] = {}
        self._lock = threading.Lock()

    def read(self, handle: Handle) -> Wave:
        """Return what is heard of a clip, (samples,), not cut; see `read_audio`.

        Raises:
            TempoError: The clip cannot be used; see `read_audio`.
        """
        name = content_of(handle)
        if name[1] is None:  # nothing tells whether the file is still the same
            return read_audio(handle, self._rate, self._limits)
        with self._lock:
            wave = self._waves.get(name)
        if wave is None:
            plain: Handle = {**handle, "silence": False, "reversed": False}
            wave = read_audio(plain, self._rate, self._limits)
            digest = hashlib.sha256(wave.tobytes()).hexdigest()
            with self._lock:
                self._waves.put(name, wave)
                self._keys[name] = digest, len(wave)
        return as_heard(wave, handle)

    def heard(self, handle: Handle) -> Wave:
        """Return what the model hears of a clip: no more than its window."""
        return self.read(handle)[: self._longest]

    def key(self, handle: Handle) -> Hashable:
        """Return what is equal for two handles of which the model hears the same.

        Silence of one length is the same for all clips.
        """
        name = content_of(handle)
        if name[1] is None:
            wave = self.heard(handle)
            return hashlib.sha256(wave.tobytes()).hexdigest(), len(wave)
        if name not in self._keys:
            self.read(handle)
        digest, length = self._keys[name]
        if is_silenced(handle):
            return "silence", min(length, self._longest)
        return digest, is_reversed(handle)

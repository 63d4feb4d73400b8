"""Waveforms that are kept between batches because they will be needed again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Hashable

from tempo_attn.runtime.kept import Kept
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

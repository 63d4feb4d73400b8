"""Hearing every recording once: what it holds, where it sounds, and what is wrong with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]

from tempo_tasks.audio.decode import decode
from tempo_tasks.audio.refusals import DEFAULT_LIMITS
from tempo_tasks.errors import TempoError
from tempo_tasks.sources.recorded.envelope import (
    FRAME,
    Trim,
    Wave,
    joined,
    levels,
    loudest,
    runs,
    sounding,
)

SHORTEST = 0.2  # seconds of a recording
_SILENCE = -70.0  # dB: the loudest 50 ms of a recording without sound
# Full scale of 16 bits, less half a step: three such samples in a row were cut off there.
_FULL, _IN_A_ROW, _CLIPPED_SHARE = 1 - 1.5 / 32768, 3, 1e-3
_CAP = 127.0  # dB below the loudest that an envelope tells apart


@dataclass(frozen=True, slots=True)
class Burst:
    """A span of a recording in which it sounds.

    Attributes:
        first: Its first frame in the recording (frames of 10 ms).
        envelope: Level of each frame in whole dB below its loudest 50 ms, one byte a frame.
    """

    first: int
    envelope: bytes

    @property
    def frames(self) -> int:
        """Its length in frames."""
        return len(self.envelope)

    def audible(self, depth: float, join: float) -> tuple[int, int]:
        """Return the part around the loudest frame that is not further than `depth` dB below it.

        Args:
            depth: In dB.
            join: Pauses shorter than this, in seconds, do not end it.

        Returns:
            First frame and the one after the last, counted in the burst.
        """
        below: npt.NDArray[np.uint8] = np.frombuffer(self.envelope, dtype=np.uint8)
        top = int(below.argmin())
        spans = joined(runs(below <= max(depth, float(below[top]))), join)
        return next((start, end) for start, end in spans if start <= top < end)


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording that was heard.

    Attributes:
        name: As in `Recording`.
        sha256: Of the file.
        sound: SHA-256 of what was decoded: the same for copies in another container.
        seconds: Its length.
        form: How it sounds; empty with a fault.
        bursts: Where it sounds.
        fault: What is wrong with it; empty where nothing is.
    """

    name: str
    sha256: str
    sound: str = ""
    seconds: float = 0.0
    form: str = ""
    bursts: tuple[Burst, ...] = ()
    fault: str = ""


def listen(path: Path, name: str, rate: int, trim: Trim) -> Heard:
    """Decode a recording, check it, and find where it sounds; what is wrong stands in `fault`.

    Args:
        path: The file.
        name: What it is called in messages.
        rate: The rate at which scenes are rendered, Hz.
        trim: Parameters of trimming.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        return Heard(name, "", fault=f"cannot be read ({error.strerror})")
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        wave, own_rate = decode(Path(name), content, DEFAULT_LIMITS)
    except TempoError as error:
        return Heard(name, sha256, fault=str(error).removeprefix(f"{name}: "))
    seconds = len(wave) / own_rate
    fault = ""
    if seconds < SHORTEST:
        fault = f"{seconds:.3f} s; expected at least {SHORTEST:g} s"
    elif clipped_share(wave) > _CLIPPED_SHARE:
        fault = f"clipped: {100 * clipped_share(wave):.1f} % of its samples are cut off at the top"
    sound = hashlib.sha256(wave.tobytes()).hexdigest()
    if fault:
        return Heard(name, sha256, sound, seconds, fault=fault)
    level = levels(resampled(wave, own_rate, rate), rate)
    if loudest(level) < _SILENCE:
        return Heard(name, sha256, sound, seconds, fault="without sound")
    form, spans = sounding(level, trim)
    return Heard(
        name,
        sha256,
        sound,
        seconds,
        form.value,
        tuple(_burst(level[start:end], start) for start, end in spans),
    )


def resampled(wave: npt.NDArray[np.float32], own_rate: int, rate: int) -> Wave:
    """Return a waveform, (samples,), at another rate."""
    if own_rate == rate:
        return wave
    return np.asarray(soxr.resample(wave, own_rate, rate, quality="HQ"), dtype=np.float32)


def clipped_share(wave: npt.NDArray[np.float32]) -> float:
    """Return the share of samples that stand at full scale, three or more in a row."""
    at_top = np.abs(wave) >= _FULL
    if not at_top.any():
        return 0.0
    return sum(e - s for s, e in runs(at_top) if e - s >= _IN_A_ROW) / len(wave)


def _burst(level: npt.NDArray[np.float64], first: int) -> Burst:
    top = loudest(level)
    below = np.clip(np.round(top - level), 0, _CAP).astype(np.uint8)
    return Burst(first, below.tobytes())


def frame_samples(frame: int, rate: int) -> int:
    """Return the sample at which a frame begins."""
    return frame * round(FRAME * rate)

"""Where a recording sounds: an energy envelope with two thresholds (hysteresis).

The envelope is the RMS of frames of 10 ms. A span of sound is a stretch above the lower threshold
that reaches the higher one; pauses shorter than `join` do not end it. Thresholds lie so many dB
below the loudest 50 ms, and never less than a few dB above the recording's own noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

FRAME = 0.01  # seconds
_LOUDEST = 5  # frames: 50 ms
_FLOOR = 10  # percent of frames that are taken for the recording's own noise
_FLATNESS = 20.0  # dB: a recording whose noise is not further below has no silence in it
_STEADY = 8.0  # dB: the median of what sounds throughout is not further below the loudest
_OPEN_ABOVE, _CLOSE_ABOVE = 10.0, 6.0  # dB above the noise
SILENT = -200.0  # dB

Wave = npt.NDArray[np.float32]
Decibels = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trim:
    """Parameters of trimming.

    Attributes:
        opens: A span must reach this level, in dB below the loudest 50 ms.
        closes: It lasts while the level is above this one, in dB below the loudest 50 ms.
        join: Pauses shorter than this, in seconds, belong to a span.
        shortest: Shorter spans, in seconds, are no event.
    """

    opens: float = 20.0
    closes: float = 30.0
    join: float = 0.25
    shortest: float = 0.1

    def as_json(self) -> dict[str, Any]:
        """Return what a manifest records."""
        return {**asdict(self), "frame": FRAME, "floor_percentile": _FLOOR}


class Form(str, Enum):
    """How a recording sounds."""

    ONE = "one burst"
    SEVERAL = "several bursts"
    THROUGHOUT = "throughout"
    UNCLEAR = "no clear burst"


def levels(wave: Wave, rate: int) -> Decibels:
    """Return the level of each frame in dB (0 is an RMS of 1); the last, partial one is left out.

    Args:
        wave: Waveform, (samples,).
        rate: In Hz.
    """
    size = round(FRAME * rate)
    frames = wave[: len(wave) // size * size].reshape(-1, size).astype(np.float64)
    return np.asarray(10 * np.log10(np.maximum((frames**2).mean(axis=1), 10 ** (SILENT / 10))))


def loudest(level: Decibels) -> float:
    """Return the level of the loudest 50 ms in dB."""
    power = 10 ** (level / 10)
    width = min(_LOUDEST, len(power))
    means = np.convolve(power, np.ones(width) / width, mode="valid")
    return float(10 * np.log10(means.max()))


def sounding(level: Decibels, trim: Trim) -> tuple[Form, list[tuple[int, int]]]:
    """Return how a recording sounds, and its spans of sound as (first frame, frame after the last).

    Spans shorter than `trim.shortest` are left out; a recording may so have none.
    """
    top = loudest(level)
    noise = float(np.percentile(level, _FLOOR))
    if top - noise < _FLATNESS:
        if top - float(np.median(level)) > _STEADY:
            return Form.UNCLEAR, []
        return Form.THROUGHOUT, [(0, len(level))]
    close = max(top - trim.closes, noise + _CLOSE_ABOVE)
    opened = max(top - trim.opens, noise + _OPEN_ABOVE)
    spans = joined(runs(level >= close), trim.join)
    kept = [
        (start, end)
        for start, end in spans
        if level[start:end].max() >= opened and (end - start) * FRAME >= trim.shortest - 1e-9
    ]
    form = Form.ONE if len(kept) == 1 else Form.SEVERAL if kept else Form.UNCLEAR
    return form, kept


def runs(above: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the stretches of true frames as (first, after the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], above.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def joined(spans: Sequence[tuple[int, int]], pause: float) -> list[tuple[int, int]]:
    """Return spans of which those with a shorter pause (seconds) between them became one."""
    found: list[tuple[int, int]] = []
    for start, end in spans:
        if found and (start - found[-1][1]) * FRAME < pause - 1e-9:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found

"""Windows over a clip's audio positions, and how each of them fits an event's true intervals.

A window is `width` neighbouring audio positions; one that starts at position s lasts from s / rate
to (s + width) / rate seconds. A clip of n positions has n - width + 1 of them: so few that what a
window chosen at random gets is no estimate but the mean over all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tempo_attn.statistics import Array

Seconds = Sequence[Sequence[float]]
"""An event's intervals, pairs (start, end) in seconds."""


def longest(intervals: Seconds) -> float:
    """Return the length of the longest interval, in seconds."""
    return max(end - start for start, end in intervals)


def width_of(seconds: float, rate: float, n_positions: int) -> int:
    """Return how many positions a window of some seconds is: one at least, the clip's at most."""
    # The nearest number; a plain `round` goes to even ones, so that halves would not be alike.
    return min(n_positions, max(1, math.floor(seconds * rate + 0.5)))


@dataclass(frozen=True)
class Windows:
    """All windows of one width over a clip, against an event.

    Attributes:
        intervals: When the event sounds.
        rate: Audio positions a second.
        n_positions: Audio positions in the clip's time.
        width: Positions of a window.
    """

    intervals: Seconds
    rate: float
    n_positions: int
    width: int

    @property
    def count(self) -> int:
        """How many windows there are."""
        return self.n_positions - self.width + 1

    @cached_property
    def iou(self) -> Array:
        """Intersection over union with the interval that each window fits best, (windows,)."""
        starts, ends, onsets, offsets = self._ends()
        shared = np.clip(np.minimum(ends, offsets) - np.maximum(starts, onsets), 0.0, None)
        either = (ends - starts) + (offsets - onsets) - shared
        best: Array = (shared / either).max(1)
        return best

    @cached_property
    def hit(self) -> Array:
        """Whether a window's centre lies in an interval, (windows,), 0 or 1."""
        centres, onsets, offsets = self._centres()
        inside: Array = ((onsets <= centres) & (centres <= offsets)).any(1).astype(float)
        return inside

    @cached_property
    def error(self) -> Array:
        """Seconds from a window's centre to that of the nearest interval, (windows,)."""
        centres, onsets, offsets = self._centres()
        nearest: Array = np.abs(centres - (onsets + offsets) / 2).min(1)
        return nearest

    def _ends(self) -> tuple[Array, Array, Array, Array]:
        starts = np.arange(self.count)[:, None] / self.rate
        ends = (np.arange(self.count)[:, None] + self.width) / self.rate
        onsets, offsets = np.asarray(self.intervals, dtype=float).T
        return starts, ends, onsets, offsets

    def _centres(self) -> tuple[Array, Array, Array]:
        starts, ends, onsets, offsets = self._ends()
        return (starts + ends) / 2, onsets, offsets


def highest(profiles: Array, width: int) -> tuple[Array, Array]:
    """Return where the window with the highest sum begins, and the sum.

    Args:
        profiles: Attention on each position, (..., positions).
        width: Positions of a window.

    Returns:
        Starts, (...,), -1 where all windows are alike (a head that sees no audio, or a clip of one
        window), so that no place is preferred; of equal ones the first. And the sums, (...,).
    """
    total = np.concatenate(
        [np.zeros((*profiles.shape[:-1], 1)), np.cumsum(profiles, -1, dtype=float)], -1
    )
    sums = total[..., width:] - total[..., :-width]
    starts = sums.argmax(-1)
    most = sums.max(-1)
    starts[np.ptp(profiles, axis=-1) == 0] = -1
    return starts, most

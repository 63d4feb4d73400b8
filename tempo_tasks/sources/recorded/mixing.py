"""Rendering a scene: recordings cut or heard again to fill their intervals, over a background."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tempo_tasks.sources.recorded.envelope import FRAME, levels, loudest
from tempo_tasks.sources.recorded.listening import frame_samples
from tempo_tasks.sources.recorded.scenes import RecordedScene, Source

Mix = npt.NDArray[np.float64]
_FADE = 0.004  # seconds: no click where a recording is cut
_SHORTEST_PAUSE = 0.03  # seconds between two hearings of a recording
PEAK = 0.5  # of full scale


def copies(wanted: int, length: int, join: int, shortest: int) -> list[tuple[int, int]]:
    """Return where a recording is heard in an interval, as (start, samples): exactly filling it.

    It is cut where it is longer. Where it is shorter it is heard again, whole if the pauses then
    are between `shortest` and `join`, else each time cut to the same length.

    Args:
        wanted: Samples of the interval.
        length: Samples of the recording.
        join: Pauses are shorter than this: they do not end the event.
        shortest: Pauses are no shorter than this.
    """
    if length >= wanted:
        return [(0, wanted)]
    # The fewest with which pauses are short enough.
    count = max(2, -((wanted + join - 1) // -(length + join - 1)))
    size = min(length, (wanted - (count - 1) * shortest) // count)
    starts = np.linspace(0, wanted - size, count).round().astype(int)
    return [(int(start), size) for start in starts]


def render(
    scene: RecordedScene,
    rate: int,
    seconds: float,
    join: float,
    wave_of: Callable[[Source], npt.NDArray[np.float32]],
    background: Mix,
) -> Mix:
    """Render a scene.

    Args:
        scene: The scene.
        rate: In Hz.
        seconds: Length of the clip.
        join: Pauses shorter than this, in seconds, do not end an event.
        wave_of: Returns the part of a recording that a source names, (samples,).
        background: What sounds throughout, at an RMS of 1 or all zeros, (samples,).

    Returns:
        Mono waveform, (samples,), within [-1, 1].
    """
    mix = background.copy()
    for event, source in zip(scene.clip.events, scene.sources, strict=True):
        wave = wave_of(source)
        for start, end in event.intervals:
            begin, stop = round(start * rate), round(end * rate)
            pauses = round(join * rate), round(_SHORTEST_PAUSE * rate)
            for at, size in copies(stop - begin, len(wave), *pauses):
                gain = 10 ** ((source.over - loudest(levels(wave[:size], rate))) / 20)
                mix[begin + at : begin + at + size] += gain * faded(wave[:size], rate)
    peak = float(np.abs(mix).max())
    return mix * (PEAK / peak) if peak > 0 else mix


def faded(wave: npt.NDArray[np.float32], rate: int) -> Mix:
    """Return a waveform that begins and ends at zero."""
    faded = wave.astype(np.float64)
    fade = min(round(_FADE * rate), len(wave) // 2)
    ramp = np.linspace(0.0, 1.0, fade, endpoint=False)
    faded[:fade] *= ramp
    faded[len(wave) - fade :] *= ramp[::-1]
    return faded


def part(wave: npt.NDArray[np.float32], source: Source, rate: int) -> npt.NDArray[np.float32]:
    """Return the part of a recording that a source names, of its whole waveform at `rate` Hz."""
    first = frame_samples(source.first, rate)
    return wave[first : first + frame_samples(source.frames, rate)]


def span_of(source: Source) -> tuple[float, float]:
    """Return the part of the recording that is used, in seconds."""
    return round(source.first * FRAME, 2), round((source.first + source.frames) * FRAME, 2)

"""What sounds behind the events: nothing, noise of a colour, or a stretch of a recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tempo_tasks.errors import DataUnavailableError
from tempo_tasks.sources.recorded.layouts import AUDIO_SUFFIXES
from tempo_tasks.sources.synth.scene import seeded

# Amplitude falls as frequency to this power.
COLOURS = {"white": 0.0, "pink": 0.5, "brown": 1.0}
KINDS = ("none", *COLOURS)
_LOWEST = 20.0  # Hz: below, noise does not rise any more

Samples = npt.NDArray[np.float64]


def find_backgrounds(folder: Path) -> dict[str, Path]:
    """Return the audio files of a folder, by their path in it.

    Raises:
        DataUnavailableError: There is no such folder, or no audio in it.
    """
    found = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix.lower() in AUDIO_SUFFIXES
    }
    if not found:
        raise DataUnavailableError(
            f"--background {folder}: expected {', '.join(KINDS)}, or a folder with audio "
            f"({', '.join(AUDIO_SUFFIXES)}); found none"
        )
    return found


def noise(colour: str, name: str, samples: int, rate: int) -> Samples:
    """Return noise of a colour at an RMS of 1, drawn from a name, (samples,)."""
    spectrum = np.fft.rfft(seeded(f"{name}/background").standard_normal(samples))
    hertz = np.fft.rfftfreq(samples, 1 / rate)
    return at_one(np.fft.irfft(spectrum / np.maximum(hertz, _LOWEST) ** COLOURS[colour], samples))


def choose(names: Sequence[str], name: str) -> str:
    """Return which recording is behind a scene, drawn from the background's name."""
    return names[seeded(f"{name}/background").randint(len(names))]


def stretch(wave: npt.NDArray[np.float32], name: str, samples: int) -> Samples:
    """Return a stretch of a recording at an RMS of 1, drawn from a name, (samples,)."""
    start = int(seeded(f"{name}/stretch").randint(len(wave) - samples + 1))
    return at_one(wave[start : start + samples].astype(np.float64))


def at_one(wave: Samples) -> Samples:
    """Return a waveform at an RMS of 1; silence stays silence."""
    rms = float(np.sqrt((wave**2).mean()))
    return np.asarray(wave / rms) if rms > 0 else wave


def behind(
    kind: str,
    name: str,
    samples: int,
    rate: int,
    recordings: Sequence[str],
    wave_of: Callable[[str], npt.NDArray[np.float32]],
) -> Samples:
    """Return the background of a scene, (samples,).

    Args:
        kind: `none`, a colour, or `folder`.
        name: What it is drawn from.
        samples: Length.
        rate: In Hz.
        recordings: With `folder`, the names of what there is.
        wave_of: With `folder`, returns the waveform of one at `rate`.
    """
    if kind == "none":
        return np.zeros(samples)
    if kind in COLOURS:
        return noise(kind, name, samples, rate)
    return stretch(wave_of(choose(recordings, name)), name, samples)

"""Scenes: events placed in ten seconds, with overlaps, repeats, levels and background noise.

A scene is drawn from its name alone (`tempo-synth-<version>/<split>/<number>`), so splits are
disjoint by seed and any scene can be rendered without the others. Placement does not look at the
label: none is first, last or longest more often than by chance.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile

from tempo_tasks.questions.events import Clip, Event, Interval
from tempo_tasks.questions.questions import Kind, right_event
from tempo_tasks.sources.synth.sounds import LABELS, RATE, Wave, synthesise

SCENE_SECONDS = 10.0
SCENE_VERSION = "1"  # raise it with ANY change to what is drawn or rendered
MARGIN = 1.0  # seconds; every scene has a right answer to all three questions at this margin

_N_EVENTS = (3, 4, 5)
_N_INTERVALS = (1, 1, 1, 2, 2, 3)
_GRID = 0.01  # seconds: intervals are whole centiseconds, so they survive any text format
_SHORTEST, _LONGEST = 0.6, 8.0  # seconds of one interval, of which half the clip is a limit too
_GAP = 0.3  # seconds between two intervals of one event


@dataclass(frozen=True, slots=True)
class Difficulty:
    """How well events stand out.

    Attributes:
        levels: Range of an event's level, in dB below the loudest possible.
        background: Range of the noise's level, in dB on the same scale.
    """

    levels: tuple[float, float]
    background: tuple[float, float]


# The embedded model learns from clear scenes; every other split has quieter events in louder noise,
# so that its scores leave errors to study.
_CLEAR = Difficulty(levels=(-18.0, 0.0), background=(-38.0, -22.0))
NOISY = Difficulty(levels=(-25.0, 0.0), background=(-28.0, -14.0))
TRAIN_SPLIT = "train"


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens in a rendered clip.

    Attributes:
        name: What it was drawn from.
        clip: Events with exact intervals (seconds).
        levels: Level of each event of `clip.events`, in dB.
        background: Level of the background noise, in dB.
    """

    name: str
    clip: Clip
    levels: tuple[float, ...]
    background: float


def seeded(name: str) -> np.random.RandomState:
    """Return a random state drawn from a name (NumPy freezes RandomState's stream)."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype="<u4").astype(np.uint32))


def scene_name(split: str, number: int) -> str:
    """Return the name of scene `number` of a split."""
    return f"tempo-synth-{SCENE_VERSION}/{split}/{number:05d}"


def draw_scene(name: str) -> Scene:
    """Draw the scene of that name: 3-5 events with a right answer for EO, LO and LD."""
    rng = seeded(name)
    difficulty = _CLEAR if name.split("/")[1] == TRAIN_SPLIT else NOISY
    while True:
        count = _N_EVENTS[rng.randint(0, len(_N_EVENTS))]
        labels = [LABELS[i] for i in rng.permutation(len(LABELS))[:count]]
        clip = Clip(name, tuple(Event(label, draw_intervals(rng)) for label in labels))
        levels = tuple(float(rng.uniform(*difficulty.levels)) for _ in clip.events)
        background = float(rng.uniform(*difficulty.background))
        if all(right_event(clip, kind, MARGIN) for kind in Kind):
            return Scene(name, clip, levels, background)


def draw_intervals(
    rng: np.random.RandomState, wanted: int | None = None, *, seconds: float = SCENE_SECONDS
) -> tuple[Interval, ...]:
    """Draw one to three disjoint intervals of an event.

    Args:
        rng: The source of chance.
        wanted: How many to try for, fewer where they do not fit; default: drawn, from 1 to 3.
        seconds: Length of the clip.
    """
    if wanted is None:
        # `rng.choice` draws this very number too, in three times the time.
        wanted = _N_INTERVALS[rng.randint(0, len(_N_INTERVALS))]
    steps = round(seconds / _GRID)
    longest = min(seconds / 2, _LONGEST)
    gap = round(_GAP / _GRID)
    lengths = (np.log(_SHORTEST), np.log(longest))
    chosen: list[tuple[int, int]] = []
    for _ in range(wanted):
        length = np.exp(rng.uniform(*lengths))
        if wanted > 1:
            length = max(_SHORTEST, length / wanted)
        size = round(length / _GRID)
        start = int(rng.randint(0, steps - size + 1))
        if all(start >= end + gap or start + size + gap <= begin for begin, end in chosen):
            chosen.append((start, start + size))
    return tuple((round(begin * _GRID, 2), round(end * _GRID, 2)) for begin, end in sorted(chosen))


def render(scene: Scene) -> Wave:
    """Render a scene.

    Returns:
        Mono waveform at 16 kHz, (samples,), within [-1, 1].
    """
    rng = seeded(scene.name + "/audio")
    mix = _background(rng) * 10 ** (scene.background / 20)
    for event, level in zip(scene.clip.events, scene.levels, strict=True):
        for start, end in event.intervals:
            first, last = round(start * RATE), round(end * RATE)
            mix[first:last] += synthesise(event.label, last - first, rng) * 10 ** (level / 20)
    return np.asarray(0.5 * mix / np.abs(mix).max())


def _background(rng: np.random.RandomState) -> Wave:
    """Pink-like noise at RMS 1: white noise weighted by 1/sqrt(frequency)."""
    n = int(SCENE_SECONDS * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    weights = 1 / np.sqrt(np.maximum(np.arange(spectrum.size), 30))
    noise = np.fft.irfft(spectrum * weights, n)
    return np.asarray(noise / np.sqrt((noise**2).mean()))


def pcm16(wave: Wave) -> npt.NDArray[np.int16]:
    """Quantise a waveform within [-1, 1] to 16 bits."""
    return np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16)


def wav_bytes(wave: Wave) -> bytes:
    """Encode a waveform as 16-bit PCM WAV."""
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm16(wave), RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()

"""Twenty synthetic sound events.

Each class is a function (n samples, random state) -> waveform that fills its n samples: it sounds
from the first to the last one, so the interval it is placed in is exact. Impulsive classes
(footsteps, ticks) space their strokes so that the first begins at 0 and the last ends at n.

Only `numpy.random.RandomState` draws are used: NumPy guarantees its stream for ever.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

RATE = 16_000  # Hz
Wave = npt.NDArray[np.float64]
Synth = Callable[[int, np.random.RandomState], Wave]

_SYNTHS: dict[str, Synth] = {}
_FADE = 0.008  # seconds; shorter clicks, longer blurs onsets
_LEVEL_WINDOW = 0.05  # seconds


def _sound(label: str) -> Callable[[Synth], Synth]:
    def register(function: Synth) -> Synth:
        _SYNTHS[label] = function
        return function

    return register


def synthesise(label: str, n: int, rng: np.random.RandomState) -> Wave:
    """Return `n` samples of a class at 16 kHz, its loudest 50 ms at RMS 1, faded at both ends."""
    wave = _SYNTHS[label](n, rng)
    window = int(_LEVEL_WINDOW * RATE)
    frames = wave[: max(1, n // window) * window].reshape(-1, min(window, n))
    wave = wave / (np.sqrt((frames**2).mean(axis=1)).max() + 1e-9)
    fade = min(int(_FADE * RATE), n // 2)
    ramp = np.linspace(0.0, 1.0, fade)
    wave[:fade] *= ramp
    wave[n - fade :] *= ramp[::-1]
    return np.asarray(wave, dtype=np.float64)


def _time(n: int) -> Wave:
    return np.arange(n) / RATE


def _tone(frequency: Wave | float, n: int) -> Wave:
    """Sine whose frequency (Hz) may change from sample to sample."""
    return np.asarray(np.sin(2 * np.pi * np.cumsum(np.broadcast_to(frequency, n)) / RATE))


def _harmonics(frequency: Wave | float, n: int, weights: list[float]) -> Wave:
    return np.asarray(
        sum(w * _tone(np.asarray(frequency) * (k + 1), n) for k, w in enumerate(weights))
    )


def _noise(n: int, rng: np.random.RandomState, low: float, high: float) -> Wave:
    """White noise in a band (Hz)."""
    from scipy import signal  # takes most of a second to import; rendered scenes are kept

    sos = signal.butter(2, [low, min(high, 0.49 * RATE)], "bandpass", fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(sos, rng.standard_normal(n)))


def _strokes(n: int, stroke: Callable[[int], Wave], length: float, period: float) -> Wave:
    """Repeat a stroke about every `period` seconds, the first at 0, the last ending at n."""
    size = min(int(length * RATE), n)
    count = max(2, round((n - size) / (period * RATE)) + 1) if n > size else 1
    wave = np.zeros(n)
    for start in np.linspace(0, n - size, count).astype(int):
        wave[start : start + size] += stroke(size)
    return wave


def _decay(n: int, seconds: float) -> Wave:
    return np.asarray(np.exp(-_time(n) / seconds))


@_sound("Siren")
def _siren(n: int, rng: np.random.RandomState) -> Wave:
    rate, phase = rng.uniform(0.35, 0.6), rng.uniform(0, 2 * np.pi)
    return _harmonics(900 + 350 * np.sin(2 * np.pi * rate * _time(n) + phase), n, [1.0, 0.4, 0.2])


@_sound("Dog Barking")
def _dog(n: int, rng: np.random.RandomState) -> Wave:
    pitch = rng.uniform(380, 520)

    def bark(size: int) -> Wave:
        t = np.linspace(0, 1, size)
        voice = _harmonics(pitch * (1.25 - 0.5 * t), size, [1.0, 0.8, 0.6, 0.4, 0.2])
        return (voice + 0.4 * _noise(size, rng, 600, 2500)) * np.sin(np.pi * t) ** 0.7

    return _strokes(n, bark, 0.18, rng.uniform(0.38, 0.5))


@_sound("Bird Chirp")
def _bird(n: int, rng: np.random.RandomState) -> Wave:
    base = rng.uniform(3200, 3800)

    def chirp(size: int) -> Wave:
        t = np.linspace(0, 1, size)
        swept: Wave = _tone(base + 1500 * t, size) * np.sin(np.pi * t)
        return swept

    return _strokes(n, chirp, 0.09, rng.uniform(0.15, 0.2))


@_sound("Church Bell")
def _bell(n: int, rng: np.random.RandomState) -> Wave:
    pitch = rng.uniform(480, 560)

    def strike(size: int) -> Wave:
        partials = [(0.5, 0.5), (1.0, 1.0), (1.2, 0.7), (1.5, 0.5), (2.0, 0.6), (2.7, 0.3)]
        total = sum(a * _tone(pitch * r, size) for r, a in partials)
        return np.asarray(total) * _decay(size, 0.45)

    return _strokes(n, strike, 0.85, 0.85)


@_sound("Phone Ringing")
def _phone(n: int, rng: np.random.RandomState) -> Wave:
    pitch = rng.uniform(1350, 1500)
    gate = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 12 * _time(n)))
    ringing: Wave = (_tone(pitch, n) * gate + _tone(pitch * 1.26, n) * (1 - gate)) * 0.8
    return ringing


@_sound("Engine Idling")
def _engine(n: int, rng: np.random.RandomState) -> Wave:
    pitch = rng.uniform(48, 64) * (1 + 0.03 * np.sin(2 * np.pi * 1.3 * _time(n)))
    return _harmonics(pitch, n, [1.0, 0.9, 0.8, 0.7, 0.6, 0.4, 0.3]) + _noise(n, rng, 60, 300)


@_sound("Rain")
def _rain(n: int, rng: np.random.RandomState) -> Wave:
    drops = rng.standard_normal(n) * (rng.random_sample(n) < 0.004) * 6
    return _noise(n, rng, 2500, 7800) + _noise(n, rng, 400, 1200) * 0.2 + drops


@_sound("Wind")
def _wind(n: int, rng: np.random.RandomState) -> Wave:
    gust = 0.65 + 0.35 * np.sin(2 * np.pi * rng.uniform(0.3, 0.6) * _time(n) + rng.uniform(0, 6))
    return _noise(n, rng, 120, 550) * gust


@_sound("Footsteps")
def _footsteps(n: int, rng: np.random.RandomState) -> Wave:
    def step(size: int) -> Wave:
        thud = _tone(rng.uniform(85, 100), size) * _decay(size, 0.03)
        return thud + 0.25 * _noise(size, rng, 900, 2200) * _decay(size, 0.015)

    return _strokes(n, step, 0.12, rng.uniform(0.42, 0.52))


@_sound("Clock Ticking")
def _clock(n: int, rng: np.random.RandomState) -> Wave:
    pitch = rng.uniform(2400, 2900)

    def tick(size: int) -> Wave:
        return _tone(pitch, size) * _decay(size, 0.008)

    return _strokes(n, tick, 0.05, 0.25)


@_sound("Electronic Beep")
def _beep(n: int, rng: np.random.RandomState) -> Wave:
    pitch = rng.uniform(1900, 2150)

    def beep(size: int) -> Wave:
        return _tone(pitch, size)

    return _strokes(n, beep, 0.16, 0.32)


@_sound("Piano")
def _piano(n: int, rng: np.random.RandomState) -> Wave:
    def note(size: int) -> Wave:
        pitch = 261.6 * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 12]) / 12)
        return _harmonics(pitch, size, [1.0, 0.6, 0.35, 0.2, 0.1]) * _decay(size, 0.22)

    return _strokes(n, note, 0.4, 0.3)


@_sound("Crickets")
def _crickets(n: int, rng: np.random.RandomState) -> Wave:
    pulses: Wave = np.clip(np.sin(2 * np.pi * 32 * _time(n)), 0, 1)
    return _tone(rng.uniform(4600, 5200), n) * pulses


@_sound("Hammering")
def _hammer(n: int, rng: np.random.RandomState) -> Wave:
    pitch = rng.uniform(700, 850)

    def blow(size: int) -> Wave:
        ring = _tone(pitch, size) + 0.7 * _tone(pitch * 2.3, size) + 0.5 * _tone(pitch * 3.9, size)
        return ring * _decay(size, 0.05) + _noise(size, rng, 300, 6000) * _decay(size, 0.01)

    return _strokes(n, blow, 0.25, rng.uniform(0.55, 0.7))


@_sound("Whistle")
def _whistle(n: int, rng: np.random.RandomState) -> Wave:
    vibrato = 1 + 0.03 * np.sin(2 * np.pi * 6 * _time(n))
    return _tone(rng.uniform(2900, 3200) * vibrato, n) + 0.1 * _noise(n, rng, 2000, 4500)


@_sound("Frog Croaking")
def _frog(n: int, rng: np.random.RandomState) -> Wave:
    def croak(size: int) -> Wave:
        pulses: Wave = np.clip(np.sin(2 * np.pi * 45 * _time(size)), 0, 1) ** 2
        voice = _harmonics(rng.uniform(190, 230), size, [0.5, 0.7, 1.0, 0.8, 0.4])
        envelope: Wave = np.sin(np.pi * np.linspace(0, 1, size)) ** 0.5
        return voice * pulses * envelope

    return _strokes(n, croak, 0.32, rng.uniform(0.5, 0.6))


@_sound("Car Horn")
def _horn(n: int, rng: np.random.RandomState) -> Wave:
    pitch = rng.uniform(390, 430)
    weights = [1.0, 0.9, 0.8, 0.6, 0.5, 0.4, 0.3]
    return _harmonics(pitch, n, weights) + _harmonics(pitch * 1.25, n, weights)


@_sound("Water Bubbling")
def _bubbles(n: int, rng: np.random.RandomState) -> Wave:
    def bubble(size: int) -> Wave:
        t = np.linspace(0, 1, size)
        start = rng.uniform(350, 900)
        envelope: Wave = np.sin(np.pi * t) ** 2
        return _tone(start * (1 + 0.9 * t), size) * envelope

    return _strokes(n, bubble, 0.07, 0.06)


@_sound("Keyboard Typing")
def _keyboard(n: int, rng: np.random.RandomState) -> Wave:
    def key(size: int) -> Wave:
        click = _noise(size, rng, 1200, 7500) * _decay(size, 0.006)
        return rng.uniform(0.5, 1.0) * click

    return _strokes(n, key, 0.04, 0.11)


@_sound("Vacuum Cleaner")
def _vacuum(n: int, rng: np.random.RandomState) -> Wave:
    pitch = rng.uniform(215, 250)
    return 0.5 * _harmonics(pitch, n, [1.0, 0.5, 0.5, 0.3]) + _noise(n, rng, 700, 2400)


LABELS = tuple(sorted(_SYNTHS))

"""Where a recording sounds, on waveforms whose envelope is known."""

import numpy as np
import pytest

from tempo_tasks.sources.recorded.envelope import (
    FRAME,
    Form,
    Trim,
    joined,
    levels,
    loudest,
    runs,
    sounding,
)

RATE = 16_000
TRIM = Trim()


def bursts(*spans, seconds=4.0, noise=0.0, level=0.5):
    """White noise in spans (seconds), over white noise."""
    rng = np.random.RandomState(0)
    wave = noise * rng.standard_normal(round(seconds * RATE))
    for start, end in spans:
        first, last = round(start * RATE), round(end * RATE)
        wave[first:last] += level * rng.standard_normal(last - first)
    return wave.astype(np.float32)


def found(wave, trim=TRIM):
    form, spans = sounding(levels(wave, RATE), trim)
    return form, [(round(start * FRAME, 2), round(end * FRAME, 2)) for start, end in spans]


@pytest.mark.parametrize("noise", [0.0, 0.005, 0.02])
def test_one_burst_is_found_to_a_frame(noise):
    assert found(bursts((0.73, 2.1), noise=noise)) == (Form.ONE, [(0.73, 2.1)])


def test_long_pauses_part_bursts_and_short_ones_do_not():
    apart = found(bursts((0.5, 1.0), (1.3, 2.0), noise=0.005))
    assert apart == (Form.SEVERAL, [(0.5, 1.0), (1.3, 2.0)])
    assert found(bursts((0.5, 1.0), (1.2, 2.0), noise=0.005)) == (Form.ONE, [(0.5, 2.0)])


def test_what_sounds_throughout_is_taken_whole():
    assert found(bursts((0.0, 4.0))) == (Form.THROUGHOUT, [(0.0, 4.0)])


def test_a_burst_that_hardly_rises_above_its_noise_is_unclear():
    assert found(bursts((1.0, 2.0), noise=0.1)) == (Form.UNCLEAR, [])


def test_a_click_is_no_event():
    assert found(bursts((1.0, 1.05), noise=0.001)) == (Form.UNCLEAR, [])


def test_a_faint_stretch_counts_only_beside_a_loud_one():
    """Hysteresis: 25 dB under the loudest is above the lower threshold only."""
    wave = bursts((1.0, 1.5)) + bursts((1.5, 2.0), (3.0, 3.5), level=0.5 * 10 ** (-25 / 20))
    assert found(wave) == (Form.ONE, [(1.0, 2.0)])
    assert found(wave, Trim(closes=22)) == (Form.ONE, [(1.0, 1.5)])


def test_levels_are_decibels_of_the_rms():
    wave = np.full(RATE, 0.1, dtype=np.float32)
    assert levels(wave, RATE) == pytest.approx(np.full(100, -20.0), abs=1e-4)
    assert loudest(levels(wave, RATE)) == pytest.approx(-20.0, abs=1e-4)


def test_runs_and_joined():
    assert runs(np.array([0, 1, 1, 0, 1], dtype=bool)) == [(1, 3), (4, 5)]
    assert runs(np.zeros(3, dtype=bool)) == []
    assert joined([(0, 10), (30, 40), (65, 70)], 0.25) == [(0, 40), (65, 70)]

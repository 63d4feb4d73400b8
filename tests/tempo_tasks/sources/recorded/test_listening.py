"""Recordings heard once: what is wrong with them, and what stays audible of them."""

import numpy as np
import pytest
import soundfile

from tempo_tasks.sources.recorded.envelope import FRAME, Trim
from tempo_tasks.sources.recorded.listening import Burst, clipped_share, listen
from tempo_tasks.sources.synth.sounds import RATE
from tests.support.recorded_sounds import OFFSET, ONSET, SIX, recording, write_wav


def heard(path, rate=RATE):
    return listen(path, path.name, rate, Trim())


@pytest.mark.parametrize("label", SIX)
def test_events_of_known_times_are_found(tmp_path, label):
    one = heard(write_wav(tmp_path / "a.wav", recording(label)))
    assert (one.form, one.fault) == ("one burst", "")
    (burst,) = one.bursts
    assert burst.first * FRAME == pytest.approx(ONSET, abs=0.03)
    assert (burst.first + burst.frames) * FRAME == pytest.approx(OFFSET, abs=0.05)


@pytest.mark.parametrize(
    ("wave", "told"),
    [
        (np.zeros(RATE), "without sound"),
        (recording("Rain")[: RATE // 10], "0.100 s; expected at least 0.2 s"),
        (np.clip(8 * recording("Siren"), -1, 1), "clipped: "),
    ],
    ids=["silent", "short", "clipped"],
)
def test_what_cannot_be_used_is_told(tmp_path, wave, told):
    one = heard(write_wav(tmp_path / "a.wav", wave))
    assert told in one.fault
    assert not one.bursts


def test_no_audio_and_no_file_are_told(tmp_path):
    (tmp_path / "a.wav").write_text("hello")
    assert "cannot be decoded" in heard(tmp_path / "a.wav").fault
    assert "cannot be read" in heard(tmp_path / "b.wav").fault


def test_loud_is_not_clipped():
    assert clipped_share(np.sin(np.arange(RATE) * 0.05).astype(np.float32)) == 0.0
    assert clipped_share(np.ones(10, dtype=np.float32)) == 1.0


def test_copies_in_another_container_are_the_same_sound(tmp_path):
    wave = np.round(recording("Rain") * 32767).astype(np.int16)
    soundfile.write(tmp_path / "a.flac", wave, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="PCM_16")
    first, second = heard(tmp_path / "a.flac"), heard(tmp_path / "a.wav")
    assert first.sound == second.sound
    assert first.sha256 != second.sha256


def test_what_is_masked_at_a_level_is_not_used():
    falling = Burst(0, bytes(range(0, 60)))  # one dB a frame
    assert falling.audible(30, 0.25) == (0, 31)
    assert falling.audible(16, 0.25) == (0, 17)
    pausing = Burst(0, bytes([20] * 10 + [0] * 10 + [20] * 24 + [0] * 5 + [20] * 25 + [0] * 5))
    assert pausing.audible(16, 0.25) == (10, 49)  # a pause of 0.24 s does not end it, 0.25 does

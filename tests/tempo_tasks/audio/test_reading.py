"""Audio: what is accepted comes out right, what cannot be used is named."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tempo_tasks.audio import (
    DEFAULT_LIMITS,
    AudioLimits,
    check_audio,
    document_audio,
    document_handle,
    file_handle,
    make_handle,
    mp3,
    read_audio,
    reversed_handle,
    silenced_handle,
)
from tempo_tasks.errors import (
    AntiphaseAudioError,
    AudioNotFoundError,
    BadClipsError,
    EmptyAudioError,
    LongAudioError,
    NonFiniteAudioError,
    UnreadableAudioError,
    UnsupportedAudioError,
)

RATE = 16_000
FORMATS = ["wav", "flac", "mp3", "ogg", "opus"]


def tone(seconds=1.0, rate=RATE, channels=1, hertz=1000.0):
    """A sine of amplitude 0.5: (samples,) or (samples, channels)."""
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return wave if channels == 1 else np.repeat(wave[:, None], channels, axis=1)


@pytest.fixture
def write(tmp_path):
    """Write a waveform and return its path."""

    def write_wave(name="clip.wav", wave=None, rate=RATE, **options):
        if name.endswith("opus"):
            options = {"format": "OGG", "subtype": "OPUS", **options}
        soundfile.write(tmp_path / name, tone(rate=rate) if wave is None else wave, rate, **options)
        return tmp_path / name

    return write_wave


def frequency(wave, rate=RATE):
    """The strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return spectrum.argmax() * rate / len(wave)


# What is accepted


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count_becomes_mono_at_the_wanted_rate(write, rate, channels):
    path = write(wave=tone(2.0, rate, channels), rate=rate)
    wave = read_audio(file_handle(path), RATE)
    assert wave.dtype == np.float32
    assert wave.shape == (2 * RATE,)
    assert frequency(wave) == pytest.approx(1000, abs=1)
    middle = wave[RATE // 2 : -RATE // 2]
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_decoded(write, name):
    path = write(f"clip.{name}", tone(2.0, 48_000), 48_000)
    wave = read_audio(file_handle(path), RATE)
    assert len(wave) == pytest.approx(2 * RATE, abs=RATE // 20)
    assert frequency(wave) == pytest.approx(1000, abs=2)


def test_mono_is_the_mean_of_the_channels(write):
    stereo = np.stack([np.full(RATE, 0.5), np.full(RATE, -0.25)], axis=1)
    wave = read_audio(file_handle(write(wave=stereo)), RATE)
    assert wave == pytest.approx(0.125, abs=1e-4)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_silence_is_zeros_of_the_same_length(write, rate):
    handle = file_handle(write(wave=tone(1.37, rate), rate=rate))
    sound, silence = (read_audio({**handle, "silence": s}, RATE) for s in (False, True))
    assert silence.shape == sound.shape
    assert silence.dtype == np.float32
    assert not silence.any()
    assert sound.any()


def test_a_handle_is_small_json(write):
    path = write()
    handle = file_handle(path)
    assert set(handle) == {"path", "sha256", "silence"}
    assert handle["path"] == str(path.absolute())
    assert len(handle["sha256"]) == 64


def without_length_header(path):
    """Drop the frame with the Info header from an MP3 file, as encoders that write none do."""
    content = path.read_bytes()
    assert content.find(b"Info") > 0 or content.find(b"Xing") > 0
    path.write_bytes(content[content.index(b"\xff\xfb", 4) :])
    return path


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_mp3_without_length_header_is_read_whole(write, mode):
    # Silence, then noise: at variable bitrate the length cannot be estimated from the first frame.
    noise = np.random.RandomState(0).uniform(-0.5, 0.5, 3 * 44_100)
    wave = np.concatenate([np.zeros(3 * 44_100), noise])
    path = write("clip.mp3", wave, 44_100, bitrate_mode=mode, compression_level=0.5)
    whole = read_audio(file_handle(path), RATE)
    assert mp3.scan(path.read_bytes()).announced is not None

    bare = read_audio(file_handle(without_length_header(path)), RATE)
    assert mp3.scan(path.read_bytes()).announced is None
    # Without the header the encoder's delay and padding are not cut off.
    assert len(whole) == 6 * RATE
    assert 0 <= len(bare) - len(whole) < 0.1 * RATE
    assert np.abs(bare[: 2 * RATE]).max() < 0.01
    assert np.abs(bare[4 * RATE : 6 * RATE]).mean() > 0.1


def test_tags_around_an_mp3_stream_are_no_damage(write):
    path = write("clip.mp3", tone(2.0, 44_100), 44_100)
    plain = read_audio(file_handle(path), RATE)
    id3v2 = b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10)
    path.write_bytes(id3v2 + path.read_bytes() + b"TAG" + bytes(125))
    assert np.array_equal(read_audio(file_handle(path), RATE), plain)


# What is refused


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("name", FORMATS)
def test_truncated_files(write, name, share):
    path = write(f"clip.{name}", tone(2.0, 48_000), 48_000)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableAudioError, match=rf"clip\.{name}: (truncated|cannot be decoded)"):
        read_audio(file_handle(path), RATE)


def test_truncated_mp3_without_length_header(write):
    path = without_length_header(write("clip.mp3", tone(2.0, 44_100), 44_100))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UnreadableAudioError, match="truncated"):
        read_audio(file_handle(path), RATE)


def test_wav_cut_within_its_header(write):
    path = write()
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(UnreadableAudioError, match="truncated: a WAV file without audio data"):
        read_audio(file_handle(path), RATE)


def test_wav_of_unannounced_length_is_read(write):
    # As written to a pipe: the length was not known when the header was written.
    path = write()
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)
    assert len(read_audio(file_handle(path), RATE)) == RATE


def test_no_audio_at_all(tmp_path):
    path = tmp_path / "notes.mp3"
    path.write_text("Rain falls. " * 100)
    with pytest.raises(UnreadableAudioError, match=r"notes\.mp3: cannot be decoded.*expected WAV"):
        read_audio(file_handle(path), RATE)


def test_formats_whose_truncation_cannot_be_told(write):
    with pytest.raises(UnreadableAudioError, match=r"AIFF.*expected WAV"):
        read_audio(file_handle(write("clip.aiff")), RATE)


def test_missing_file_and_directory(tmp_path):
    for path in (tmp_path / "none.wav", tmp_path, tmp_path / "none" / "x.wav"):
        with pytest.raises(AudioNotFoundError, match="no such audio file") as caught:
            file_handle(path)
        assert isinstance(caught.value, FileNotFoundError)
        with pytest.raises(AudioNotFoundError, match=path.name):
            read_audio({"path": str(path)}, RATE)


def test_zero_samples(write):
    with pytest.raises(EmptyAudioError, match=r"0 samples \(0\.000 s\)"):
        read_audio(file_handle(write(wave=np.zeros(0))), RATE)


def test_zero_bytes(tmp_path):
    (tmp_path / "clip.wav").touch()
    with pytest.raises(EmptyAudioError, match="the file is empty"):
        read_audio(file_handle(tmp_path / "clip.wav"), RATE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers(write, value):
    wave = tone()
    wave[[10, 20]] = value
    with pytest.raises(NonFiniteAudioError, match=r"clip\.wav: 2 samples are NaN or infinite"):
        read_audio(file_handle(write(wave=wave, subtype="FLOAT")), RATE)


@pytest.mark.filterwarnings("error")
def test_samples_too_large_to_be_averaged(write):
    huge = np.full((RATE, 2), 3e38)
    with pytest.raises(NonFiniteAudioError, match="16000 samples are NaN or infinite"):
        read_audio(file_handle(write(wave=huge, subtype="FLOAT")), RATE)
    large = file_handle(write(wave=huge * [1, 0], subtype="FLOAT"))
    assert np.isfinite(read_audio(large, RATE)).all()


def test_eight_channels_and_192_khz(write):
    path = write(wave=tone(channels=8))
    with pytest.raises(UnsupportedAudioError, match="8 channels; at most 6"):
        read_audio(file_handle(path), RATE)
    assert len(read_audio(file_handle(path), RATE, AudioLimits(max_channels=8))) == RATE

    path = write(wave=tone(rate=192_000), rate=192_000)
    with pytest.raises(UnsupportedAudioError, match="192000 Hz; at most 96000"):
        read_audio(file_handle(path), RATE)
    assert len(read_audio(file_handle(path), RATE, AudioLimits(max_rate=None))) == RATE


@pytest.mark.parametrize("left", [0.0, 1e-4, 5e-4])
def test_channels_that_cancel_each_other(write, left):
    wave = tone()
    stereo = np.stack([wave, -(1 - 2 * left) * wave], axis=1)
    path = write(wave=stereo, subtype="FLOAT")
    with pytest.raises(AntiphaseAudioError, match=r"clip\.wav: its 2 channels cancel each other"):
        read_audio(file_handle(path), RATE)


@pytest.mark.parametrize(
    "channels",
    [
        [1.0, -0.99],  # -46 dB: quiet, but not gone
        [1.0, 0.0],
        [0.001, 0.0],
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [1.0, -1.0, 1.0],
    ],
)
def test_channels_that_leave_something(write, channels):
    wave = tone()[:, None] * np.array(channels)
    path = write(wave=wave, subtype="FLOAT")
    assert read_audio(file_handle(path), RATE) == pytest.approx(wave.mean(axis=1), abs=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_silence_in_all_channels_is_told_and_accepted(write, channels, caplog):
    silent = file_handle(write("silent.wav", np.zeros((RATE, channels))))
    good = file_handle(write("good.wav"))
    assert not read_audio(silent, RATE).any()
    handles = [good, silent, {**good, "silence": True}]
    assert check_audio(handles, RATE, DEFAULT_LIMITS, progress=False) == {silent["path"]}
    assert "1 of 2 clips are silent in all channels (silent.wav)" in caplog.text
    caplog.clear()
    assert check_audio([good], RATE, DEFAULT_LIMITS, progress=False) == set()
    assert not caplog.text


def test_too_long_and_too_short(write):
    handle = file_handle(write())
    with pytest.raises(LongAudioError, match=r"1\.00 s, and the model hears at most 0\.5 s"):
        read_audio(handle, RATE, AudioLimits(max_seconds=0.5))
    with pytest.raises(EmptyAudioError, match=r"at least 2\.000 s"):
        read_audio(handle, RATE, AudioLimits(min_seconds=2.0))


def test_less_than_one_sample_at_the_wanted_rate(write):
    path = write(wave=np.ones(2) / 2, rate=96_000)
    with pytest.raises(EmptyAudioError, match="2 samples"):
        read_audio(file_handle(path), RATE)


def test_content_that_changed_since_it_was_indexed(write):
    handle = file_handle(write())
    write(wave=tone(hertz=500))
    with pytest.raises(UnreadableAudioError, match="changed since it was indexed"):
        read_audio(handle, RATE)


def test_messages_are_the_same_every_time(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(bytes(1000))
    messages = set()
    for _ in range(3):
        buffers = [io.BytesIO()]  # another address for the decoder's buffer
        with pytest.raises(UnreadableAudioError) as caught:
            read_audio(file_handle(path), RATE)
        messages.add(str(caught.value))
        del buffers
    assert len(messages) == 1
    assert " at 0x" not in messages.pop()


# All clips before inference


def test_check_audio_lists_every_bad_clip(write, tmp_path):
    good = file_handle(write("good.wav"))
    silent = {**good, "silence": True}
    empty = file_handle(write("empty.wav", np.zeros(0)))
    wide = file_handle(write("wide.wav", tone(channels=8)))
    missing = {"path": str(tmp_path / "missing.wav"), "sha256": None, "silence": False}

    check_audio([good, silent], RATE, DEFAULT_LIMITS, progress=False)
    with pytest.raises(EmptyAudioError):  # a single one is told as what it is
        check_audio([good, empty, empty], RATE, DEFAULT_LIMITS, progress=False)
    with pytest.raises(BadClipsError) as caught:
        check_audio([missing, good, empty, silent, wide], RATE, DEFAULT_LIMITS, progress=False)
    first, *listed = str(caught.value).splitlines()
    assert first == "3 of 4 clips cannot be used; nothing was run:"
    assert [line.split(":")[0].strip() for line in listed] == [
        "AudioNotFoundError",
        "EmptyAudioError",
        "UnsupportedAudioError",
    ]
    for line, name in zip(listed, ["missing", "empty", "wide"], strict=True):
        assert Path(line.split(": ")[1]).stem == name


def test_a_documents_audio_and_its_handle_say_the_same():
    handle = make_handle("1.wav", "0" * 64)
    for one in (handle, silenced_handle(handle), reversed_handle(handle)):
        told = document_audio(one)
        assert set(told) == {"sha256", "silence", "reversed"}
        assert document_handle(told, {"0" * 64: "1.wav"}) == one
    assert "reversed" not in document_handle(document_audio(handle), {"0" * 64: "1.wav"})
    assert silenced_handle(silenced_handle(handle), False) == handle

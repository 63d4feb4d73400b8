"""MP3: tags of every kind, lengths, damage, and what the decoder says about it."""

import contextlib
import ctypes
import io
import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile

from tempo_tasks.audio import check_audio, file_handle, mp3, quiet, read_audio
from tempo_tasks.audio.refusals import DEFAULT_LIMITS
from tempo_tasks.errors import BadClipsError, TempoError, UnreadableAudioError

RATE = 48_000
NOISE = 0.2 * np.random.RandomState(0).standard_normal(2 * RATE)


def encode(rate=RATE, wave=NOISE, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format="MP3", subtype="MPEG_LAYER_III", **options)
    return buffer.getvalue()


def bare(content):
    """Drop the frame with the Info header, as encoders that write none do."""
    return content[mp3.scan(content).audio :]


@pytest.fixture
def read(tmp_path):
    def read_bytes(content, name="clip.mp3", rate=RATE):
        (tmp_path / name).write_bytes(content)
        return read_audio(file_handle(tmp_path / name), rate)

    return read_bytes


# Tags


def syncsafe(size):
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3(version, body=b"", flags=0, footer=b""):
    return b"ID3" + bytes([version, 0, flags]) + syncsafe(len(body)) + body + footer


def ape(flags, body=b""):
    foot = b"APETAGEX" + struct.pack("<III", 2000, len(body) + 32, 1)
    header = foot + struct.pack("<I", 0xA000_0000) + bytes(8)
    return (header if flags else b"") + body + foot + struct.pack("<I", flags) + bytes(8)


COVER = b"APIC\x00\x00\x20\x00\x00\x00\x00image/jpeg\x00\x03\x00\xff\xd8\xff\xe0" + b"\xff" * 64
TITLE = b"TIT2\x00\x00\x00\x05\x00\x00\x00Rain"
FRONT = {
    "2.2": id3(2, b"TT2\x00\x00\x05\x00Rain"),
    "2.3": id3(3, TITLE),
    "2.4": id3(4, TITLE),
    "empty 2.2": id3(2),
    "empty 2.3": id3(3),
    "empty 2.4": id3(4),
    "unsynchronised": id3(3, TITLE + b"\xff\x00\xfb\x00" * 9, flags=0x80),
    "extended header": id3(4, b"\x00\x00\x00\x06\x01\x00" + TITLE, flags=0x40),
    "padding": id3(3, TITLE + bytes(2000)),
    "padding that is not counted": id3(3, TITLE) + bytes(2000),
    "footer": id3(4, TITLE, 0x10, b"3DI\x04\x00\x10" + syncsafe(len(TITLE))),
    "several": id3(3, TITLE) + id3(4, TITLE) + id3(2),
    "cover": id3(3, COVER),
    "cover of frames": id3(3, COVER + encode(44_100)[:9000]),
    "APE": ape(0x8000_0000, b"\x04\x00\x00\x00\x00\x00\x00\x00Title\x00Rain"),
    "ID3 and APE": id3(3, TITLE) + ape(0x8000_0000, b"x" * 50),
}
BACK = {
    "ID3v1": b"TAG" + b"Rain".ljust(125, b"\0"),
    "APE": ape(0x8000_0000, b"\xff\xfb\x90\xc4" * 20),
    "APE without header": ape(0, b"x" * 100),
    "APE and ID3v1": ape(0x8000_0000, b"x" * 100) + b"TAG" + bytes(125),
    "Lyrics3 v1 and ID3v1": b"LYRICSBEGIN"
    + b"[00:01]la la\r\n" * 60
    + b"LYRICSEND"
    + b"TAG"
    + bytes(125),
    "zeros": bytes(1000),
    "zeros and ID3v1": bytes(5000) + b"TAG" + bytes(125),
    "Lyrics3 and ID3v1": b"LYRICSBEGIN" + b"x" * 89 + b"000100LYRICS200" + b"TAG" + bytes(125),
    "ID3v2.4": id3(4, TITLE, 0x10, b"3DI\x04\x00\x10" + syncsafe(len(TITLE))),
}


@pytest.mark.parametrize("header", [True, False], ids=["with Info", "bare"])
@pytest.mark.parametrize("name", FRONT)
def test_tags_before_the_frames(read, capfd, name, header):
    content = encode() if header else bare(encode())
    plain = read(content)
    assert len(plain) >= len(NOISE)
    assert np.array_equal(read(FRONT[name] + content), plain)
    assert np.array_equal(read(FRONT[name] + content + BACK["ID3v1"], "clip.bin"), plain)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("header", [True, False], ids=["with Info", "bare"])
@pytest.mark.parametrize("name", BACK)
def test_tags_behind_the_frames(read, capfd, name, header):
    content = encode() if header else bare(encode())
    assert np.array_equal(read(content + BACK[name]), read(content))
    assert capfd.readouterr() == ("", "")


# What libsndfile reads by the file's name


def test_a_first_frame_without_its_header(read, tmp_path):
    # As a clip of a public sound package is: an empty tag, four bytes of zeros where the first
    # frame's header was (its Info text still stands), then 131 whole frames of 960 bytes.
    wave = 0.2 * np.random.RandomState(0).standard_normal(round(3.1 * RATE))
    content = encode(wave=wave, bitrate_mode="CONSTANT", compression_level=0.0)
    content = id3(3) + bytes(4) + content[4:]
    stream = mp3.scan(content)
    assert content.index(b"Info") < 100
    assert (len(content) - stream.audio) % 960 == 0
    heard = read(content)
    by_name, rate = soundfile.read(tmp_path / "clip.mp3", dtype="float32")
    assert rate == RATE
    assert len(heard) == pytest.approx(len(by_name), abs=2 * 1152)
    assert len(heard) >= len(wave)
    # The same sound at the same time, from the first whole frame on.
    delay = np.correlate(heard[10_000:30_000], by_name[12_000:28_000], "valid").argmax() - 2000
    assert abs(delay) <= 2 * 1152
    with pytest.raises(UnreadableAudioError, match=r"truncated: \d+ whole frames of \d+ announced"):
        read(content[: len(content) // 2 // 960 * 960 + 10])


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_rate_with_and_without_a_header(read, rate, channels):
    wave = np.repeat(np.resize(NOISE, 2 * rate)[:, None], channels, axis=1)
    content = encode(rate, wave)
    assert len(read(content, rate=rate)) == 2 * rate
    assert len(read(bare(content), rate=rate)) >= 2 * rate


@pytest.mark.parametrize("layer", [1, 2])
def test_layers_one_and_two(read, layer):
    # Frames of zeros, which are silence: 44.1 kHz, mono.
    header, length = {1: (b"\xff\xff\x40\xc4", 136), 2: (b"\xff\xfd\x40\xc4", 208)}[layer]
    frame = header + bytes(length - 4)
    samples = {1: 384, 2: 1152}[layer]
    wave = read(frame * 100, rate=44_100)
    assert len(wave) == pytest.approx(100 * samples, abs=3 * 1152)
    assert not wave.any()
    with pytest.raises(UnreadableAudioError, match="truncated: 99 whole frames"):
        read((frame * 100)[:-10])


# Lengths


def test_two_files_put_together_are_read_whole(read):
    one, other = encode(), encode(wave=NOISE[:RATE])
    for between in (b"", id3(3, TITLE), b"TAG" + bytes(125) + id3(4)):
        wave = read(one + between + other)
        assert len(wave) >= 3 * RATE
        assert np.abs(wave[-RATE // 2 : -RATE // 4]).mean() > 0.05
    assert len(read(bare(one) + bare(other))) >= 3 * RATE
    with pytest.raises(UnreadableAudioError, match=r"damaged: .*neither frames nor tags"):
        read(bare(one) + bare(encode(44_100)))


@pytest.mark.parametrize("count", [0, 10, 5000])
def test_a_header_with_another_number_of_frames(read, count):
    content = encode()
    place = content.index(b"Xing" if b"Xing" in content[:64] else b"Info") + 8
    content = content[:place] + struct.pack(">I", count) + content[place + 4 :]
    if count == 5000:
        with pytest.raises(UnreadableAudioError, match=r"\d+ whole frames of 5000 announced"):
            read(content)
    else:
        assert len(read(content)) >= len(NOISE) - 1152


@pytest.mark.parametrize("place", ["begin", "middle", "end"])
def test_frames_that_are_gone_from_a_bare_stream(read, place):
    content = bytearray(bare(encode()))
    start = {"begin": 0, "middle": len(content) // 2, "end": len(content) - 8000}[place]
    content[start : start + 8000] = bytes(8000)
    with pytest.raises(UnreadableAudioError, match=r"damaged: \d+ whole frames, and .* neither"):
        read(bytes(content))


def test_cut_at_every_kind_of_place(read):
    content = id3(3, TITLE) + encode()
    info = content.index(b"Xing" if b"Xing" in content[:100] else b"Info")
    for end in (1, 4, 9, 12, 30, *range(info, info + 24), len(content) // 2, len(content) - 1):
        with pytest.raises(UnreadableAudioError, match=r"clip\.mp3: (truncated|cannot|damaged)"):
            read(content[:end])


# What the decoder says


def damaged(content):
    """The same stream with noise inside its frames, which no header tells."""
    content, rng = bytearray(content), np.random.RandomState(0)
    for place in range(2000, len(content) - 200, 700):
        content[place : place + 100] = rng.bytes(100).replace(b"\xff", b"\x00")
    return bytes(content)


def test_the_decoders_notes_stay_off_the_terminal(read, capfd):
    content = damaged(encode())
    soundfile.read(io.BytesIO(content))
    assert "Note: " in capfd.readouterr().err  # without us
    with contextlib.suppress(TempoError):
        read(content)
    assert capfd.readouterr() == ("", "")


def test_the_check_goes_on_after_a_damaged_file(tmp_path, capfd):
    content = encode()
    contents = [content[: content.index(b"Info" if b"Info" in content[:64] else b"Xing") + 6]]
    contents += [content[:5000], b"\xff\xfb\x90", b"junk" * 100]
    handles = []
    for number, cut in enumerate(contents):
        (tmp_path / f"{number}.mp3").write_bytes(cut)
        handles.append(file_handle(tmp_path / f"{number}.mp3"))
    with pytest.raises(BadClipsError) as caught:
        check_audio(handles, 16_000, DEFAULT_LIMITS, progress=False)
    assert [f"{number}.mp3" in str(caught.value) for number in range(4)] == [True] * 4
    assert capfd.readouterr() == ("", "")


def c_writes(text):
    """Write as libraries in C do; buffers are no matter, stderr has none."""
    libc = ctypes.CDLL(None)
    libc.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    libc.fputs(text.encode(), ctypes.c_void_p.in_dll(libc, "stderr").value)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's name of the variable")
def test_only_notes_of_c_are_kept_off(capfd):
    with quiet.quiet():
        c_writes("a note\n")
        print("ours", file=sys.stderr, flush=True)
        os.write(2, b"by its number\n")
        subprocess.run([sys.executable, "-c", "import os; os.write(2, b'a child\\n')"], check=True)
        with quiet.quiet():
            c_writes("a note\n")
        c_writes("a note\n")
    c_writes("after\n")
    assert capfd.readouterr().err == "ours\nby its number\na child\nafter\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's name of the variable")
def test_threads_and_forks_leave_it_as_it_was(read, capfd):
    content = encode(wave=NOISE[: RATE // 2])
    waves = [read(content)]
    go, inside = threading.Event(), threading.Event()

    def wait():
        with quiet.quiet():
            inside.set()
            go.wait(10)

    thread = threading.Thread(target=wait)
    thread.start()
    inside.wait(10)
    waves.append(read(content))  # in and out again while the other thread is inside
    c_writes("a note\n")
    child = os.fork()
    if not child:
        c_writes("a child\n")
        os._exit(0)
    os.waitpid(child, 0)
    go.set()
    thread.join()
    c_writes("after\n")
    assert np.array_equal(*waves)
    assert capfd.readouterr().err == "a child\nafter\n"


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt])
def test_it_is_put_back_after_an_error(capfd, exception):
    with pytest.raises(exception), quiet.quiet():
        raise exception
    assert quiet._streams is None or quiet._streams.inside == 0

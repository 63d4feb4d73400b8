"""What a file says of its length: read to the end where unknown, refused where it is not so."""

import io
import struct
from itertools import pairwise, product

import numpy as np
import pytest
import soundfile

from tempo_tasks.audio import check_audio, file_handle, flac, ogg, read_audio, wav
from tempo_tasks.audio.refusals import DEFAULT_LIMITS
from tempo_tasks.errors import BadClipsError, EmptyAudioError, UnreadableAudioError

RATE = 16_000
NOISE = 0.2 * np.random.RandomState(0).standard_normal(2 * RATE)
LIST = b"LIST\x0e\x00\x00\x00INFOISFT\x02\x00\x00\x00x\x00"


def encode(form, subtype="PCM_16", wave=NOISE, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, RATE, format=form, subtype=subtype, **options)
    return buffer.getvalue()


def with_bytes(content, place, new):
    return content[:place] + new + content[place + len(new) :]


@pytest.fixture
def read(tmp_path):
    def read_bytes(content, name="clip.wav"):
        (tmp_path / name).write_bytes(content)
        return read_audio(file_handle(tmp_path / name), RATE)

    return read_bytes


# WAV: lengths that the writer did not know

UNKNOWN = [
    0,
    0x7FFF_F000,  # sox
    0x7FFF_FFFF,
    0x7FFF_FFFF - 36,
    0x8000_0000,  # arecord
    0xFFFF_FFFF - 36,
    0xFFFF_FFFF - 44,
    0xFFFF_FFFF,  # ffmpeg
]


@pytest.mark.parametrize("size", UNKNOWN)
@pytest.mark.parametrize("form", ["RIFF", "RIFX", "WAVEX"])
def test_wav_from_a_pipe_is_read_to_its_end(read, form, size):
    options = {"endian": "BIG"} if form == "RIFX" else {}
    content = encode("WAVEX" if form == "WAVEX" else "WAV", **options)
    whole = read(content)
    order = ">I" if form == "RIFX" else "<I"
    # Such writers do not know the file's length either.
    of_file = struct.pack(order, min(size + 36, 0xFFFF_FFFF) if size else 36)
    content = with_bytes(content, 4, of_file)
    content = with_bytes(content, content.index(b"data") + 4, struct.pack(order, size))
    assert np.array_equal(read(content), whole)
    # Stopped within a sample.
    assert np.array_equal(read(content + b"\x01"), whole)
    assert np.array_equal(read(content[:-1]), whole[:-1])


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 0xFFFF_FFFF])
@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT", "ULAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_other_codecs_from_a_pipe(read, subtype, size):
    content = encode("WAV", subtype)
    whole = read(content)
    assert len(whole) >= len(NOISE)
    piped = with_bytes(content, content.index(b"data") + 4, struct.pack("<I", size))
    assert np.array_equal(read(piped)[: len(whole)], whole)


@pytest.mark.parametrize("size", [0, (1 << 63) - 1, (1 << 64) - 1, 0xFFFF_FFFF])
def test_rf64_and_w64_from_a_pipe(read, size):
    rf64 = encode("RF64")
    whole = read(rf64)
    assert len(whole) == len(NOISE)
    ds64 = rf64.index(b"ds64") + 8
    assert np.array_equal(read(with_bytes(rf64, ds64, struct.pack("<QQ", size, size))), whole)

    w64 = encode("W64")
    assert np.array_equal(read(w64), whole)
    piped = with_bytes(w64, w64.index(b"data") + 16, struct.pack("<Q", size or 24))
    assert np.array_equal(read(with_bytes(piped, 16, struct.pack("<Q", size))), whole)


def test_an_unknown_length_beside_a_known_one(read):
    content = encode("WAV")
    whole = read(content)
    blank = with_bytes(content, content.index(b"data") + 4, bytes(4))
    assert np.array_equal(read(blank), whole)
    with pytest.raises(UnreadableAudioError, match=r"clip\.wav: truncated: 40044 of 64044 announ"):
        read(blank[:40_044])


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64", "W64"])
def test_a_wav_file_that_is_really_short(read, form):
    content = encode(form)
    with pytest.raises(UnreadableAudioError, match=r"truncated: \d+ of 64000 announced bytes"):
        read(content[:-1000])
    with pytest.raises(UnreadableAudioError, match="truncated"):
        read(content[: content.index(b"data") + 2])


# WAV: headers that say less than there is


def test_a_header_shorter_than_the_file(read):
    content = encode("WAV")
    short = with_bytes(content, content.index(b"data") + 4, struct.pack("<I", 1000))
    with pytest.raises(
        UnreadableAudioError, match=r"announces 1000 bytes.* and 64000 bytes follow"
    ):
        read(short)
    both = with_bytes(short, 4, struct.pack("<I", 1036))
    with pytest.raises(UnreadableAudioError, match="announces 1000 bytes"):
        read(both)


@pytest.mark.parametrize(
    "rest",
    [
        LIST,
        LIST + b"id3 \x05\x00\x00\x00ID3\x04\x00\x00",
        b"\x00",
        b"TAG" + bytes(125),
        LIST + b"TAG" + bytes(125),
        b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10),
        b"cue \x00\x00\x00\x00" + LIST,
    ],
)
def test_chunks_and_tags_behind_the_audio_are_none(read, rest):
    content = encode("WAV")
    assert np.array_equal(read(content + rest), read(content))


def test_an_odd_length_with_and_without_its_padding(read):
    content = encode("WAV", "PCM_U8", NOISE[:-1])
    assert len(content) % 2 == 0
    whole = read(content)
    assert len(whole) == len(NOISE) - 1
    assert np.array_equal(read(content + LIST), whole)
    assert np.array_equal(read(content[:-1] + LIST), whole)


def test_two_data_chunks_are_not_taken_for_one(read):
    content = encode("WAV")
    with pytest.raises(UnreadableAudioError, match="being no chunks"):
        read(content + content[content.index(b"data") :])


def test_an_empty_data_chunk_with_chunks_behind_it_is_empty(read):
    content = encode("WAV", wave=NOISE[:0])
    for rest in (b"", LIST):
        with pytest.raises(EmptyAudioError, match="0 samples"):
            read(content + rest)


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize(
    ("at", "new"),
    [
        (2, struct.pack("<H", 2)),  # channels
        (4, struct.pack("<I", 4 * RATE)),  # rate: a quarter of the seconds
        (4, struct.pack("<I", RATE + 256)),
        (8, struct.pack("<I", RATE)),  # bytes a second
        (8, struct.pack("<I", 0)),
        (12, struct.pack("<H", 8)),  # bytes of a sample in all channels
        (12, struct.pack("<H", 1)),
        (14, struct.pack("<H", 32)),  # bits
    ],
)
def test_a_header_that_contradicts_itself(read, form, at, new):
    content = encode(form)
    place = content.index(b"fmt ") + 8 + at
    with pytest.raises(UnreadableAudioError, match=r"clip\.wav: (its header contradicts|damaged)"):
        read(with_bytes(content, place, new))


def test_a_rate_that_does_not_fit_compressed_audio(read):
    content = encode("WAV", "IMA_ADPCM")
    place = content.index(b"fmt ") + 12
    with pytest.raises(UnreadableAudioError, match=r"0\.51 s at 64000 Hz, but 2\.0\d s at"):
        read(with_bytes(content, place, struct.pack("<I", 4 * RATE)))


# As small blocks, or a writer that does not care, make them; 0 is one that does not know.
@pytest.mark.parametrize("share", [0, 0.6, 0.9, 4])
@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "NMS_ADPCM_16", "G721_32"])
def test_the_byte_rate_of_compressed_audio_is_advice(read, subtype, share):
    content = encode("WAV", subtype)
    place = content.index(b"fmt ") + 16
    (told,) = struct.unpack_from("<I", content, place)
    other = with_bytes(content, place, struct.pack("<I", round(share * told)))
    assert np.array_equal(read(other), read(content))


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM"])
@pytest.mark.parametrize("samples", [0, 100, 60_000])
def test_a_block_has_as_many_samples_as_have_room(read, subtype, samples):
    content = encode("WAV", subtype)
    place = content.index(b"fmt ") + 8 + 18
    with pytest.raises(UnreadableAudioError, match=rf"{samples} samples in each block of 512"):
        read(with_bytes(content, place, struct.pack("<H", samples)))


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64", "W64"])
@pytest.mark.parametrize("size", [10, 1000, 100_000])
def test_a_wav_file_behind_an_id3_tag(read, form, size):
    # libsndfile would lose as many bytes at the end as the tag has.
    content = encode(form)
    tag = b"ID3\x03\x00\x00" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    tag += bytes(size)
    assert np.array_equal(read(tag + content), read(content))
    with pytest.raises(UnreadableAudioError, match=r"truncated: \d+ of 64000 announced bytes"):
        read(tag + content[:-1000])


@pytest.mark.parametrize("form", ["WAV", "RF64", "W64"])
@pytest.mark.parametrize("size", [2, 8, 512, 70_000])
def test_zeros_behind_the_files_length_are_padding(read, form, size):
    content = encode(form)
    assert np.array_equal(read(content + bytes(size)), read(content))


def test_zeros_within_the_files_length_are_no_padding(read):
    content = with_bytes(encode("WAV") + bytes(4000), 4, struct.pack("<I", 36 + 64_000 + 4000))
    with pytest.raises(UnreadableAudioError, match="being no chunks"):
        read(content)


def test_zeros_behind_chunks_are_padding(read):
    content = encode("WAV")
    whole = read(content)
    content = with_bytes(content + LIST, 4, struct.pack("<I", 36 + 64_000 + len(LIST)))
    assert np.array_equal(read(content + bytes(512)), whole)


@pytest.mark.parametrize("name", [b"LIST", b"id3 ", b"bext", b"cue ", b"smpl", b"JUNK"])
def test_a_cut_chunk_of_metadata_behind_the_audio_is_no_loss(read, name):
    content = encode("WAV")
    cut = name + struct.pack("<I", 104) + b"x" * 40
    assert np.array_equal(read(content + cut), read(content))
    assert np.array_equal(read(content + LIST + cut), read(content))
    with pytest.raises(UnreadableAudioError, match="being no chunks"):
        read(content + b"what" + cut[4:])


# FLAC


def remainder(data, bits, polynomial):
    """The checksums of FLAC, from the first byte on."""
    crc = 0
    for byte in data:
        crc ^= byte << (bits - 8)
        for _ in range(8):
            crc = (crc << 1 ^ (polynomial if crc >> (bits - 1) else 0)) & ((1 << bits) - 1)
    return crc


def flac_header(number, samples, kind=b"\x08"):
    """Header of a frame of 16-bit mono at 16 kHz."""
    head = b"\xff\xf8\x75" + kind + bytes([number]) + struct.pack(">H", samples - 1)
    return head + bytes([remainder(head, 8, 0x07)])


def flac_of_samples(body, total=None):
    """One frame whose samples stand in it as they are, two bytes each."""
    samples = len(body) // 2
    frame = flac_header(0, samples) + b"\x02" + body
    frame += struct.pack(">H", remainder(frame, 16, 0x8005))
    total = samples if total is None else total
    info = struct.pack(">HH6x", samples, samples) + (RATE << 44 | 15 << 36 | total).to_bytes(
        8, "big"
    )
    return b"fLaC\x80\x00\x00\x22" + info + bytes(16) + frame


@pytest.mark.parametrize("kind", [b"\x08", b"\xb8", b"\x06"], ids=["plain", "11", "depth 3"])
@pytest.mark.parametrize("total", [None, 0], ids=["known", "unknown"])
@pytest.mark.parametrize("tag", [b"", b"TAG" + bytes(125)], ids=["bare", "tagged"])
def test_samples_that_look_like_the_header_of_a_flac_frame(read, kind, total, tag):
    values = (8000 * NOISE[:4096]).astype(">i2")
    body = with_bytes(values.tobytes(), 5000, flac_header(3, 100, kind))
    content = flac_of_samples(body, total) + tag
    assert np.array_equal(read(content, "clip.flac") * 32768, np.frombuffer(body, ">i2"))
    for cut in (content[:-300], content[:5800]):
        with pytest.raises(UnreadableAudioError, match=r"clip\.flac: (truncated|.*lost sync)"):
            read(cut, "clip.flac")


def test_a_flac_header_that_is_wrong_beside_samples_that_look_like_one(read):
    values = (8000 * NOISE[:4096]).astype(">i2")
    body = with_bytes(values.tobytes(), 5000, flac_header(3, 100))
    with pytest.raises(UnreadableAudioError, match=r"announces 4000 .*ends at sample 4096"):
        read(flac_of_samples(body, 4000), "clip.flac")


def test_bytes_behind_the_last_flac_frame(read):
    content = encode("FLAC")
    assert np.array_equal(read(content + b"junk", "clip.flac"), read(content, "clip.flac"))
    with pytest.raises(UnreadableAudioError, match="does not end with a whole frame"):
        read(with_bytes(content, 22, struct.pack(">I", 30_000)) + b"junk", "clip.flac")


def test_flac_of_unknown_length_is_read_whole(read):
    content = encode("FLAC")
    whole = read(content, "clip.flac")
    assert content[22:26] == struct.pack(">I", 2 * RATE)
    assert np.array_equal(read(with_bytes(content, 22, bytes(4)), "clip.flac"), whole)
    id3 = b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10)
    assert np.array_equal(read(id3 + content + b"TAG" + bytes(125), "clip.flac"), whole)


@pytest.mark.parametrize("samples", [8_000, 2 * RATE - 1, 2 * RATE + 1, 64_000])
def test_flac_header_that_announces_other_than_there_is(read, samples):
    content = with_bytes(encode("FLAC"), 22, struct.pack(">I", samples))
    with pytest.raises(UnreadableAudioError, match=rf"announces {samples} .*ends at sample 32000"):
        read(content, "clip.flac")


def test_flac_header_with_another_rate(read):
    content = bytearray(encode("FLAC"))
    content[18:21] = (int.from_bytes(content[18:21], "big") + (16_000 << 4)).to_bytes(3, "big")
    with pytest.raises(UnreadableAudioError, match=r"samples at 32000 Hz.* at 16000 Hz"):
        read(bytes(content), "clip.flac")


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 37_800, 44_100, 96_000])
@pytest.mark.parametrize("samples", [1, 200, 4096, 50_000])
def test_the_end_of_flac_by_its_last_frame(rate, samples):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.resize(NOISE, samples), rate, format="FLAC")
    content = buffer.getvalue()
    end, own_rate = flac._last_frame(content, int.from_bytes(content[10:12], "big"))
    assert end == samples
    assert own_rate in (None, rate)


# Ogg

OGG = ["VORBIS", "OPUS"]


def pages(content):
    """Where each page begins, and the end."""
    places = [0]
    while places[-1] < len(content):
        places.append(places[-1] + ogg._body(content, places[-1])[1])
    return places


def sealed(page):
    """A page with the checksum that it should have."""
    return page[:22] + struct.pack("<I", ogg.checksum(page)) + page[26:]


@pytest.mark.parametrize("subtype", OGG)
def test_our_checksum_is_that_of_the_encoder(subtype):
    content = encode("OGG", subtype)
    places = pages(content)
    assert len(places) > 3
    for start, end in pairwise(places):
        page = content[start:end]
        assert struct.pack("<I", ogg.checksum(page)) == page[22:26]


def test_the_checksum_is_the_one_of_rfc_3533():
    page = bytes(np.random.RandomState(0).randint(0, 256, 300, dtype=np.uint8))
    crc = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x8000_0000 else 0)) & 0xFFFF_FFFF
    assert ogg.checksum(page) == crc


@pytest.mark.parametrize("subtype", OGG)
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8, 0.99])
def test_any_flipped_bit_of_ogg_is_found(read, subtype, share):
    content = bytearray(encode("OGG", subtype))
    content[int(share * len(content))] ^= 0x10
    with pytest.raises(UnreadableAudioError, match=r"clip\.ogg: (damaged|truncated)"):
        read(bytes(content), "clip.ogg")


@pytest.mark.parametrize("subtype", OGG)
def test_a_missing_page(read, subtype):
    content = encode("OGG", subtype, np.tile(NOISE, 3))
    places = pages(content)
    with pytest.raises(UnreadableAudioError, match=r"page before byte.*is missing"):
        read(content[: places[3]] + content[places[4] :], "clip.ogg")
    with pytest.raises(UnreadableAudioError, match="no Ogg page at byte"):
        read(content[: places[3]] + b"junk" + content[places[3] :], "clip.ogg")
    with pytest.raises(UnreadableAudioError, match="last Ogg page is missing"):
        read(content[: places[-2]], "clip.ogg")


@pytest.mark.parametrize("subtype", OGG)
def test_a_last_position_that_is_not_what_was_decoded(read, subtype):
    content = encode("OGG", subtype)
    whole = read(content, "clip.ogg")
    assert len(whole) == len(NOISE)
    last = pages(content)[-2]
    for granule, message in ((10_000_000, r"truncated: \d+ of \d+ announced"), (5, "go back")):
        page = sealed(with_bytes(content[last:], 6, struct.pack("<q", granule)))
        with pytest.raises(UnreadableAudioError, match=message):
            read(content[:last] + page, "clip.ogg")


@pytest.mark.parametrize("subtype", OGG)
def test_chained_streams_are_refused(read, subtype):
    one, other = encode("OGG", subtype), encode("OGG", subtype, NOISE[:RATE])
    with pytest.raises(UnreadableAudioError, match=r"clip\.ogg: 2 Ogg streams of audio in one"):
        read(one + other, "clip.ogg")


@pytest.mark.parametrize("subtype", OGG)
def test_a_stream_cut_out_of_a_longer_one_begins_later(read, subtype):
    content = encode("OGG", subtype, np.tile(NOISE, 4))
    whole = read(content, "clip.ogg")
    places, moved = pages(content), []
    for start, end in pairwise(places):
        page = content[start:end]
        (granule,) = struct.unpack_from("<q", page, 6)
        later = granule + 10_000_000 if granule > 0 else granule
        moved.append(sealed(with_bytes(page, 6, struct.pack("<q", later))))
    assert len(read(b"".join(moved), "clip.ogg")) == pytest.approx(len(whole), abs=RATE)


def test_a_tag_behind_ogg_is_no_damage(read):
    content = encode("OGG", "VORBIS")
    whole = read(content, "clip.ogg")
    assert np.array_equal(read(content + b"TAG" + bytes(125), "clip.ogg"), whole)


@pytest.mark.parametrize("samples", [1, 500, 70_000])
@pytest.mark.parametrize(
    ("subtype", "rate"),
    [("VORBIS", 44_100), *product(OGG, [8_000, 16_000, 48_000])],  # 44.1 kHz is no rate of Opus
)
def test_ogg_of_every_length_is_read_whole(tmp_path, subtype, samples, rate):
    path = tmp_path / "clip.ogg"
    soundfile.write(path, np.resize(NOISE, samples), rate, format="OGG", subtype=subtype)
    assert len(read_audio(file_handle(path), rate)) == samples


# Whatever a decoder raises


@pytest.mark.parametrize("error", [RuntimeError("boom"), MemoryError(), struct.error("8 bytes")])
def test_whatever_is_raised_names_the_file_and_the_check_goes_on(tmp_path, monkeypatch, error):
    paths = []
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(encode("WAV"))
        paths.append(file_handle(tmp_path / name))

    def inspect(path, content):
        raise error

    monkeypatch.setattr(wav, "inspect", inspect)
    with pytest.raises(UnreadableAudioError, match=rf"a\.wav: .*{type(error).__name__}"):
        read_audio(paths[0], RATE)
    with pytest.raises(BadClipsError, match=r"(?s)2 of 2 clips.*a\.wav.*b\.wav"):
        check_audio(paths, RATE, DEFAULT_LIMITS, progress=False)

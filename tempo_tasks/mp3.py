"""MP3 streams as they are: how many frames there really are, and whether the last one is whole.

libsndfile takes an MP3 file's length from its Xing/Info header. Without one (many encoders write
none) it estimates: healthy files of constant bitrate then look truncated, and of those with
variable bitrate only a part is decoded, without a word. Reading the frame headers tells the truth.

Reference: ISO/IEC 11172-3 section 2.4.1.3 (header), 13818-3 (lower sampling rates).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

SAMPLES_PER_FRAME = 1152  # half as many below 32 kHz

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_BITRATES_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbit/s, MPEG 1
_BITRATES_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # MPEG 2 and 2.5
_MPEG_1, _LAYER_3 = 3, 1
_MIDDLE_BITRATE = 9  # index; its frames have room for a Xing header at every rate


@dataclass(frozen=True)
class _Header:
    version: int
    rate: int
    mono: bool
    length: int  # bytes

    @property
    def xing_at(self) -> int:
        """Where a Xing header stands in a frame: after the side information."""
        if self.version == _MPEG_1:
            return 4 + (17 if self.mono else 32)
        return 4 + (9 if self.mono else 17)


@dataclass(frozen=True)
class Mp3Stream:
    """What the frame headers of a file say.

    Attributes:
        frames: Whole frames with audio.
        announced: Frames that its Xing/Info header announces, or None without such a header.
        cut: Whether the last frame is incomplete.
        start: Byte at which the first frame stands.
    """

    frames: int
    announced: int | None
    cut: bool
    start: int


def scan(content: bytes) -> Mp3Stream | None:
    """Read all frame headers of a Layer III file; None where there are none to read.

    Args:
        content: The file's bytes.
    """
    start = _after_id3(content)
    first = _header(content, start)
    if first is None:
        return None
    place, frames, cut = start, 0, False
    while place + 4 <= len(content):
        header = _header(content, place)
        if header is None or header.rate != first.rate:
            # A tag at the end, or damage: go on where the next frame begins.
            place = _next_frame(content, place + 1, first)
            continue
        if place + header.length > len(content):
            cut = True
            break
        frames += 1
        place += header.length
    announced = None
    xing = start + first.xing_at
    if content[xing : xing + 4] in (b"Xing", b"Info"):
        flags, count = struct.unpack(">II", content[xing + 4 : xing + 12])
        announced = count if flags & 1 else None
        frames -= 1  # this one holds the header, no audio
    return Mp3Stream(frames, announced, cut, start)


def with_length(content: bytes, stream: Mp3Stream) -> bytes:
    """Return the file with a Xing header that gives its length, so that decoders read all of it."""
    head = bytearray(content[stream.start : stream.start + 4])
    head[1] |= 1  # no checksum
    head[2] = _MIDDLE_BITRATE << 4 | head[2] & 0b1100  # same rate, no padding
    header = _header(bytes(head), 0)
    assert header is not None, head.hex()
    frame = bytearray(header.length)
    frame[:4] = head
    frame[header.xing_at : header.xing_at + 12] = struct.pack(">4sII", b"Xing", 1, stream.frames)
    return content[: stream.start] + bytes(frame) + content[stream.start :]


def _after_id3(content: bytes) -> int:
    if content[:3] != b"ID3" or len(content) < 10:
        return 0
    a, b, c, d = content[6:10]  # seven bits each
    return 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if content[5] & 0x10 else 0)


def _header(content: bytes, place: int) -> _Header | None:
    """Read the frame header at a place; None where there is none of Layer III."""
    if place + 4 > len(content) or content[place] != 0xFF or content[place + 1] & 0xE0 != 0xE0:
        return None
    _, second, third, fourth = content[place : place + 4]
    version, layer = (second >> 3) & 3, (second >> 1) & 3
    bitrate, rate, padding = third >> 4, (third >> 2) & 3, (third >> 1) & 1
    if version not in _RATES or layer != _LAYER_3 or bitrate in (0, 15) or rate == 3:
        return None
    hertz = _RATES[version][rate]
    kbits, size = (_BITRATES_1, 144) if version == _MPEG_1 else (_BITRATES_2, 72)
    length = size * 1000 * kbits[bitrate - 1] // hertz + padding
    return _Header(version, hertz, fourth >> 6 == 3, length)


def _next_frame(content: bytes, place: int, first: _Header) -> int:
    """Return where the next frame begins that is followed by another one; else the end."""
    while (place := content.find(b"\xff", place)) >= 0:
        header = _header(content, place)
        if header and (header.version, header.rate) == (first.version, first.rate):
            after = _header(content, place + header.length)
            if after and after.rate == first.rate:
                return place
        place += 1
    return len(content)

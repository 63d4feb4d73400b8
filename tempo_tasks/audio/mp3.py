"""MP3 streams as they are: how many frames there really are, and whether the last one is whole.

libsndfile takes an MP3 file's length from its Xing/Info header. Without one (many encoders write
none) it estimates: healthy files of constant bitrate then look truncated, and of those with
variable bitrate only a part is decoded, without a word. Where two files were put together, it stops
after the first. Reading the frame headers tells the truth.

libsndfile gets the frames alone, without tags: it knows a file that does not begin with a frame by
its name only, and libmpg123 takes exception to some tags that are common.

References: ISO/IEC 11172-3 section 2.4.1.3 (header), 13818-3 (lower sampling rates); the headers of
Xing, LAME and Fraunhofer (VBRI) as libmpg123 reads them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from tempo_tasks.audio.container import Container
from tempo_tasks.audio.refusals import damaged
from tempo_tasks.audio.tags import after_tag, after_tags, before_tags

# Samples by which a decoder may fall short: the encoder's delay and padding, the decoder's own.
_SPARE = 3 * 1152

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MPEG_1, _LAYER_1, _LAYER_3 = 3, 3, 1
# kbit/s by whether it is MPEG 1, and by layer as the header codes it.
_BITRATES = {
    (True, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MIDDLE_BITRATE = 9  # index; its frames have room for a Xing header at every rate
_SEARCHED = 65_536  # bytes in which the first frame is looked for, as libmpg123 does
_XING = (b"Xing", b"Info")  # of variable and of constant bitrate
_CHAIN = 3  # headers in a row that are no coincidence


@dataclass(frozen=True)
class _Header:
    version: int
    layer: int
    rate: int
    mono: bool
    length: int  # bytes

    @property
    def samples(self) -> int:
        """Samples that the frame holds for each channel."""
        if self.layer == _LAYER_1:
            return 384
        return 576 if self.layer == _LAYER_3 and self.version != _MPEG_1 else 1152

    @property
    def xing_at(self) -> int:
        """Where a Xing header stands in a frame: after the side information."""
        if self.version == _MPEG_1:
            return 4 + (17 if self.mono else 32)
        return 4 + (9 if self.mono else 17)

    def like(self, other: _Header) -> bool:
        """Whether both can be of one stream."""
        return (self.version, self.layer, self.rate) == (other.version, other.layer, other.rate)


@dataclass(frozen=True)
class Mp3Stream:
    """What the frame headers of a file say.

    Attributes:
        frames: Whole frames with audio.
        announced: Frames that its Xing/Info or VBRI header announces, or None without one.
        cut: Whether the last frame is incomplete.
        before, between, after: Bytes before, between and after the frames that are neither frames
            nor tags.
        first: Header of the first frame.
        start: Byte at which it stands.
        audio: Byte at which the first frame with audio stands.
        end: Byte at which the last frame ends.
        seconds: Length of the whole frames.
    """

    frames: int
    announced: int | None
    cut: bool
    before: int
    between: int
    after: int
    first: _Header
    start: int
    audio: int
    end: int
    seconds: float

    @property
    def has_gap(self) -> bool:
        """Whether more is no frame than the one frame that can be lost at either end."""
        frame = (self.end - self.audio - self.between) / max(1, self.frames)
        return self.between > 0 or max(self.before, self.after) >= 1.5 * frame


def inspect(path: Path, content: bytes) -> Container:
    """Return an MP3 file with its length in it, or anything else as it is.

    Raises:
        UnreadableAudioError: Frames are missing, or the last one is cut.
    """
    stream = scan(content, named=path.suffix.lower() == ".mp3")
    if stream is None:
        return Container(content)
    # Some encoders count the frame with the header, too.
    announced = stream.announced or 0
    cut = stream.cut and not (announced and stream.frames >= announced)
    if cut or stream.frames < announced - 1:
        raise damaged(
            path,
            f"truncated: {stream.frames} whole frames"
            f"{f' of {announced} announced' if announced else ''}; copy it again",
        )
    if stream.has_gap and (not announced or stream.frames > announced):
        raise damaged(
            path,
            f"damaged: {stream.frames} whole frames, and {stream.before} bytes before, "
            f"{stream.between} between and {stream.after} after them that are neither frames nor "
            "tags, so that some audio is missing; copy it again, or write what is there to a new "
            "file (ffmpeg -i old.mp3 new.wav)",
        )
    return Container(_with_length(content, stream), stream.seconds, _SPARE / stream.first.rate)


def scan(content: bytes, *, named: bool = True) -> Mp3Stream | None:
    """Read all frame headers of a file; None where there are none to read.

    Args:
        content: The file's bytes.
        named: Whether the file's name says that it is MP3. Where it does not, it must begin with a
            frame or with a tag.
    """
    begin, end = after_tags(content), before_tags(content)
    if not (named or begin or content[:1] == b"\xff"):
        return None
    start = _next_frame(content, begin, min(end, begin + _SEARCHED), end)
    first = _header(content, start) if start is not None else None
    if start is None or first is None:
        return None
    count, is_audio = _announced(content, start, first)
    audio = start if is_audio else start + first.length
    if start > begin and is_audio:
        # The header's text can outlast the frame that it stood in.
        count = _xing(content[begin + first.xing_at : start])
    place = last = audio
    # Padding that a tag forgot to count is no loss.
    before = len(content[begin:start].lstrip(b"\0") if begin else content[begin:start])
    between = after = frames = 0
    cut = False
    while place < end:
        header = _header(content, place)
        if header is not None and header.like(first):
            if cut := place + header.length > end:
                break
            frames += 1
            place = last = place + header.length
        elif (tagged := _after_inner_tag(content, place)) > place:
            place = tagged
        elif (found := _next_frame(content, place + 1, end, end, first)) is not None:
            between += found - place
            place = found
        else:
            after = 0 if _is_padding(content, place, end) else end - place
            break
    seconds = frames * first.samples / first.rate
    return Mp3Stream(frames, count, cut, before, between, after, first, start, audio, last, seconds)


def _is_padding(content: bytes, place: int, end: int) -> bool:
    """Return whether zeros after a frame are padding, rather than frames that were lost.

    A hole in a file begins anywhere, so that the frame before its zeros ends in zeros, too.
    """
    return content[place - 1] != 0 and not any(content[place:end])


def _after_inner_tag(content: bytes, place: int) -> int:
    """Return where a tag ends that stands between two files that were put together."""
    if content[place : place + 3] == b"TAG" and _header(content, after_tags(content, place + 128)):
        return place + 128
    return after_tag(content, place)


def _with_length(content: bytes, stream: Mp3Stream) -> bytes:
    """Return the frames with a header that gives their number, so that decoders read all."""
    first = stream.first
    frames = content[stream.audio : stream.end]
    if first.layer != _LAYER_3:
        return frames  # such a stream has one bitrate, and its length can be told from it
    has_xing = content[stream.start + first.xing_at :][:4] in _XING
    if stream.announced is not None and stream.audio > stream.start and has_xing:
        # Kept for what else it says: the delay and padding that a decoder cuts off.
        head = bytearray(content[stream.start : stream.audio])
        if stream.announced < stream.frames:
            struct.pack_into(">I", head, first.xing_at + 8, stream.frames)
        return bytes(head) + frames
    head = bytearray(content[stream.start : stream.start + 4])
    head[1] |= 1  # no checksum
    head[2] = _MIDDLE_BITRATE << 4 | head[2] & 0b1100  # same rate, no padding
    header = _header(bytes(head), 0)
    assert header is not None, head.hex()
    head += bytes(header.length - 4)
    struct.pack_into(">4sII", head, header.xing_at, b"Xing", 1, stream.frames)
    return bytes(head) + frames


def _announced(content: bytes, place: int, header: _Header) -> tuple[int | None, bool]:
    """Return the number of frames that the first frame announces, and whether it holds audio."""
    frame = content[place : place + header.length]
    if header.layer == _LAYER_3 and frame[header.xing_at :][:4] in _XING:
        return _xing(frame[header.xing_at :]), False
    if header.layer == _LAYER_3 and frame[36:40] == b"VBRI" and len(frame) >= 54:
        return int.from_bytes(frame[50:54], "big"), False
    return None, True


def _xing(text: bytes) -> int | None:
    """Return the number of frames in a Xing header."""
    if text[:4] not in _XING or len(text) < 12 or not text[7] & 1:
        return None
    return int.from_bytes(text[8:12], "big")


def _header(content: bytes, place: int) -> _Header | None:
    """Read the frame header at a place; None where there is none."""
    if place + 4 > len(content) or content[place] != 0xFF or content[place + 1] & 0xE0 != 0xE0:
        return None
    _, second, third, fourth = content[place : place + 4]
    version, layer = (second >> 3) & 3, (second >> 1) & 3
    bitrate, rate, padding = third >> 4, (third >> 2) & 3, (third >> 1) & 1
    if version not in _RATES or not layer or bitrate in (0, 15) or rate == 3:
        return None
    hertz = _RATES[version][rate]
    bits = 1000 * _BITRATES[version == _MPEG_1, layer][bitrate - 1]
    if layer == _LAYER_1:
        length = (12 * bits // hertz + padding) * 4
    else:
        half = layer == _LAYER_3 and version != _MPEG_1
        length = (72 if half else 144) * bits // hertz + padding
    return _Header(version, layer, hertz, fourth >> 6 == 3, length)


def _next_frame(
    content: bytes, place: int, until: int, end: int, like: _Header | None = None
) -> int | None:
    """Return where a frame begins that others follow, or the end of the stream; None if nowhere.

    Args:
        content: The file.
        place: Where to begin.
        until: Where to stop looking.
        end: Where the stream ends.
        like: A frame of the stream, if one is known.
    """
    while (place := content.find(b"\xff", place, until)) >= 0:
        if _is_chain(content, place, end, like):
            return place
        place += 1
    return None


def _is_chain(content: bytes, place: int, end: int, like: _Header | None) -> bool:
    for number in range(_CHAIN):
        header = _header(content, place)
        if header is None or (like is not None and not header.like(like)):
            return False
        like, place = header, place + header.length
        if place >= end:
            return place == end or number > 0
    return True

"""WAV files of every layout (RIFF, RIFX, RF64, W64): how much audio their headers announce.

libsndfile reads what is there of a cut file without a word, stops where a header says so, and reads
nothing of a file that was written to a pipe, whose writer could not know the length.

References: Microsoft's RIFF specification and mmreg.h; EBU Tech 3306 (RF64); the Wave64 document of
Sonic Foundry.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tempo_tasks.audio.container import Container
from tempo_tasks.audio.refusals import damaged
from tempo_tasks.audio.tags import after_tags, before_tags

# Writers to a pipe leave 0, or one of the greatest numbers, but for a header or rounded to blocks:
# 0x7ffff000 (sox), 0x80000000 (arecord), 0xffffffff (ffmpeg).
_TOPS = (1 << 31, 1 << 32, 1 << 63, 1 << 64)
_ROUND = 8192
_SAMPLES = (1, 3, 6, 7)  # format tags of PCM, float, A-law, mu-law: a block is one sample of each
_EXTENSIBLE = 0xFFFE
_MS_ADPCM, _IMA_ADPCM, _GSM = 2, 0x11, 0x31  # their formats say how many samples a block has
# Of a file's length: byte rates of compressed audio are rounded, those of samples are not.
_ROUNDED = 0.02
_METADATA = (
    *(b"LIST", b"INFO", b"id3 ", b"ID3 ", b"bext", b"iXML", b"_PMX", b"axml", b"cart", b"aXML"),
    *(b"cue ", b"plst", b"smpl", b"inst", b"acid", b"JUNK", b"junk", b"PAD ", b"FLLR", b"PEAK"),
    *(b"umid", b"afsp", b"DISP", b"strc", b"levl", b"chna", b"minf", b"elm1", b"regn", b"note"),
)
_W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"


@dataclass(frozen=True)
class _Layout:
    """Where the chunks are.

    Attributes:
        first: Byte of the first chunk.
        name: Bytes of a chunk's name.
        size: `struct` format of its size.
        align: Chunks begin at multiples of so many bytes.
        counted: Bytes of a chunk's own header that its size counts.
        order: Byte order of all numbers, for `struct`.
    """

    first: int = 12
    name: int = 4
    size: str = "<I"
    align: int = 2
    counted: int = 0
    order: str = "<"


_RIFF = _Layout()
_RIFX = _Layout(size=">I", order=">")
_W64 = _Layout(first=40, name=16, size="<Q", align=8, counted=24)


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    size_at: int
    start: int
    size: int

    def next(self, layout: _Layout) -> int:
        return self.start + self.size + -self.size % layout.align


def is_wav(content: bytes) -> bool:
    """Return whether a file begins as a WAV file of any layout."""
    return (content[:4] in (b"RIFF", b"RIFX", b"RF64") and content[8:12] == b"WAVE") or (
        content[:16] == _W64_RIFF
    )


def inspect(path: Path, content: bytes) -> Container:
    """Read a WAV file's headers.

    Raises:
        UnreadableAudioError: It is cut, its headers contradict each other or the file's length.
    """
    layout = _W64 if content[:4] == b"riff" else _RIFX if content[:4] == b"RIFX" else _RIFF
    form: _Chunk | None = None
    fact: _Chunk | None = None  # samples of compressed audio
    long: _Chunk | None = None  # ds64: the sizes that have no room in the other chunks
    for chunk in _chunks(content, layout, layout.first):
        if chunk.name == b"fmt ":
            form = chunk
        elif chunk.name == b"fact" and chunk.size >= 4:
            fact = chunk
        elif chunk.name == b"ds64" and content[:4] == b"RF64":
            long = chunk
        elif chunk.name == b"data":
            break
    else:
        raise damaged(path, "truncated: a WAV file without audio data; copy it again")
    if form is None or form.size < 16:
        raise damaged(path, "damaged: a WAV file without a format before its data; copy it again")
    data, at, pack = chunk, chunk.size_at, layout.size
    announced = data.size
    if long is not None:
        at, pack = long.start + 8, "<Q"
        (announced,) = struct.unpack_from(pack, content, at)
    there = len(content) - data.start
    whole = _length_of_file(content, layout, long)
    if _is_top(announced) or (announced == 0 and not _only_chunks(content, layout, data.start)):
        if data.start < whole and not _is_top(whole) and whole > len(content):
            raise damaged(
                path, f"truncated: {len(content)} of {whole} announced bytes; copy it again"
            )
        announced = there
        mended = struct.pack(pack, there + (0 if long else layout.counted))
        content = content[:at] + mended + content[at + len(mended) :]
    elif announced > there:
        raise damaged(path, f"truncated: {there} of {announced} announced bytes; copy it again")
    elif not _only_chunks(content, layout, data.start + announced, whole):
        raise damaged(
            path,
            f"its header announces {announced} bytes of audio and {there} bytes follow it, the "
            "others being no chunks; copy it again, or mend its header (ffmpeg -ignore_length 1 "
            "-i old.wav new.wav reads all of it)",
        )
    elif layout is _W64:
        content = content[: data.start + announced]  # libsndfile would read on
    return Container(content, *_seconds(path, content, layout, form, fact, announced))


def _chunks(content: bytes, layout: _Layout, place: int) -> Iterator[_Chunk]:
    """Yield chunks from a place on; the last one may announce more than is there."""
    header = layout.name + struct.calcsize(layout.size)
    while place + header <= len(content):
        (size,) = struct.unpack_from(layout.size, content, place + layout.name)
        if size < layout.counted:
            return
        chunk = _Chunk(
            content[place : place + 4],
            place + layout.name,
            place + header,
            size - layout.counted,
        )
        yield chunk
        place = chunk.next(layout)


def _is_top(size: int) -> bool:
    return any(abs(top - size) <= _ROUND for top in _TOPS)


def _length_of_file(content: bytes, layout: _Layout, long: _Chunk | None) -> int:
    """Return how long a file is by its first header."""
    if layout is _W64:
        return int.from_bytes(content[16:24], "little")
    form, at = ("<Q", long.start) if long else (layout.size, 4)
    (size,) = struct.unpack_from(form, content, at)
    return 8 + int(size)


def _only_chunks(content: bytes, layout: _Layout, end: int, whole: int | None = None) -> bool:
    """Return whether nothing but chunks and tags follows the audio's end, up to the file's.

    Zeros after the length that the file's first header announces (`whole`, in bytes) are padding.
    """
    # Some writers forget the padding of an odd length.
    return any(
        _chunks_to_the_end(content, layout, start, whole)
        for start in {end, end + -end % layout.align}
    )


def _chunks_to_the_end(content: bytes, layout: _Layout, begin: int, whole: int | None) -> bool:
    begin = after_tags(content, begin)
    rest = content[begin : before_tags(content)]
    place = 0
    for chunk in _chunks(rest, layout, 0):
        if not any(chunk.name):
            break
        if chunk.name in _METADATA and chunk.start + chunk.size > len(rest):
            return True  # cut, but none of the audio is
        printable = all(0x20 <= byte < 0x7F for byte in chunk.name)
        if chunk.name == b"data" or not printable or chunk.start + chunk.size > len(rest):
            return False
        place = chunk.next(layout)
    if whole is not None and begin + place >= whole and not any(rest[place:]):
        return True
    return len(rest) - place < layout.name + struct.calcsize(layout.size)


def _seconds(
    path: Path,
    content: bytes,
    layout: _Layout,
    form: _Chunk,
    fact: _Chunk | None,
    size: int,
) -> tuple[float, float]:
    """Return the audio's length and how much of it a decoder may fall short of, in seconds."""
    tag, channels, rate, byte_rate, block, bits = struct.unpack_from(
        layout.order + "HHIIHH", content, form.start
    )
    if tag == _EXTENSIBLE and form.size >= 26:
        (tag,) = struct.unpack_from(layout.order + "H", content, form.start + 24)
    if not channels or not rate or not block or (not byte_rate and tag in _SAMPLES):
        raise damaged(
            path,
            f"damaged header: {channels} channels, {rate} Hz, {byte_rate} bytes a second, blocks "
            f"of {block} bytes; copy it again",
        )
    if tag not in _SAMPLES:
        # Not from the byte rate, unless nothing else tells: it is advice on buffers.
        told = size / byte_rate if byte_rate else 0.0
        in_block = _samples_in_block(path, content, layout, form, tag, channels, block)
        counted = _count(content, layout, fact) if fact else 0
        if in_block:
            seconds, spare = size // block * in_block / rate, 2 * in_block / rate
        elif counted or told:
            seconds = counted / rate or told
            spare = _ROUNDED * seconds + (2 * block / byte_rate if byte_rate else 0.0)
        else:
            raise damaged(path, "damaged header: nothing in it tells its length; copy it again")
        if told > 2 * (seconds + spare):
            raise damaged(
                path,
                f"its header contradicts itself: {seconds:.2f} s at {rate} Hz, but {told:.2f} s at "
                f"{byte_rate} bytes a second; copy it again",
            )
        return seconds, spare
    width, odd = divmod(block, channels)
    if odd or width * 8 < bits or byte_rate != rate * block:
        raise damaged(
            path,
            f"its header contradicts itself: {channels} channels of {bits} bits at {rate} Hz, but "
            f"{block} bytes for each sample and {byte_rate} bytes a second; copy it again",
        )
    return size // block / rate, 0.0


def _samples_in_block(
    path: Path,
    content: bytes,
    layout: _Layout,
    form: _Chunk,
    tag: int,
    channels: int,
    block: int,
) -> int:
    """Return how many samples a block of compressed audio holds for each channel; 0 if unknown."""
    # Four bits a sample after the state of each channel, which holds two samples or one.
    room = {
        _MS_ADPCM: 2 * (block - 7 * channels) // channels + 2,
        _IMA_ADPCM: 2 * (block - 4 * channels) // channels + 1,
        _GSM: 320 * block // 65,
    }.get(tag, 0)
    if room <= 0 or form.size < 20:
        return max(0, room)
    (samples,) = struct.unpack_from(layout.order + "H", content, form.start + 18)
    if not room - 8 <= samples <= room:  # a last word of eight samples may be unused
        raise damaged(
            path,
            f"its header contradicts itself: {samples} samples in each block of {block} bytes, "
            f"which has room for {room}; copy it again",
        )
    return int(samples)


def _count(content: bytes, layout: _Layout, fact: _Chunk) -> int:
    """Return the number of samples that a fact chunk gives; 0 where its writer did not know."""
    if fact.start + 4 > len(content):
        return 0
    (samples,) = struct.unpack_from(layout.order + "I", content, fact.start)
    return 0 if _is_top(samples) else int(samples)

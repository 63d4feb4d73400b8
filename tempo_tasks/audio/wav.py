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

from tempo_tasks.audio.container import Container, damaged
from tempo_tasks.audio.tags import after_tags, before_tags

# Writers to a pipe leave 0, or one of the greatest numbers, but for a header or rounded to blocks:
# 0x7ffff000 (sox), 0x80000000 (arecord), 0xffffffff (ffmpeg).
_TOPS = (1 << 31, 1 << 32, 1 << 63, 1 << 64)
_ROUND = 8192
_SAMPLES = (1, 3, 6, 7)  # format tags of PCM, float, A-law, mu-law: a block is one sample of each
_EXTENSIBLE = 0xFFFE
# Of a file's length: byte rates of compressed audio are rounded, those of samples are not.
_ROUNDED = 0.02
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
    long: _Chunk | None = None  # ds64: the sizes that have no room in the other chunks
    for chunk in _chunks(content, layout, layout.first):
        if chunk.name == b"fmt ":
            form = chunk
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
    if _is_top(announced) or (announced == 0 and not _only_chunks(content, layout, data.start)):
        whole = _length_of_file(content, layout, long)
        if data.start < whole and not _is_top(whole) and whole > len(content):
            raise damaged(
                path, f"truncated: {len(content)} of {whole} announced bytes; copy it again"
            )
        announced = there
        mended = struct.pack(pack, there + (0 if long else layout.counted))
        content = content[:at] + mended + content[at + len(mended) :]
    elif announced > there:
        raise damaged(path, f"truncated: {there} of {announced} announced bytes; copy it again")
    elif not _only_chunks(content, layout, data.start + announced):
        raise damaged(
            path,
            f"its header announces {announced} bytes of audio and {there} bytes follow it, the "
            "others being no chunks; copy it again, or mend its header (ffmpeg -ignore_length 1 "
            "-i old.wav new.wav reads all of it)",
        )
    return Container(content, *_seconds(path, content, layout, form, announced))


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


def _only_chunks(content: bytes, layout: _Layout, end: int) -> bool:
    """Return whether nothing but chunks and tags follows the audio's end, up to the file's."""
    # Some writers forget the padding of an odd length.
    return any(
        _chunks_to_the_end(content, layout, start) for start in {end, end + -end % layout.align}
    )


def _chunks_to_the_end(content: bytes, layout: _Layout, place: int) -> bool:
    rest = content[after_tags(content, place) : before_tags(content)]
    place = 0
    for chunk in _chunks(rest, layout, 0):
        printable = all(0x20 <= byte < 0x7F for byte in chunk.name)
        if chunk.name == b"data" or not printable or chunk.start + chunk.size > len(rest):
            return False
        place = chunk.next(layout)
    return len(rest) - place < layout.name + struct.calcsize(layout.size)


def _seconds(
    path: Path, content: bytes, layout: _Layout, form: _Chunk, size: int
) -> tuple[float, float]:
    """Return the audio's length and how much of it a decoder may fall short of, in seconds."""
    tag, channels, rate, byte_rate, block, bits = struct.unpack_from(
        layout.order + "HHIIHH", content, form.start
    )
    if tag == _EXTENSIBLE and form.size >= 26:
        (tag,) = struct.unpack_from(layout.order + "H", content, form.start + 24)
    if not channels or not rate or not byte_rate or not block:
        raise damaged(
            path,
            f"damaged header: {channels} channels, {rate} Hz, {byte_rate} bytes a second, blocks "
            f"of {block} bytes; copy it again",
        )
    if tag not in _SAMPLES:
        seconds = size / byte_rate
        return seconds, _ROUNDED * seconds + 2 * block / byte_rate
    width, odd = divmod(block, channels)
    if odd or width * 8 < bits or byte_rate != rate * block:
        raise damaged(
            path,
            f"its header contradicts itself: {channels} channels of {bits} bits at {rate} Hz, but "
            f"{block} bytes for each sample and {byte_rate} bytes a second; copy it again",
        )
    return size // block / rate, 0.0

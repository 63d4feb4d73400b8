"""FLAC files: the length in their header beside the one that their last frame tells.

libsndfile reads as many samples as the header says: too few without a word where it is damaged, and
none where the length was not known to the writer.

Reference: RFC 9639, sections 8.2 (streaminfo) and 9.1 (frame header).
"""

from __future__ import annotations

from pathlib import Path

from tempo_tasks.audio.container import Container
from tempo_tasks.audio.refusals import damaged
from tempo_tasks.audio.tags import before_tags

_INFO = 8  # byte of the streaminfo block's content
_RATES = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_UNKNOWN = 0
_CHANNELS = 10  # the greatest code of them that is not reserved
_RESERVED_DEPTH = 3
_LONGEST = 1 << 21  # bytes of a frame: 65,535 samples of 8 channels and 24 bits have room


def inspect(path: Path, content: bytes) -> Container:
    """Compare a FLAC file's header with its last frame.

    Raises:
        UnreadableAudioError: They differ.
    """
    info = content[_INFO : _INFO + 34]
    if len(info) < 34 or content[4] & 0x7F:
        return Container(content)  # no streaminfo: the decoder says so
    rate = int.from_bytes(info[10:13], "big") >> 4
    total = int.from_bytes(info[13:18], "big") & 0xF_FFFF_FFFF
    block = int.from_bytes(info[2:4], "big")
    try:
        last = _last_frame(content, block, total, rate)
    except ValueError:
        raise damaged(
            path,
            f"truncated or damaged: its header announces {total or 'no number of'} samples, and "
            "it does not end with a whole frame; copy it again",
        ) from None
    if last is not None:
        end, own_rate = last
        if total == _UNKNOWN:
            place = _INFO + 13
            number = (info[13] & 0xF0) << 32 | end
            content = content[:place] + number.to_bytes(5, "big") + content[place + 5 :]
            total = end
        if end != total or own_rate not in (None, rate):
            raise damaged(
                path,
                f"truncated or damaged: its header announces {total} samples at {rate} Hz, and its "
                f"last frame ends at sample {end}, at {own_rate or rate} Hz; copy it again",
            )
    return Container(content, total / rate if rate and total else None)


def _last_frame(
    content: bytes, block: int, total: int = _UNKNOWN, rate: int = 0
) -> tuple[int, int | None] | None:
    """Return the sample at which the last frame ends, and the rate it names; None without frames.

    Samples can look like a frame's header, checksum included. So a header counts where it agrees
    with the file's, or where the checksum of its frame, from there to the end of the audio, is
    right.

    Args:
        content: The file.
        block: Samples in each frame but the last, where all have the same.
        total: Samples that the file's header announces.
        rate: Rate of the file's header, in Hz.

    Raises:
        ValueError: There are frames, but the last one is not whole.
    """
    place = done = end = before_tags(content)
    crc, seen = 0, False
    while (place := content.rfind(b"\xff", 0, place)) >= 0:
        found = _frame(content[place : place + 16], block)
        if found is None:
            continue
        if found[0] == total and found[1] in (None, rate):
            return found
        seen = True
        if end - place <= _LONGEST:
            crc, done = _crc16_backwards(content[place:done], crc), place
            if not crc:
                return found
    if seen:
        raise ValueError("no frame ends where the audio does")
    return None


def _frame(head: bytes, block: int) -> tuple[int, int | None] | None:
    """Read a frame header: where the frame ends and its rate; None where there is none."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    if head[3] >> 4 > _CHANNELS or (head[3] >> 1 & 7) == _RESERVED_DEPTH:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 0xF
    # The number is coded as UTF-8 codes characters, but up to 36 bits.
    ones = 8 - (~head[4] & 0xFF).bit_length()
    if ones == 1 or ones == 8 or not size_code or rate_code == 15:
        return None
    at = 4 + max(1, ones)
    number = head[4] & (0x7F >> ones)
    for byte in head[5:at]:
        number = number << 6 | byte & 0x3F
    size, at = _samples(head, size_code, at)
    rate, at = _rate(head, rate_code, at)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    return (number if head[1] & 1 else number * block) + size, rate


def _samples(head: bytes, code: int, at: int) -> tuple[int, int]:
    if code in (6, 7):
        more = code - 5
        return int.from_bytes(head[at : at + more], "big") + 1, at + more
    if code == 1:
        return 192, at
    return (144 << code if code < 6 else 1 << code), at


def _rate(head: bytes, code: int, at: int) -> tuple[int | None, int]:
    if code < len(_RATES):
        return _RATES[code] or None, at
    more = 1 if code == 12 else 2
    unit = {12: 1000, 13: 1, 14: 10}[code]
    return int.from_bytes(head[at : at + more], "big") * unit, at + more


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def _divided(value: int) -> int:
    """Divide by x^8, modulo the polynomial of the frames' checksum."""
    for _ in range(8):
        value = (value ^ 0x1_8005 if value & 1 else value) >> 1
    return value


_DIVIDED = tuple(_divided(value) for value in range(256))


def _crc16_backwards(data: bytes, after: int) -> int:
    """Return the checksum of bytes and of those after them, whose own is given.

    Taken from the end on, it is had for every place of a file in one pass. It is the remainder of
    the usual one (polynomial 0x8005, initial 0) times a power of x, so that it is 0 for the same
    bytes: those of a whole frame, its two of checksum included.
    """
    for byte in reversed(data):
        after = after >> 8 ^ _DIVIDED[(after ^ byte) & 0xFF]
    return after

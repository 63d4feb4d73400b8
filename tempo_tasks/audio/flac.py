"""FLAC files: the length in their header beside the one that their last frame tells.

libsndfile reads as many samples as the header says: too few without a word where it is damaged, and
none where the length was not known to the writer.

Reference: RFC 9639, sections 8.2 (streaminfo) and 9.1 (frame header).
"""

from __future__ import annotations

from pathlib import Path

from tempo_tasks.audio.container import Container, damaged

_INFO = 8  # byte of the streaminfo block's content
_RATES = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_UNKNOWN = 0


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
    last = _last_frame(content, int.from_bytes(info[2:4], "big"))
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


def _last_frame(content: bytes, block: int) -> tuple[int, int | None] | None:
    """Return the sample at which the last frame ends, and the rate it names, if any.

    Args:
        content: The file.
        block: Samples in each frame but the last, where all have the same.
    """
    place = len(content)
    while (place := content.rfind(b"\xff", 0, place)) >= 0:
        found = _frame(content[place : place + 16], block)
        if found is not None:
            return found
    return None


def _frame(head: bytes, block: int) -> tuple[int, int | None] | None:
    """Read a frame header: where the frame ends and its rate; None where there is none."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1:
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

"""Tags before and after a stream of audio: ID3v1, ID3v2.2 to 2.4, APE, Lyrics3 of both versions.

References: id3.org (ID3v2.4 section 3), the APEv2 specification, Lyrics3 v1.00 and v2.00.
"""

from __future__ import annotations

_ID3V1 = 128
_APE = 32  # of its header and of its footer
_LYRICS = 5100  # the most text that version 1 may hold


def after_tag(content: bytes, place: int) -> int:
    """Return where the tag ends that begins at a place; the place itself where none does."""
    head = content[place : place + _APE]
    if head[:3] == b"ID3" and len(head) >= 10 and max(head[3:5]) < 0xFF and max(head[6:10]) < 0x80:
        a, b, c, d = head[6:10]  # seven bits each, so that no byte looks like a frame's start
        footer = 10 if head[3] == 4 and head[5] & 0x10 else 0
        return place + 10 + (a << 21 | b << 14 | c << 7 | d) + footer
    if head[:8] == b"APETAGEX" and len(head) == _APE and head[23] & 0x20:
        # The size counts the footer and not this header.
        return place + _APE + int.from_bytes(head[12:16], "little")
    return place


def after_tags(content: bytes, place: int = 0) -> int:
    """Return where the audio begins after any number of tags."""
    while (end := after_tag(content, place)) > place:
        place = end
    return place


def before_tags(content: bytes) -> int:
    """Return where the audio ends before any number of tags at the end."""
    end = len(content)
    while (start := _before_tag(content, end)) < end:
        end = start
    return end


def _before_tag(content: bytes, end: int) -> int:
    if content[end - _ID3V1 : end - _ID3V1 + 3] == b"TAG" and end >= _ID3V1:
        return end - _ID3V1
    if end >= _APE and content[end - _APE : end - _APE + 8] == b"APETAGEX":
        foot = content[end - _APE : end]
        header = _APE if foot[23] & 0x80 else 0
        return max(0, end - int.from_bytes(foot[12:16], "little") - header)
    if end >= 10 and content[end - 10 : end - 7] == b"3DI" and max(content[end - 4 : end]) < 0x80:
        a, b, c, d = content[end - 4 : end]
        return max(0, end - 20 - (a << 21 | b << 14 | c << 7 | d))
    if content[end - 9 : end] == b"LYRICS200" and content[end - 15 : end - 9].isdigit():
        return max(0, end - 15 - int(content[end - 15 : end - 9]))
    if content[end - 9 : end] == b"LYRICSEND":
        begin = content.rfind(b"LYRICSBEGIN", max(0, end - 9 - _LYRICS - 11), end)
        return begin if begin >= 0 else end
    return end

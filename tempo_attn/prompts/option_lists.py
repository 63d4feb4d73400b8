"""Lists of options in a prompt's text: on lines, inside a line, or quoted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from tempo_attn.prompts.decoded_text import Span

# U+FFFC is what a prompt's text has for audio, padding and special tokens: it ends a line too.
_LINE = re.compile(r"(?:\A|(?<=[\n\ufffc]))[ \t]*(\(?)([A-Z])([.):])[ \t]*([^\n\ufffc]*)")
# "A. xxx" that stands on the question's line, before a line that begins with "B.".
_SAME_LINE = re.compile(r".*(?<=\s)(\(?)(A)([.):])[ \t]+([^\n\ufffc]*)\s*\Z")
_MARK = re.compile(r"(?<!\w)\(([A-Z])\)|(?<![^\s\ufffc])([A-Z])(?:\.(?=\s)|\))")
_QUOTED = re.compile(
    r"\"([^\"\n\ufffc]+)\"|“([^”\n\ufffc]+)”|(?<!\w)‘([^\n\ufffc]+?)’(?!\w)"
    r"|(?<!\w)'((?:[^'\n\ufffc]|(?<=\w)'(?=\w))+)'(?!\w)"
)
_SEPARATOR = re.compile(r"(?:[ \t,;/|、，]|\b(?:or|and)\b)*")
_JOINED = re.compile(r"(?<!\w)(?:or|and)\Z")
# What ends the last option inside a line: not a full stop after one or two letters ("St. Bernard").
_AFTER_LAST = re.compile(r"(?<!\b\w)(?<!\b\w\w)[.?!]\s+(?=[A-Z])|[。？！\n\ufffc]")
_TRAILING = " \t\r\n.,;:!?…。、，；：！？"


@dataclass(frozen=True)
class OptionBlock:
    """A list of options: where it begins, and the characters of each name."""

    start: int
    names: tuple[Span, ...]

    @property
    def end(self) -> int:
        """Where the last name ends."""
        return self.names[-1][1]


def option_blocks(text: str, start: int = 0) -> list[OptionBlock]:
    """Return the lists of options after `start`, by their beginning.

    Options on lines of their own outrank those inside a line, which captions and instructions
    imitate more easily ("by A. Smith and B. Jones").
    """
    on_lines = list(_line_blocks(text, start))
    if on_lines:
        return on_lines
    inside = [*_inline_blocks(text, start), *_quoted_blocks(text, start)]
    return sorted(inside, key=lambda block: block.start)


def _line_blocks(text: str, start: int) -> Iterator[OptionBlock]:
    """Yield lists such as "A. xxx", "B. yyy" on consecutive lines (blank ones apart)."""
    chain: list[re.Match[str]] = []
    for match in [*_lettered_lines(text, start), None]:
        if match and chain and _continues(text, chain[-1], match):
            chain.append(match)
            continue
        if chain:
            yield from _block(text, chain[0].start(1), [line.span(4) for line in chain])
        chain = [match] if match and match[2] == "A" else []


def _lettered_lines(text: str, start: int) -> Iterator[re.Match[str]]:
    last = None
    for match in _LINE.finditer(text, start):
        if match[2] == "B" and not (last and _continues(text, last, match)):
            line = text.rfind("\n", start, len(text[: match.start()].rstrip())) + 1
            on_same_line = _SAME_LINE.match(text, max(line, start), match.start())
            if on_same_line and _continues(text, on_same_line, match):
                yield on_same_line
        yield match
        last = match


def _continues(text: str, last: re.Match[str], match: re.Match[str]) -> bool:
    same_marker = (match[1], match[3]) == (last[1], last[3])
    next_letter = ord(match[2]) == ord(last[2]) + 1
    return same_marker and next_letter and not text[last.end() : match.start()].strip("\n\r \t")


def _inline_blocks(text: str, start: int) -> Iterator[OptionBlock]:
    """Yield lists such as "(A) xxx (B) yyy" or "A. xxx B. yyy", also broken before a letter."""
    marks = list(_MARK.finditer(text, start))
    for number, first in enumerate(marks):
        if _letter(first) != "A":
            continue
        chain = [first]
        for mark in marks[number + 1 :]:
            if re.search(r"[\n\ufffc]", text[chain[-1].end() : mark.start()].strip()):
                break
            if first[0].replace("A", _letter(mark)) == mark[0] and (
                ord(_letter(mark)) == ord(_letter(chain[-1])) + 1
            ):
                chain.append(mark)
        stop = _AFTER_LAST.search(text, chain[-1].end())
        ends = [*(mark.start() for mark in chain[1:]), stop.start() if stop else len(text)]
        yield from _block(
            text, first.start(), [(m.end(), end) for m, end in zip(chain, ends, strict=True)]
        )


def _letter(mark: re.Match[str]) -> str:
    return mark[1] or mark[2]


def _quoted_blocks(text: str, start: int) -> Iterator[OptionBlock]:
    """Yield lists of quoted strings on one line."""
    chain: list[re.Match[str]] = []
    for match in [*_QUOTED.finditer(text, start), None]:
        if match and chain and _SEPARATOR.fullmatch(text, chain[-1].end(), match.start()):
            chain.append(match)
            continue
        # 'Answer with "A", "B" or "C"' lists letters, not options.
        if any(len(match[match.lastindex or 0]) > 1 for match in chain):
            names = [match.span(match.lastindex or 0) for match in chain]
            yield from _block(text, chain[0].start(), names)
        chain = [match] if match else []


def _block(text: str, start: int, names: list[Span]) -> Iterator[OptionBlock]:
    """Yield the block of these names if at least the first two are names at all."""
    trimmed = []
    for span in names:
        begin, end = _trim(text, *span)
        if not re.search(r"\w", text[begin:end]):
            break
        trimmed.append((begin, end))
    if len(trimmed) > 1:
        yield OptionBlock(start, tuple(trimmed))


def _trim(text: str, start: int, end: int) -> Span:
    """Return a name's span without enclosing quotes, trailing punctuation and a trailing "or"."""
    name = _JOINED.sub("", text[start:end].rstrip(_TRAILING)).rstrip(_TRAILING)
    end = start + len(name)
    start = end - len(name.lstrip())
    quoted = _QUOTED.fullmatch(text, start, end)
    return _trim(text, *quoted.span(quoted.lastindex or 0)) if quoted else (start, end)


def normal_name(name: str) -> str:
    """Return a name for comparison."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).rstrip(_TRAILING).casefold()

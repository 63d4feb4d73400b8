"""Damaged files for the fuzz of readers: bytes, cells and values that no one meant."""

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tempo_tasks.errors import TempoError

CELLS = (
    *("", " ", "\0", "\ufeff", "\u2028", "\ufffc", "\x85", "a\nb", "a\r\nb", '"', '"a', 'a"b', ","),
    *("a, b", ";", "nan", "-inf", "1e999", "-1", "0", "1_0", "٣", "[1-2]", "[1-2", "[]", "[nan-1]"),
    *(
        "None",
        "null",
        "../x",
        "/etc/passwd",
        "C:\\x",
        "a" * 300,
        "<audio>",
        "<|im_end|>",
        "E",
        "AB",
    ),
    *("Ｂ", "e\u0301", "=1+1", "'", "\\", "{}", "%s", "\t", "*"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**70, 10**400, 1.5, float("nan"), float("inf"), -1e308, ""),
    *("a", "\ud800", "\0", "a\nb", [], {}, [[]], [None], {"a": None}, {"path": 1}, "A", ["A"]),
)
BYTES = (
    *(
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b'"',
        b"'",
        b",",
        b"\n",
        b"\r",
        b"{",
        b"}",
        b"[",
    ),
    *(b"]", b"[" * 3000, b'{"a":' * 3000, b"9" * 5000, b"NaN", b"-Infinity", b"1e999", b"\\ud800"),
    *(b"x" * 140_000, b"\xe2\x80\xa8", b"null", b":", b"-", b"e", b"0"),
)


def damaged_bytes(content: bytes, draw: random.Random) -> bytes:
    """Return the content with a few bytes changed, lost, doubled or put in."""
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        at = draw.randrange(len(content) + 1)
        end = min(len(content), at + draw.choice([0, 1, 1, 2, 8, 60]))
        what = draw.randrange(5)
        if what == 0:
            content = content[:at]
        elif what == 1:
            content = content[:at] + content[end:]
        elif what == 2:
            content = content[:end] + content[at:]
        elif what == 3:
            content = content[:at] + draw.choice(BYTES) + content[end:]
        else:
            content = content[:at] + draw.randbytes(end - at) + content[end:]
    return content


def damaged_table(content: bytes, draw: random.Random) -> bytes:
    """Return a CSV file with a cell replaced, added or lost, or a row lost or doubled."""
    rows = list(csv.reader(io.StringIO(content.decode())))
    for _ in range(draw.choice([1, 1, 2])):
        row = draw.choice(rows)
        at = draw.randrange(len(row) + 1)
        what = draw.randrange(6)
        if what == 0 and row:
            row.pop(min(at, len(row) - 1))
        elif what == 1:
            row.insert(at, draw.choice(CELLS))
        elif what == 2:
            rows.insert(draw.randrange(len(rows)), list(row))
        elif row:
            row[min(at, len(row) - 1)] = draw.choice(CELLS)
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def damaged_value(value: Any, draw: random.Random) -> Any:
    """Return JSON data with something inside replaced, renamed, lost or doubled."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        what = draw.randrange(8)
        rest = {name: inner for name, inner in value.items() if name != key}
        if what == 0:
            return rest
        if what == 1:
            return {**rest, draw.choice(["", "a", key.upper(), f"{key} "]): value[key]}
        return {**value, key: damaged_value(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        what = draw.randrange(8)
        if what == 0:
            return value[:at] + value[at + 1 :]
        if what == 1:
            return [*value[:at], value[at], *value[at:]]
        return [*value[:at], damaged_value(value[at], draw), *value[at + 1 :]]
    return draw.choice(VALUES)


def damaged_json(content: bytes, draw: random.Random) -> bytes:
    """Return a JSON file with a value replaced."""
    return json.dumps(damaged_value(json.loads(content), draw)).encode()


def damaged_lines(content: bytes, draw: random.Random) -> bytes:
    """Return a JSON Lines file with a value replaced in one line."""
    lines = content.splitlines()
    at = draw.randrange(len(lines))
    lines[at] = damaged_json(lines[at], draw)
    return b"\n".join(lines) + b"\n"


def damage(path: Path, whole: bytes, draw: random.Random) -> None:
    """Write a damaged version of a file; what kind of file it is, its name tells."""
    kinds = {".csv": damaged_table, ".json": damaged_json, ".jsonl": damaged_lines}
    kind = kinds.get(path.suffix, damaged_bytes)
    path.write_bytes(draw.choice([damaged_bytes, kind, kind])(whole, draw))


def ends_well(read: Callable[[], object], names: tuple[str, ...], given: bytes) -> bool:
    """Whether reading gave a result; an error must be one of ours and name the file.

    Args:
        read: Reads the damaged file.
        names: What the error may call the file: its name, or that of its folder or set.
        given: The damaged file, for the message of a failure.
    """
    try:
        read()
    except TempoError as error:
        message = str(error)
        assert any(name in message for name in names), f"{message!r} names none of {names}"
        return False
    except BaseException as error:
        raise AssertionError(f"{type(error).__name__}: {error}, for {given[:4000]!r}") from error
    return True

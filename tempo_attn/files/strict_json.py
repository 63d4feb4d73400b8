"""Strict reading of small JSON files that strangers share: bytes in, one plain object out.

`parse_json_object` is stricter than `json`: bounded size, depth and numbers; UTF-8 only; no
repeated keys; no NaN. Every refusal is a `ConfigError` that names the file. Nothing in the file is
executed or looked up.
"""

from __future__ import annotations

import json
import math
import stat
from collections import Counter
from pathlib import Path
from typing import Any

from tempo_attn.errors import ConfigError

MAX_BYTES = 2**20
MAX_DEPTH = 32
# 64-bit integers; Python's own limit of 4300 digits can be switched off, and is then quadratic.
MAX_DIGITS = 19


def read_json_object(path: Path) -> dict[str, Any]:
    """Read the JSON object in the file at `path`.

    Raises:
        ConfigError: The file cannot be read, is larger than `MAX_BYTES`, or does not hold one valid
            JSON object.
    """
    return parse_json_object(read_bounded(path), str(path))


def read_bounded(path: Path, limit: int = MAX_BYTES, kind: str = "a JSON file") -> bytes:
    """Return the bytes of a regular file of at most `limit` bytes.

    Args:
        path: The file.
        limit: The largest number of bytes.
        kind: What is expected, for messages.

    Raises:
        ConfigError: The file is missing, unreadable, too large, or a device or pipe.
    """
    try:
        # Looked at before opening: opening a pipe blocks, and a device never ends.
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{path}: not a regular file; expected {kind}")
        if found.st_size > limit:
            if limit == MAX_BYTES:
                raise too_large(str(path), f"{found.st_size:,}")
            raise ConfigError(
                f"{path}: {found.st_size:,} bytes; expected {kind} of at most {limit:,}"
            )
        with path.open("rb") as file:
            data = file.read(limit + 1)  # bounded as well: the file may have grown
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return data


def parse_json_object(data: bytes, where: str) -> dict[str, Any]:
    """Parse `data` as one JSON object.

    Args:
        data: The bytes of a file, UTF-8; a byte order mark is skipped.
        where: What the bytes are, for error messages: a path.

    Raises:
        ConfigError: As the module says.
    """
    if len(data) > MAX_BYTES:
        raise too_large(where, f"{len(data):,}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{where}: not UTF-8 (byte {error.start}: {error.reason}); save the file as UTF-8 JSON"
        ) from error
    _check_depth(text, where)

    def pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ConfigError(
                f"{where}: the key {twice[:80]!r} occurs twice in one object; keep one"
            )
        return found

    def bounded_int(digits: str) -> int:
        if len(digits.lstrip("-")) > MAX_DIGITS:
            raise ConfigError(
                f"{where}: the integer {digits[:20]}... has {len(digits):,} characters; expected "
                f"at most {MAX_DIGITS} digits"
            )
        return int(digits)

    def finite_float(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise ConfigError(f"{where}: the number {digits[:40]} is too large for a 64-bit float")
        return value

    def no_constant(name: str) -> Any:
        raise ConfigError(f"{where}: {name} is not JSON; expected a finite number or null")

    try:
        value = json.loads(
            text,
            object_pairs_hook=pairs_once,
            parse_int=bounded_int,
            parse_float=finite_float,
            parse_constant=no_constant,
        )
        # An escaped half of a surrogate pair parses, but can be neither printed nor saved again.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{where}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}. "
            "The file may be cut short or edited by hand; fetch or save it again"
        ) from error
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{where}: a string holds half of a surrogate pair; expected Unicode text"
        ) from error
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: holds a JSON {_kind(value)}; expected an object {{...}}")
    return value


def parse_json(text: str | bytes, *, finite: bool = False) -> Any:
    """Parse JSON of data and results, which may be large; for what strangers share see above.

    Args:
        text: The JSON text.
        finite: Refuse NaN, Infinity and numbers too large for a 64-bit float.

    Raises:
        ValueError: It is not JSON; a key stands twice in one object, of which `json` would take the
            last without a word; or it is nested deeper than can be read.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
        return found

    def number(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise ValueError(f"{digits[:40]} is no finite number")
        return value

    strict: dict[str, Any] = {"parse_float": number, "parse_constant": number} if finite else {}
    try:
        return json.loads(text, object_pairs_hook=once, **strict)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def too_large(where: str, n_bytes: str) -> ConfigError:
    """Return the error for something that is, or would be, larger than `MAX_BYTES`."""
    return ConfigError(
        f"{where}: {n_bytes} bytes; expected at most {MAX_BYTES:,}. A configuration has a few "
        "hundred; keep results and data in files of their own"
    )


def _check_depth(text: str, where: str) -> None:
    """Refuse deep nesting before the parser, which recurses, sees it."""
    depth = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError(f"{where}: nested deeper than {MAX_DEPTH} levels; flatten it")
        elif character in "]}":
            depth -= 1


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
    return names[type(value)]

"""Samples in their one form: a JSON line an item, sorted, without what belongs to one machine.

A line has `doc` (the document), `resps` (what the model said, raw), `filtered_resps` (what was
scored), `acc` (the credit), and `letter_probabilities` where the run has them beside a text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tempo_attn.files.strict_json import parse_json

LETTER_PROBABILITIES = "letter_probabilities"
KEYS = ("doc", "resps", "filtered_resps", "acc", LETTER_PROBABILITIES)
MAX_LINE = 1 << 18  # characters; a document has two thousand, an answer a few more
DEEPEST = 8

Line = dict[str, Any]


def canonical(line: Mapping[str, Any], acc: float) -> Line:
    """Return a sample of the harness in the one form.

    Args:
        line: A line of the harness's samples file.
        acc: The credit, by the rules of this release.
    """
    kept = {key: line[key] for key in KEYS if key in line}
    return {**kept, "acc": acc}


def write_lines(lines: list[Line]) -> bytes:
    """Return the file of some samples, sorted by item and rotation."""
    ordered = sorted(lines, key=lambda line: key_of(line["doc"]))
    texts = (
        json.dumps(line, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        for line in ordered
    )
    return "".join(f"{text}\n" for text in texts).encode()


def key_of(doc: Mapping[str, Any]) -> tuple[str, int]:
    """Return what names a document among those of its task."""
    return str(doc["id"]), int(doc.get("rotation") or 0)


def read_lines(path: Path) -> Iterator[tuple[int, Line]]:
    """Yield the samples of a stranger's file with their line numbers.

    Raises:
        ValueError: A line that is too long, not JSON, not finite or no object; the message has its
            number.
    """
    with path.open(encoding="utf-8", newline="\n") as file:
        number = 0
        while text := file.readline(MAX_LINE + 1):
            number += 1
            if len(text) > MAX_LINE:
                raise ValueError(f"line {number}: more than {MAX_LINE:,} characters")
            try:
                found = parse_bounded(text, DEEPEST)
            except ValueError as error:
                raise ValueError(f"line {number}: not JSON of finite numbers ({error})") from None
            if not isinstance(found, dict) or set(found) - set(KEYS):
                raise ValueError(f"line {number}: expected an object with {', '.join(KEYS)}")
            yield number, found


def parse_bounded(text: str | bytes, deepest: int = 32) -> Any:
    """Parse a stranger's JSON.

    Args:
        text: The JSON text.
        deepest: Levels of lists and objects in each other, at most.

    Raises:
        ValueError: It is not JSON of finite numbers, or nested deeper.
    """
    found = parse_json(text, finite=True)
    opening = (b"[", b"{") if isinstance(text, bytes) else ("[", "{")
    # With no more brackets than levels there is nothing to look for, and looking takes a while.
    if sum(map(text.count, opening)) > deepest and _too_deep(found, deepest):  # type: ignore[arg-type]
        raise ValueError(f"nested deeper than {deepest} levels")
    return found


def _too_deep(value: Any, left: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return left == 0 or any(_too_deep(part, left - 1) for part in inner)


def answer_of(line: Mapping[str, Any], *, generates: bool) -> list[Any]:
    """Return a sample's answer as the scoring functions take it.

    Args:
        line: The sample.
        generates: Whether the answer is a text; else there are four log-likelihoods.

    Raises:
        ValueError: It is no such thing; the message says what is wrong.
    """
    given = line.get("filtered_resps")
    raw = line.get("resps")
    if not isinstance(given, list) or not isinstance(raw, list):
        raise ValueError("filtered_resps and resps are no lists")
    if [part[0] if isinstance(part, list) and part else None for part in raw] != given:
        raise ValueError("filtered_resps is not what resps holds first")
    if generates:
        text = given[0] if len(given) == 1 else None
        while isinstance(text, list) and text:
            text = text[0]
        if not isinstance(text, str):
            raise ValueError(f"filtered_resps is {str(given)[:80]}, expected one text")
        return [text]
    if len(given) != 4:
        raise ValueError(f"filtered_resps has {len(given)} entries, expected 4 log-likelihoods")
    return [(_log_likelihood(pair), _is_greedy(pair)) for pair in given]


def _log_likelihood(pair: Any) -> float:
    try:
        value = float(pair[0])
    except (TypeError, ValueError, IndexError, KeyError, OverflowError):
        raise ValueError(f"filtered_resps has {str(pair)[:80]}, no log-likelihood") from None
    # Sums of logarithms in bfloat16 end a little above 0.
    if math.isnan(value) or value > 1e-2:
        raise ValueError(f"a log-likelihood is {value}; none lies above 0")
    return value


def _is_greedy(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) > 1 and pair[1] in (True, "True")

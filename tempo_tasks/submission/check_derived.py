"""The files that follow from a bundle's samples, against those worked out again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tempo_tasks.submission.derived_files import to_bytes
from tempo_tasks.submission.differences import differences
from tempo_tasks.submission.sample_lines import parse_bounded
from tempo_tasks.submission.schema import DERIVED, EVERY_EVAL_EVER, STATISTICS

LISTED = 3


def check_derived(
    folder: Path, files: Mapping[str, Any] | None, present: Collection[str]
) -> Iterator[str]:
    """Yield how files differ from what the samples give.

    Args:
        folder: The bundle.
        files: What the samples give, as `derived_files` returns it; None where they cannot be read.
        present: Names of the bundle's files.
    """
    for name in files if files is not None else DERIVED:
        if name not in present:
            yield f"{name}: missing"
        elif files is not None:
            yield from _compared(folder, name, files[name])


def _compared(folder: Path, name: str, ours: Any) -> Iterator[str]:
    content = (folder / name).read_bytes()
    if content == to_bytes(ours):
        return
    try:
        theirs, expected = _parsed(name, content), _parsed(name, ours)
    except ValueError as error:
        yield f"{name}: cannot be read: {str(error)[:200]}"
        return
    wrong = differences(expected, theirs)
    for fault in wrong[:LISTED]:
        yield f"{name}: {fault} by the samples"
    if len(wrong) > LISTED:
        yield f"{name}: and {len(wrong) - LISTED} more differences"


def _parsed(name: str, content: Any) -> Any:
    if not isinstance(content, bytes):
        found = content
    elif name.endswith(".jsonl"):
        found = [parse_bounded(line) for line in content.splitlines()]
    elif name.endswith(".yaml"):
        found = content.decode()  # never parsed: aliases of YAML can grow without bound
    else:
        found = parse_bounded(content)
    if name == STATISTICS and isinstance(found, dict):
        found = {key: value for key, value in found.items() if key != "tempo_version"}
    if name.startswith(EVERY_EVAL_EVER) and isinstance(found, dict):
        # Its checksum is of bytes, whose last digits may differ: the rows are compared instead.
        found = {**found, "detailed_evaluation_results": None}
    return found

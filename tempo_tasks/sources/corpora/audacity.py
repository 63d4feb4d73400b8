"""Audacity's label tracks: one text file a clip, `start<TAB>end<TAB>label` a line, seconds.

A line that begins with a backslash holds the frequencies of the label before it, and is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tempo_tasks.errors import DataVersionError
from tempo_tasks.sources.intervals import EventRow


def is_label_track(first_line: str) -> bool:
    """Return whether a file that begins with this line is a label track."""
    cells = first_line.split("\t")
    return len(cells) >= 2 and all(map(_is_number, cells[:2]))


def audacity_events(file: Path) -> Iterator[EventRow]:
    """Yield the labels of a track; the clip is called as the file without its ending.

    Raises:
        DataVersionError: A line that is no label, or no UTF-8.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise DataVersionError(f"{file}: not readable as a label track: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("\\"):
            continue
        cells = line.split("\t")
        if len(cells) != 3:
            raise DataVersionError(
                f"{file}, line {number}: {line[:80]!r}; expected start, end and label with tabs "
                "between them, as Audacity exports labels"
            )
        start, end, label = cells
        yield (
            file.name,
            number,
            {"filename": file.stem, "label": label, "onset": start, "offset": end},
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

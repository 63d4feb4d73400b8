"""Interval CSVs: which label sounds when in which clip.

Two layouts are read. One row an event, as the authors of arXiv 2606.17417 publish theirs:
`filename, subclass, intervals` with intervals such as "[0.93-1.40, 2.28-2.75]"; or one row an
interval: `filename, label, onset, offset`. Times are seconds from the start of the clip. Nothing is
guessed: rows that cannot be are listed in one error. What is harmless is repaired and recorded.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tempo_tasks.errors import BadIntervalsError, DataVersionError
from tempo_tasks.questions.events import Clip, Event, Interval
from tempo_tasks.questions.spelling import breaks_line, plain_label
from tempo_tasks.sources.csv_reader import csv_rows, listed

LABEL_COLUMNS = ("label", "subclass", "text", "event_label")
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?nan|[-+]?inf)"
_SPAN = re.compile(rf"\s*{_NUMBER}\s*-\s*{_NUMBER}\s*", re.IGNORECASE)
# Annotators drag the end of a region to the end of the clip; its decoded length may be shorter.
_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Repair:
    """What was changed in a row that could not be taken as it stands.

    Attributes:
        row: Number of the row, the first after the header being 1.
        filename: The clip.
        what: What was found and what became of it.
        file: Name of the file.
    """

    row: int
    filename: str
    what: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}, {self.filename}: {self.what}"


@dataclass(frozen=True)
class IntervalTable:
    """Clips with their events.

    Attributes:
        name: Names of the files.
        clips: Clips with their events, by filename; without audio or caption.
        repairs: What was changed.
        rows: How many rows were read.
    """

    name: str
    clips: Mapping[str, Clip]
    repairs: tuple[Repair, ...]
    rows: int

    @property
    def labels(self) -> Counter[str]:
        """How many clips each label occurs in."""
        return Counter(label for clip in self.clips.values() for label in clip.labels)


def read_intervals(
    paths: Path | Sequence[Path],
    *,
    repair: bool = False,
    durations: Mapping[str, float] | None = None,
    relabel: Callable[[str], str] = str.strip,
) -> IntervalTable:
    """Read interval CSVs.

    Always repaired, and recorded: intervals of zero length are dropped (nothing sounds), two rows
    of one event become one, and so do intervals of an event that overlap (an event is their union).

    Args:
        paths: One file or several.
        repair: Also repair, and record: reversed intervals are turned round, intervals beyond the
            clip cut at its end, and spellings of a label that differ only in case, blanks or
            underscores become the most frequent one.
        durations: Length of clips in seconds, by filename, where known.
        relabel: From what stands in a row to the label; default: without blanks around it.

    Raises:
        DataUnavailableError: There is no such file.
        DataVersionError: No CSV file, or columns are missing.
        BadTableError: Rows with more cells than the header, such as labels with unquoted commas.
        BadIntervalsError: Rows that cannot be; all are named.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    name = ", ".join(file.name for file in files)
    return gather(
        csv_events(files), name, repair=repair, durations=durations or {}, relabel=relabel
    )


EventRow = tuple[str, int, Mapping[str, str]]
"""Name of a file, number of a row in it, and its cells: `filename`, a label, and times."""


def csv_events(files: Iterable[Path]) -> Iterator[EventRow]:
    """Yield the rows of interval CSVs; see `read_intervals` for errors."""
    for file in files:
        check = partial(_refuse_other_columns, file)
        for number, row in csv_rows(file, check, what="an interval CSV"):
            yield file.name, number, row


def gather(
    rows: Iterable[EventRow],
    name: str,
    *,
    repair: bool,
    durations: Mapping[str, float],
    relabel: Callable[[str], str] = str.strip,
) -> IntervalTable:
    """Return the clips of rows, whichever files they are from; see `read_intervals`.

    Args:
        rows: The rows. `durations` is looked up when a row is read, so it may grow meanwhile.
        name: Names of the files.
        repair: As for `read_intervals`, like the rest.
        durations: Length of clips, seconds.
        relabel: From what stands in a row to the label.
    """
    draft = _Draft(repair, durations, relabel)
    for file, number, row in rows:
        draft.rows += 1
        try:
            draft.add(file, number, row)
        except BadIntervalsError as error:
            draft.faults.append(f"  {file}, row {number}: {error}")
    clips = draft.clips()
    if draft.faults:
        raise BadIntervalsError(
            f"{name}: {len(draft.faults)} rows cannot be used; correct them, or read them with the "
            "option to repair (each repair is recorded):\n" + listed(draft.faults)
        )
    if not clips:
        raise BadIntervalsError(f"{name}: no event in {draft.rows} rows; expected at least one")
    return IntervalTable(name, clips, tuple(draft.repairs), draft.rows)


@dataclass
class _Draft:
    """Intervals gathered so far, and what is wrong with the rows."""

    repair: bool
    durations: Mapping[str, float]
    relabel: Callable[[str], str]
    found: dict[str, dict[str, list[Interval]]] = field(default_factory=dict)
    first_row: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    repairs: list[Repair] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    rows: int = 0

    def add(self, file: str, number: int, row: Mapping[str, str]) -> None:
        filename = row["filename"]
        label = self.relabel(next(row[name] for name in LABEL_COLUMNS if name in row))
        if not filename.strip() or not label:
            raise BadIntervalsError(f"filename {filename!r}, label {label!r}: expected text")

        if breaks_line(label):
            raise BadIntervalsError(f"{filename}: label {label!r} has a line break in it")

        def record(what: str) -> None:
            self.repairs.append(Repair(number, filename, what, file))

        flat = "intervals" not in row
        spans = [_flat_span(row)] if flat else _spans(row["intervals"])
        kept = [span for given in spans if (span := self._checked(filename, given, record))]
        events = self.found.setdefault(filename, {})
        if label in events and not flat:
            record(f"a second row of {label!r}; its intervals join those of the first")
        if kept:
            for span in _overlapping(events.get(label, []), kept):
                record(f"interval {span[0]:g}-{span[1]:g} of {label!r} overlaps another; joined")
            events.setdefault(label, []).extend(kept)
            self.first_row.setdefault((filename, label), (file, number))
        elif not flat:
            record(f"{label!r} has no interval and is left out")

    def _checked(
        self, filename: str, span: Interval, record: Callable[[str], None]
    ) -> Interval | None:
        """Return the interval as it is used; None where nothing sounds."""
        start, end = span
        shown = f"interval {start:g}-{end:g}"
        if not (math.isfinite(start) and math.isfinite(end)) or start < 0 or end < 0:
            raise BadIntervalsError(f"{filename}: {shown}: expected 0 <= onset < offset, seconds")
        if end < start:
            if not self.repair:
                raise BadIntervalsError(f"{filename}: {shown} ends before it starts")
            record(f"{shown} ends before it starts; turned round")
            start, end = end, start
        length = self.durations.get(filename, math.inf)
        if end > length + _TOLERANCE:
            if not self.repair:
                raise BadIntervalsError(f"{filename}: {shown} is beyond its {length:g} s")
            record(f"{shown} is beyond its {length:g} s; cut there")
            end = length
        if end <= start:
            record(f"{shown} has no length and is dropped")
            return None
        return start, end

    def clips(self) -> dict[str, Clip]:
        spelling = self._spellings()
        clips = {}
        for filename, events in self.found.items():
            if events:
                joined = tuple(
                    Event(spelling.get(name, name), tuple(spans)) for name, spans in events.items()
                )
                clips[filename] = Clip(filename, joined)
        return clips

    def _spellings(self) -> dict[str, str]:
        """Return the spelling to use for labels that differ from another in spelling alone."""
        counts = Counter(label for events in self.found.values() for label in events)
        alike: dict[str, list[str]] = defaultdict(list)
        for label in counts:
            alike[plain_label(label)].append(label)
        chosen = {}
        for labels in alike.values():
            usual = max(labels, key=lambda label: (counts[label], label))
            chosen.update({label: usual for label in labels if label != usual})
        for (filename, label), (file, number) in self.first_row.items():
            if label not in chosen:
                continue
            what = f"label {label!r} differs from {chosen[label]!r} in spelling only"
            if self.repair:
                self.repairs.append(Repair(number, filename, f"{what}; read as that", file))
            else:
                self.faults.append(f"  {file}, row {number}: {filename}: {what}")
        return chosen


def _overlapping(earlier: Sequence[Interval], added: Sequence[Interval]) -> list[Interval]:
    """Return those added that overlap an earlier one, or one added before; touching is none."""
    found = []
    known = list(earlier)
    for start, end in added:
        if any(start < stop and begin < end for begin, stop in known):
            found.append((start, end))
        known.append((start, end))
    return found


def _refuse_other_columns(file: Path, columns: Iterable[str]) -> None:
    found = set(columns)
    timed = "intervals" in found or {"onset", "offset"} <= found
    if "filename" not in found or not found.intersection(LABEL_COLUMNS) or not timed:
        raise DataVersionError(
            f"{file}: columns {sorted(found)}; expected `filename`, one of {list(LABEL_COLUMNS)}, "
            "and `intervals` ([0.93-1.40, 2.28-2.75]) or `onset` and `offset`, in seconds"
        )


def _flat_span(row: Mapping[str, str]) -> Interval:
    try:
        return float(row["onset"]), float(row["offset"])
    except ValueError:
        raise BadIntervalsError(
            f"onset {row['onset']!r}, offset {row['offset']!r}: expected seconds"
        ) from None


def _spans(cell: str) -> list[Interval]:
    text = cell.strip()
    if not (text.startswith("[") and text.endswith("]")):
        raise BadIntervalsError(f"intervals {cell!r}: expected [0.93-1.40, 2.28-2.75]")
    spans = []
    for part in filter(str.strip, text[1:-1].split(",")):
        match = _SPAN.fullmatch(part)
        if match is None:
            raise BadIntervalsError(f"interval {part.strip()!r}: expected onset-offset in seconds")
        spans.append((float(match[1]), float(match[2])))
    return spans

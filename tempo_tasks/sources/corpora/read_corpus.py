"""A strongly labelled corpus, of any of the formats, as clips with events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from tempo_tasks.errors import BadIntervalsError
from tempo_tasks.questions.events import Clip
from tempo_tasks.sources.corpora.formats import CSV, check_format, event_rows, files_of, format_of
from tempo_tasks.sources.corpora.label_maps import Labels, read_label_map
from tempo_tasks.sources.csv_reader import listed
from tempo_tasks.sources.intervals import EventRow, IntervalTable, Repair, gather


@dataclass(frozen=True)
class Corpus:
    """What was read.

    Attributes:
        table: Clips with their events, and repairs.
        formats: The formats of the files, sorted.
        notes: What became of labels.
    """

    table: IntervalTable
    formats: tuple[str, ...]
    notes: tuple[str, ...]


def read_corpus(
    paths: Sequence[Path],
    *,
    form: str | None = None,
    labels: Sequence[Path] = (),
    words: bool | None = None,
    repair: bool = False,
    durations: Mapping[str, float] | None = None,
) -> Corpus:
    """Read annotations.

    Args:
        paths: Files, or folders with one file a clip.
        form: The format of all of them; default: told by endings and columns.
        labels: Maps of labels, used one after the other.
        words: Whether labels are put into words; default: those of corpora are, those of interval
            CSVs stay as they are.
        repair: As for `sources.intervals.read_intervals`.
        durations: Length of clips, seconds, where known; JAMS files tell theirs.

    Raises:
        OptionError: There is no such format.
        DataUnavailableError, DataVersionError, BadTableError: A file cannot be read.
        BadIntervalsError: Rows that cannot be; all are named.
    """
    check_format(form)
    files = [file for path in paths for file in files_of(path)]
    forms = {file: form or format_of(file) for file in files}
    put = {file: words if words is not None else forms[file] != CSV for file in files}
    maps = [read_label_map(file) for file in labels]
    kept = {True: Labels(maps, words=True), False: Labels(maps)}
    known = dict(durations or {})
    left_out: list[Repair] = []

    def rows() -> Iterator[EventRow]:
        for file in files:
            for name, number, row in event_rows(file, forms[file], known, left_out):
                column = next(c for c in ("label", "subclass", "text", "event_label") if c in row)
                label = kept[put[file]].of(row[column]) if row[column].strip() else ""
                if label or not row[column].strip():  # an empty one is a fault of the row
                    yield name, number, {**row, column: label}

    name = ", ".join(file.name for file in files[:5]) + (", ..." if len(files) > 5 else "")
    table = gather(rows(), name, repair=repair, durations=known)
    notes = [note for found in kept.values() for note in found.notes()]
    return Corpus(
        replace(table, repairs=(*table.repairs, *left_out)),
        tuple(sorted(set(forms.values()))),
        tuple(notes),
    )


def with_audio_names(table: IntervalTable, names: Sequence[str]) -> tuple[IntervalTable, int]:
    """Return clips under the names of their audio files, and how many were renamed.

    Some corpora name a clip without the ending of its file, or by a path; such a name becomes that
    of the one audio file that is called so but for its ending.

    Raises:
        BadIntervalsError: Two audio files, or two clips, would have one name.
    """
    known = set(names)
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(PurePosixPath(name).stem, []).append(name)
    renamed: dict[str, Clip] = {}
    count, faults = 0, []
    for clip_id, clip in table.clips.items():
        name = clip_id
        if clip_id not in known:
            path = PurePosixPath(clip_id)
            found = by_stem.get(path.name, []) or by_stem.get(path.stem, [])
            if len(found) > 1:
                faults.append(f"  {clip_id}: {' or '.join(sorted(found))}")
            elif found:
                name, count = found[0], count + 1
        if name in renamed:
            faults.append(f"  {clip_id}: another clip is {name} already")
        renamed[name] = replace(clip, id=name)
    if faults:
        raise BadIntervalsError(
            f"{table.name}: it cannot be told which audio files are meant:\n" + listed(faults)
        )
    return replace(table, clips=renamed), count

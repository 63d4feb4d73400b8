"""TACOS, the source of the benchmark's clips (arXiv 2505.07609; Zenodo record 15379789).

12,358 excerpts of Freesound recordings, at most 30 s long. Per file: free texts with onsets and
offsets (`annotations_strong`), one sentence without times (`annotations_weak`), licence, author and
page (`metadata`). A record on Zenodo never changes, so sizes and MD5 sums are fixed here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tempo_tasks.errors import ChecksumError, DataUnavailableError
from tempo_tasks.file_hashes import hash_file
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.spelling import plain_label
from tempo_tasks.sources.clip_tables import Faults, read_rows, rows_by_filename
from tempo_tasks.sources.intervals import IntervalTable, Repair, read_intervals
from tempo_tasks.sources.resumable_download import download_file

RECORD = "https://zenodo.org/records/15379789"
STRONG, WEAK, METADATA = "annotations_strong.csv", "annotations_weak.csv", "metadata.csv"
AUDIO = "audio.zip"
SPLITS = {"test": "test_split.csv", "development": "development_split.csv"}


@dataclass(frozen=True, slots=True)
class Published:
    """What a file of the record is: its size in bytes and its MD5 sum."""

    size: int
    md5: str


FILES: Mapping[str, Published] = {
    STRONG: Published(4_109_451, "882d5a5a28f59441f4c7b4ed17ebab05"),
    WEAK: Published(1_318_097, "1445727f4d470273a7395ddcb9e34b93"),
    METADATA: Published(8_134_917, "17e8df44f2d217dc7cf4b75767ee5ab3"),
    SPLITS["development"]: Published(112_843, "bee28197d13e859dbc36021c2a928f07"),
    SPLITS["test"]: Published(21_794, "16f5b5eab84753a571e9944739508854"),
    AUDIO: Published(1_629_958_981, "a1b11ed7a88d6b95109decb577c128fd"),
}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that was read, as a manifest records it.

    Attributes:
        name: Name of the file, without folders.
        size: Size in bytes.
        md5: MD5 sum, which Zenodo publishes.
        sha256: SHA-256 sum.
        modified: It should be a file of TACOS, and is not the published one.
    """

    name: str
    size: int
    md5: str
    sha256: str
    modified: bool = False


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """Whom a clip is from, and how long it is.

    Attributes:
        author: The Freesound user.
        licence: As the source gives it: a name or an address.
        link: The recording's page.
        duration: Length of the excerpt in seconds; None where the table does not tell.
    """

    author: str
    licence: str
    link: str
    duration: float | None


def download_tacos(
    folder: Path, *, audio: bool = True, progress: bool = True, base: str = f"{RECORD}/files"
) -> dict[str, bool]:
    """Fetch the record's files into a folder; small ones first.

    Args:
        folder: Where they go; files that are there and right are not fetched again.
        audio: Also fetch `audio.zip` (1.6 GB).
        progress: Show bars.
        base: Where the files are: another mirror, or a server of the tests.

    Returns:
        Whether each file was fetched, by name.

    Raises:
        DownloadError, ChecksumError: See `tempo_tasks.sources.resumable_download.download_file`.
    """
    return {
        name: download_file(
            f"{base}/{name}?download=1",
            folder / name,
            md5=file.md5,
            size=file.size,
            progress=progress,
        )
        for name, file in FILES.items()
        if audio or name != AUDIO
    }


def source_file(path: Path, *, tacos: bool = False, allow_modified: bool = False) -> SourceFile:
    """Return what a file is; one that should be a file of TACOS is checked.

    Args:
        path: The file.
        tacos: It should be the record's file of this name.
        allow_modified: Record a difference instead of raising.

    Raises:
        DataUnavailableError: There is no such file.
        ChecksumError: It is not the published file.
    """
    if not path.is_file():
        more = " (tempo data download tacos fetches it)" if tacos else ""
        raise DataUnavailableError(f"there is no file {path.absolute()}{more}")
    md5, sha256 = hash_file(path, "md5", "sha256")
    size = path.stat().st_size
    expected = FILES[path.name] if tacos else None
    modified = expected is not None and (size, md5) != (expected.size, expected.md5)
    if expected is not None and modified and not allow_modified:
        raise ChecksumError(
            f"{path}: {size:,} bytes with MD5 {md5}; the published file has {expected.size:,} with "
            f"{expected.md5}. Half a download? Delete it and run: tempo data download tacos. "
            "If you changed it on purpose, use --allow-modified: the manifest will say so"
        )
    return SourceFile(path.name, size, md5, sha256, modified)


_ATTRIBUTION = ("manufacturer", "license", "sound_link")


def read_metadata(file: Path, *, repair: bool = False) -> tuple[dict[str, ClipInfo], list[Repair]]:
    """Read `metadata.csv`: licence, author, link and length of each clip.

    A clip is the part of its recording from `start_time_s` to `end_time_s`; the column `duration`
    is that of the whole recording, so it only counts where those are not given.

    Raises:
        DataUnavailableError, DataVersionError: No such file, or columns are missing.
        BadTableError: Rows that cannot be; all are listed.
    """
    rows, repairs = rows_by_filename(file, _ATTRIBUTION, repair=repair)
    faults = Faults(file.name, repair)
    infos = {}
    for name, (number, row) in rows.items():
        duration, problem = _duration(row)
        if problem:
            faults.mend(number, name, problem, "its length counts as unknown")
        # Without line breaks, which the rows of attribution.csv could not hold.
        author, licence, link = (" ".join(row[column].split()) for column in _ATTRIBUTION)
        infos[name] = ClipInfo(author, licence, link, duration)
    faults.refuse()
    return infos, repairs + faults.repairs


def _duration(row: Mapping[str, str]) -> tuple[float | None, str]:
    """Return the length of a clip in seconds, or what is wrong with what the row says of it."""
    cells = [row.get(column, "") for column in ("start_time_s", "end_time_s", "duration")]
    try:
        start, end, whole = (float(cell) if cell else None for cell in cells)
    except ValueError:
        return None, f"start, end and duration are {cells}; expected seconds"
    length = whole if start is None or end is None else end - start
    if length is not None and not (math.isfinite(length) and length > 0):
        return None, f"start, end and duration are {cells}: no positive length"
    return length, ""


def read_captions(file: Path, *, repair: bool = False) -> tuple[dict[str, str], list[Repair]]:
    """Read captions, `filename,text`; a clip with an empty text has none.

    Raises:
        DataUnavailableError, DataVersionError: No such file, or columns are missing.
        BadTableError: Rows that cannot be, or a clip with two captions; all are listed.
    """
    rows, repairs = rows_by_filename(file, ("text",), repair=repair)
    captions = {name: " ".join(row["text"].split()) for name, (_, row) in rows.items()}
    return {name: text for name, text in captions.items() if text}, repairs


def read_split(file: Path, *, repair: bool = False) -> tuple[frozenset[str], list[Repair]]:
    """Read the filenames of a split.

    Raises:
        DataUnavailableError, DataVersionError: No such file, or no column `filename`.
        BadTableError: Rows that cannot be, or a clip named twice.
    """
    rows, repairs = rows_by_filename(file, (), repair=repair)
    return frozenset(rows), repairs


def read_strong(
    file: Path,
    *,
    durations: Mapping[str, float] | None = None,
    mapping: Path | None = None,
    repair: bool = False,
) -> IntervalTable:
    """Read `annotations_strong.csv`: clips whose labels are the free texts, or their classes.

    Texts that differ only in case, blanks, underscores or a final full stop are one label.

    Args:
        file: `filename,text,onset,offset`.
        durations: Lengths of clips in seconds, where known.
        mapping: A CSV `text,label` that names the class of every text.
        repair: As in `read_intervals`; also leaves out clips with a text that has no class.

    Raises:
        DataUnavailableError, DataVersionError: No such file, or columns are missing.
        BadIntervalsError, BadTableError: Rows that cannot be; all are listed.
    """
    table = read_intervals(file, durations=durations, repair=repair, relabel=plain_text)
    if mapping is None:
        return table
    labels = read_mapping(mapping)
    return _mapped(table, labels, Faults(f"{file.name} with {mapping.name}", repair))


def plain_text(text: str) -> str:
    """Return a free text as it is shown as a label."""
    return plain_label(text.strip().rstrip("."))


def read_mapping(file: Path) -> dict[str, str]:
    """Read a CSV `text,label`: the class of each normalised text.

    Raises:
        DataUnavailableError, DataVersionError: No such file, or columns are missing.
        BadTableError: An empty cell, or one text with two classes; all are listed.
    """
    faults = Faults(file.name)
    labels: dict[str, str] = {}
    for number, row in read_rows(file, ("text", "label")):
        text, label = plain_text(row["text"]), row["label"]
        if not text or not label:
            faults.fault(number, repr(row["text"]), f"the label is {label!r}; expected text")
        elif labels.setdefault(text, label) != label:
            faults.fault(number, repr(row["text"]), f"{label!r}, and {labels[text]!r} before")
    faults.refuse()
    return labels


def _mapped(table: IntervalTable, labels: Mapping[str, str], faults: Faults) -> IntervalTable:
    clips = {}
    for name, clip in table.clips.items():
        unknown = sorted(clip.labels - labels.keys())
        if unknown:
            # An event left out could be the one that starts earliest: the whole clip goes.
            faults.mend(0, name, f"no class for {unknown}", "the clip is left out")
            continue
        clips[name] = Clip(
            name, tuple(Event(labels[event.label], event.intervals) for event in clip.events)
        )
    faults.refuse()
    repairs = (*table.repairs, *faults.repairs)
    return IntervalTable(table.name, clips, repairs, table.rows)


def known_durations(infos: Mapping[str, ClipInfo]) -> dict[str, float]:
    """Return the lengths of clips in seconds, where known."""
    return {name: info.duration for name, info in infos.items() if info.duration is not None}

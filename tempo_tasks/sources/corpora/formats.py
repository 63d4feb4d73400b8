"""Which format an annotation file has, and its rows as those of an interval CSV.

`csv` is `filename, label, onset, offset` or `filename, label, intervals` (see `intervals`); `dcase`
the tab-separated `filename, onset, offset, event_label` of DCASE and DESED; `audioset` the
tab-separated `segment_id, start_time_seconds, end_time_seconds, label` of AudioSet's strong labels;
`jams` a JSON file a clip (scaper and others); `audacity` a label track a clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_tasks.errors import DataUnavailableError, DataVersionError
from tempo_tasks.sources.corpora.audacity import audacity_events, is_label_track
from tempo_tasks.sources.corpora.jams import jams_events
from tempo_tasks.sources.csv_reader import csv_rows
from tempo_tasks.sources.intervals import EventRow, Repair, csv_events

CSV, DCASE, AUDIOSET, JAMS, AUDACITY = "csv", "dcase", "audioset", "jams", "audacity"
FORMATS = (CSV, DCASE, AUDIOSET, JAMS, AUDACITY)
_DCASE = ("filename", "onset", "offset", "event_label")
_AUDIOSET = ("segment_id", "start_time_seconds", "end_time_seconds", "label")
_OF_A_CLIP = (".jams", ".txt")  # one file a clip: a folder of them may be named
_NONE = ("", "nan", "none", "null", "na")


def files_of(path: Path) -> list[Path]:
    """Return the annotation files of a path: itself, or of a folder those of one file a clip.

    Raises:
        DataUnavailableError: There is nothing there, or no such file in the folder.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in _OF_A_CLIP)
    if not found:
        raise DataUnavailableError(
            f"{path.absolute()} is a folder without label tracks ({' or '.join(_OF_A_CLIP)}); name "
            "the table with the events, or a folder with one such file a clip"
        )
    return found


def format_of(file: Path) -> str:
    """Return the format of a file, by its ending and its columns.

    Raises:
        DataUnavailableError: There is no such file.
        DataVersionError: No known format has such columns.
    """
    if not file.is_file():
        raise DataUnavailableError(f"there is no file {file.absolute()}; expected annotations")
    if file.suffix.lower() in (".jams", ".json"):
        return JAMS
    try:
        with file.open(encoding="utf-8-sig") as lines:
            header = next((line for line in lines if line.strip()), "").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataVersionError(f"{file}: {error}; save it in UTF-8") from error
    columns = {name.strip() for name in header.split("\t")}
    if columns.issuperset(_AUDIOSET):
        return AUDIOSET
    if columns.issuperset(_DCASE):
        return DCASE
    if is_label_track(header):
        return AUDACITY
    if "\t" in header:
        raise DataVersionError(
            f"{file}: tab-separated, with the columns {header.split(chr(9))}; expected {_DCASE} "
            f"(dcase), {_AUDIOSET} (audioset), or start, end and label without a header (audacity)"
        )
    return CSV


def check_format(name: str | None) -> None:
    """Raise OptionError where a format does not exist."""
    if name is not None and name not in FORMATS:
        raise OptionError(
            f"--format {name}: expected one of {', '.join(FORMATS)}.{did_you_mean(name, FORMATS)}"
        )


def event_rows(
    file: Path,
    form: str,
    durations: MutableMapping[str, float],
    left_out: list[Repair],
) -> Iterator[EventRow]:
    """Yield the rows of a file as `filename, label, onset, offset`.

    Args:
        file: The file.
        form: Its format.
        durations: Gets the length of each clip whose file tells it.
        left_out: Gets what is no event: clips without one, scaper's backgrounds.

    Raises:
        DataVersionError: Other columns, or no such file format.
        BadTableError: Rows with more cells than the header.
    """
    if form == CSV:
        yield from csv_events([file])
    elif form == JAMS:
        yield from jams_events(file, durations, left_out)
    elif form == AUDACITY:
        yield from audacity_events(file)
    else:
        yield from _table_events(file, _DCASE if form == DCASE else _AUDIOSET, left_out)


def _table_events(
    file: Path, columns: tuple[str, str, str, str], left_out: list[Repair]
) -> Iterator[EventRow]:
    clip, onset, offset, label = columns
    for number, row in csv_rows(file, _checks(file, columns), delimiter="\t"):
        cells = [row[name].strip() for name in (onset, offset, label)]
        if all(cell.lower() in _NONE for cell in cells):
            # DESED lists clips in which nothing sounds.
            left_out.append(Repair(number, row[clip], "no event; the clip is left out", file.name))
            continue
        yield (
            file.name,
            number,
            {"filename": row[clip], "label": cells[2], "onset": cells[0], "offset": cells[1]},
        )


def _checks(file: Path, columns: tuple[str, ...]) -> Callable[[list[str]], None]:
    def check(found: list[str]) -> None:
        missing = [name for name in columns if name not in found]
        if missing:
            raise DataVersionError(f"{file}: columns {missing} are missing; found {found}")

    return check

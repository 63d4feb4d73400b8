"""Labelled recordings as they are published: which layout a folder has, and what is in it.

Read are ESC-50, UrbanSound8K, FSD50K, a CSV `filename,label`, and a folder with one folder a label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_tasks.errors import BadTableError, DataUnavailableError, DataVersionError
from tempo_tasks.questions.spelling import breaks_line
from tempo_tasks.sources.clip_tables import Faults, read_rows
from tempo_tasks.sources.csv_reader import listed
from tempo_tasks.sources.recorded.fsd50k import is_fsd50k, read_fsd50k
from tempo_tasks.sources.recorded.recordings import Recording, Sounds, in_words

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".oga")
_ESC50 = Path("meta", "esc50.csv")
_URBAN = Path("metadata", "UrbanSound8K.csv")
_FREESOUND = "https://freesound.org/s/{}/"
_CC_BY_NC, _CC_BY = "CC BY-NC 3.0", "CC BY 3.0"


def read_sounds(source: Path, layout: str = "auto", *, licence: str = "") -> Sounds:
    """Return the recordings of a source, told apart by its files.

    Args:
        source: A folder or a CSV file.
        layout: `auto`, or one of `LAYOUTS`.
        licence: Of the recordings for which the source names none.

    Raises:
        OptionError: No such layout.
        DataUnavailableError: There is no such folder or file, or files of its table are missing.
        DataVersionError: It has another layout than was named, or none that is known.
        BadTableError: Rows of its table cannot be used; all are listed.
    """
    if layout != "auto" and layout not in LAYOUTS:
        raise OptionError(
            f"--layout {layout}: expected auto, {', '.join(LAYOUTS)}."
            f"{did_you_mean(layout, LAYOUTS)}"
        )
    if not source.exists():
        raise DataUnavailableError(
            f"there is no {source.absolute()}; expected a folder with one folder a label, ESC-50, "
            "UrbanSound8K or FSD50K, or a CSV file with the columns filename and label"
        )
    found = LAYOUTS[_told(source) if layout == "auto" else layout](source)
    missing = [f"  {one.name}" for one in found.recordings if not one.path.is_file()]
    if missing:
        raise DataUnavailableError(
            f"{source}: {len(missing)} of {len(found.recordings)} recordings are not there; get "
            f"the data again, or take their rows out of the table:\n{listed(missing)}"
        )
    if not found.recordings:
        raise DataVersionError(
            f"{source}: no labelled recording; expected audio ({', '.join(AUDIO_SUFFIXES)}) in one "
            "folder a label"
        )
    broken = [f"  {one.name}: {one.label!r}" for one in found.recordings if _unusable(one.label)]
    if broken:
        raise BadTableError(
            f"{source}: {len(broken)} labels cannot be options; expected text on one line:\n"
            + listed(broken)
        )
    ordered = sorted(found.recordings, key=lambda one: one.name)
    with_licence = (replace(one, licence=one.licence or licence) for one in ordered)
    return replace(found, recordings=tuple(with_licence))


def _unusable(label: str) -> bool:
    return not label.strip() or breaks_line(label)


def _told(source: Path) -> str:
    """Return the layout that the files of a source have."""
    if source.is_file():
        return "csv"
    if (source / _ESC50).is_file():
        return "esc50"
    if (source / _URBAN).is_file():
        return "urbansound8k"
    if is_fsd50k(source):
        return "fsd50k"
    return "folder"


def _read_folder(source: Path) -> Sounds:
    if not source.is_dir():
        raise DataVersionError(f"{source}: expected a folder with one folder a label")
    recordings = []
    left_out = []
    for path in sorted(source.rglob("*")):
        inner = path.relative_to(source)
        if not path.is_file() or any(part.startswith(".") for part in inner.parts):
            continue
        if len(inner.parts) < 2 or path.suffix.lower() not in AUDIO_SUFFIXES:
            if path.suffix.lower() in AUDIO_SUFFIXES:
                left_out.append((inner.as_posix(), "lies in no folder of a label"))
            continue
        recordings.append(Recording(path, inner.as_posix(), in_words(inner.parts[0])))
    return Sounds("folder", tuple(recordings), left_out=tuple(left_out))


def _read_csv(source: Path) -> Sounds:
    folder = source.parent
    faults = Faults(source.name)
    recordings: dict[str, Recording] = {}
    for number, row in read_rows(source, ("filename", "label")):
        name, label = row["filename"], in_words(row["label"])
        path = Path(name)
        if not name.strip() or path.is_absolute() or ".." in path.parts:
            faults.fault(number, repr(name), "expected a path within the folder of the table")
        elif not label:
            faults.fault(number, repr(name), "its label is empty")
        elif name in recordings:
            faults.fault(number, repr(name), "a second row of this recording; expected one label")
        else:
            recordings[name] = Recording(
                folder / path,
                path.as_posix(),
                label,
                licence=row.get("licence", "") or row.get("license", ""),
                author=row.get("author", ""),
                link=row.get("link", ""),
                origin=row.get("origin", ""),
                fold=row.get("fold", ""),
            )
    faults.refuse()
    return Sounds("csv", tuple(recordings.values()), test_folds=("test",))


def _read_esc50(source: Path) -> Sounds:
    recordings = []
    for _, row in read_rows(source / _ESC50, ("filename", "fold", "category", "src_file")):
        # The subset ESC-10 is under another licence than the rest (its README).
        small = row.get("esc10", "").lower() == "true"
        recordings.append(
            Recording(
                source / "audio" / row["filename"],
                f"audio/{row['filename']}",
                in_words(row["category"]),
                licence=_CC_BY if small else _CC_BY_NC,
                link=_FREESOUND.format(row["src_file"]),
                origin=row["src_file"],
                fold=row["fold"],
            )
        )
    return Sounds("esc50", tuple(recordings), test_folds=("5",), cite=("esc50",))


def _read_urban(source: Path) -> Sounds:
    recordings = []
    for _, row in read_rows(source / _URBAN, ("slice_file_name", "fsID", "fold", "class")):
        name = f"audio/fold{row['fold']}/{row['slice_file_name']}"
        recordings.append(
            Recording(
                source / name,
                name,
                in_words(row["class"]),
                licence=_CC_BY_NC,
                link=_FREESOUND.format(row["fsID"]),
                origin=row["fsID"],
                fold=row["fold"],
            )
        )
    return Sounds("urbansound8k", tuple(recordings), test_folds=("10",), cite=("urbansound8k",))


LAYOUTS: Mapping[str, Callable[[Path], Sounds]] = {
    "folder": _read_folder,
    "csv": _read_csv,
    "esc50": _read_esc50,
    "urbansound8k": _read_urban,
    "fsd50k": read_fsd50k,
}

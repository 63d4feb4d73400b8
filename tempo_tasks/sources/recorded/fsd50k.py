"""FSD50K (Fonseca et al., 2022): clips with several labels each, of which one sound is wanted.

A row names a class and all classes above it in the AudioSet ontology ("Bark,Dog,Animal"). The
ontology is not among the files; it is told from the rows: what stands in every row with a label
lies above it. A row of one such chain has one label, its lowest; any other is of several sounds and
is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import DataVersionError
from tempo_tasks.sources.clip_tables import read_rows
from tempo_tasks.sources.recorded.recordings import Recording, Sounds, in_words

_TABLES = {"dev": "dev.csv", "eval": "eval.csv"}
_TRUTH, _INFOS = "FSD50K.ground_truth", "FSD50K.metadata"
_FREESOUND = "https://freesound.org/s/{}/"


def is_fsd50k(source: Path) -> bool:
    """Whether a folder holds a table of FSD50K."""
    return any((source / _TRUTH / name).is_file() for name in _TABLES.values())


def read_fsd50k(source: Path) -> Sounds:
    """Return the recordings of one sound; the evaluation set is the test fold.

    Raises:
        DataVersionError: There is no table, or its columns or infos are others.
    """
    if not is_fsd50k(source):
        raise DataVersionError(f"{source}: no {_TRUTH}/dev.csv or eval.csv; expected FSD50K")
    rows: list[tuple[str, str, tuple[str, ...]]] = []
    for part, table in _TABLES.items():
        file = source / _TRUTH / table
        if not file.is_file():
            continue
        for _, row in read_rows(file, ("fname", "labels")):
            labels = tuple(label for cell in row["labels"].split(",") if (label := cell.strip()))
            rows.append((part, row["fname"], labels))
    above = _classes_above(rows)
    infos = {part: _infos(source, part) for part in _TABLES}
    recordings = []
    left_out = []
    for part, name, labels in rows:
        inner = f"FSD50K.{part}_audio/{name}.wav"
        lowest = next((label for label in labels if above[label].issuperset(labels)), None)
        if lowest is None:
            left_out.append((inner, f"of several sounds: {', '.join(labels) or 'no label'}"))
            continue
        info = infos[part].get(name, {})
        recordings.append(
            Recording(
                source / inner,
                inner,
                in_words(lowest),
                licence=str(info.get("license", "")),
                author=str(info.get("uploader", "")),
                link=_FREESOUND.format(name),
                fold=part,
            )
        )
    return Sounds(
        "fsd50k",
        tuple(recordings),
        test_folds=("eval",),
        left_out=tuple(left_out),
        cite=("fsd50k",),
    )


def _classes_above(rows: list[tuple[str, str, tuple[str, ...]]]) -> dict[str, set[str]]:
    """Return, for each label, itself and all that stand in every row that it stands in."""
    above: dict[str, set[str]] = {}
    for _, _, labels in rows:
        for label in labels:
            above[label] = above[label] & set(labels) if label in above else set(labels)
    return above


def _infos(source: Path, part: str) -> Mapping[str, Mapping[str, object]]:
    """Return licence and uploader of each clip, where the file is there."""
    file = source / _INFOS / f"{part}_clips_info_FSD50K.json"
    if not file.is_file():
        return {}
    try:
        infos = parse_json(file.read_bytes())
    except ValueError as error:
        raise DataVersionError(f"{file}: not JSON ({error}); get the file again") from error
    if not isinstance(infos, dict) or not all(isinstance(one, dict) for one in infos.values()):
        raise DataVersionError(f"{file}: expected an object of objects, one a clip")
    return infos

"""JAMS files (scaper and others): one JSON file a clip; read without the `jams` package.

Read are annotations whose observations have a time, a duration and a label: namespace `scaper`,
where a value is an object with `label` and `role`, and those whose values are texts
(`segment_open`, `tag_open` ...). Where a file has `scaper`, that alone counts. A background is no
event: it sounds throughout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import DataVersionError
from tempo_tasks.sources.intervals import EventRow, Repair


def jams_events(
    file: Path, durations: MutableMapping[str, float], left_out: list[Repair]
) -> Iterator[EventRow]:
    """Yield the events of a file; the clip is called as the file without its ending.

    Args:
        file: The file.
        durations: Gets the clip's length, which `file_metadata` tells.
        left_out: Gets the backgrounds.

    Raises:
        DataVersionError: No JSON, or no annotation with times and labels.
    """
    try:
        content = parse_json(file.read_bytes())
    except (ValueError, OSError) as error:
        raise DataVersionError(f"{file}: not JSON: {error}") from error
    annotations = content.get("annotations") if isinstance(content, Mapping) else None
    if not isinstance(annotations, list):
        raise DataVersionError(f"{file}: no `annotations`; expected a JAMS file")
    clip = file.stem
    about = content.get("file_metadata")
    length = about.get("duration") if isinstance(about, Mapping) else None
    if isinstance(length, (int, float)) and length > 0:
        durations[clip] = float(length)
    found = {
        str(a.get("namespace")): list(_observations(a)) for a in annotations if isinstance(a, dict)
    }
    usable = {name: rows for name, rows in found.items() if any(map(_label, rows))}
    if not usable:
        raise DataVersionError(
            f"{file}: no observation with time, duration and a label, in the namespaces "
            f"{sorted(found)}; expected scaper, segment_open or the like"
        )
    if "scaper" in usable:
        usable = {"scaper": usable["scaper"]}
    number = 0
    for rows in usable.values():
        for row in rows:
            number += 1
            value = row.get("value")
            if isinstance(value, Mapping) and value.get("role") == "background":
                what = f"{_label(row)!r} is the background; left out"
                left_out.append(Repair(number, clip, what, file.name))
                continue
            yield file.name, number, _event(clip, row)


def _observations(annotation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    data = annotation.get("data")
    if isinstance(data, Mapping):  # as columns, an older way
        columns = {k: v for k, v in data.items() if isinstance(v, list)}
        for cells in zip(*columns.values(), strict=False):
            yield dict(zip(columns, cells, strict=True))
    elif isinstance(data, list):
        yield from (row for row in data if isinstance(row, Mapping))


def _label(row: Mapping[str, Any]) -> str:
    value = row.get("value")
    label = value.get("label") if isinstance(value, Mapping) else value
    return label if isinstance(label, str) else ""


def _event(clip: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Return the cells of an event; what is no number is told as it stands, as of a table."""
    onset, duration = row.get("time"), row.get("duration")
    offset = duration
    if isinstance(onset, (int, float)) and isinstance(duration, (int, float)):
        offset = round(onset + duration, 9)  # 0.1 + 0.2 is to be 0.3
    return {"filename": clip, "label": _label(row), "onset": str(onset), "offset": str(offset)}

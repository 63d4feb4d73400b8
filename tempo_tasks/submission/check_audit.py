"""A bundle's audit against one made again of the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tempo_tasks.submission.differences import differences

LISTED = 5


def check_audit(given: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an audit.

    What a submitter may add, such as lists of training clips, is not compared; names of data sets,
    which are those of folders, neither.

    Args:
        given: The bundle's audit.
        ours: The audit of the data, with the default settings.
    """
    for part in ("format", "settings", "parts"):
        if part not in given:
            yield f"audit.json: {part} is missing"
            return
    if given["format"] != ours["format"]:
        yield f"audit.json: format {str(given['format'])[:20]!r}; expected {ours['format']}"
        return
    if wrong := differences(ours["settings"], given["settings"], "settings"):
        yield f"audit.json: {wrong[0]}; expected an audit with the default settings"
        return
    wrong = differences(_unnamed(ours["parts"]), _unnamed(given["parts"]), "parts")
    for fault in wrong[:LISTED]:
        yield f"audit.json: {fault}"
    if len(wrong) > LISTED:
        yield f"audit.json: and {len(wrong) - LISTED} more differences"


def _unnamed(parts: Any) -> Any:
    if not isinstance(parts, list):
        return parts
    return [
        {name: value for name, value in part.items() if name != "data"}
        if isinstance(part, dict)
        else part
        for part in parts
    ]

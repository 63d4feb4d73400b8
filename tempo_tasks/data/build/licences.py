"""Whom the clips of a built folder are from, and under which licence: `attribution.csv`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tempo_tasks.data.build.written_tables import write_table
from tempo_tasks.sources.tacos import ClipInfo

ATTRIBUTION = "attribution.csv"


def write_attribution(path: Path, names: Iterable[str], infos: Mapping[str, ClipInfo]) -> str:
    """Write author, licence and link of each clip, empty where unknown; return the SHA-256 sum."""
    unknown = ClipInfo("", "", "", None)
    found = ((name, infos.get(name, unknown)) for name in names)
    rows = ((name, info.author, info.licence, info.link) for name, info in found)
    return write_table(path, ("filename", "author", "licence", "link"), rows)

"""What an experiment's `write` returns: the files, and what a terminal may show of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was written of a run; every experiment adds its tables.

    Attributes:
        files: The files, tables before figures.
        summary: What a reader must know before the tables, as in `summary.json`; empty for an
            experiment that has none.
    """

    files: list[Path]
    summary: Mapping[str, Any] = field(default_factory=dict)

"""The table and the figure of a run of `tempo mass`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tempo_attn.errors import RunFolderError
from tempo_attn.files.csv_and_json import write_table
from tempo_attn.lab.mass.figures import mass_by_layer
from tempo_attn.lab.mass.records import MassRecord
from tempo_attn.lab.mass.table import mass_rows
from tempo_attn.lab.report import Report
from tempo_attn.lab.run_folder.folder import Run


@dataclass(frozen=True, kw_only=True)
class MassReport(Report):
    """What was written of a measurement of attention mass.

    Attributes:
        rows: The table.
    """

    rows: Sequence[Mapping[str, Any]]


def write(run: Run) -> MassReport:
    """Write `mass.csv`, `mass.json` and the figure.

    Raises:
        RunFolderError: The run has no items.
    """
    rows = mass_rows([MassRecord.from_dict(record) for record in run.records])
    if not rows:
        raise RunFolderError("there is no mass to write: the run has no items")
    drawn = [row for row in rows if row["group"] in ("all", "right", "wrong")]
    path = run.folder / "mass"
    return MassReport(rows=rows, files=[*write_table(path, rows), *mass_by_layer(drawn, path)])

"""Reading the tables that stand beside the intervals: metadata, captions, splits, mappings.

Rows that cannot be are gathered and listed in one error; with `repair`, what can be mended is
mended and recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tempo_tasks.errors import BadTableError, DataVersionError
from tempo_tasks.sources.csv_reader import csv_rows, listed
from tempo_tasks.sources.intervals import Repair

ClipRow = Mapping[str, str]
"""A row about one clip, by column; cells are text."""


@dataclass
class Faults:
    """What is wrong with the rows of one table.

    Attributes:
        where: The table, for messages.
        repair: Whether what can be mended is recorded instead.
        found: One line a row.
        repairs: What was mended.
    """

    where: str
    repair: bool = False
    found: list[str] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)

    def fault(self, number: int, filename: str, what: str) -> None:
        """Add a row that nothing can mend."""
        self.found.append(f"  row {number}, {filename}: {what}")

    def mend(self, number: int, filename: str, what: str, how: str) -> None:
        """Add a row: a recorded repair where that is allowed, else a fault."""
        if self.repair:
            self.repairs.append(Repair(number, filename, f"{what}; {how}"))
        else:
            self.fault(number, filename, f"{what} (to repair: {how})")

    def refuse(self) -> None:
        """Raise BadTableError if there is a fault."""
        if self.found:
            raise BadTableError(
                f"{self.where}: {len(self.found)} rows cannot be used; correct them, or use "
                "--repair for what it can mend (each repair is recorded):\n" + listed(self.found)
            )


def read_rows(file: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row number, row), the first row after the header being 1.

    Cells are stripped of blanks, but for those of `filename`: a file may be called so.

    Raises:
        DataUnavailableError: There is no such file.
        DataVersionError: No CSV file, or columns are missing.
        BadTableError: Rows with more cells than the header.
    """

    def check(found: list[str]) -> None:
        missing = [name for name in columns if name not in found]
        if missing:
            raise DataVersionError(f"{file}: columns {missing} are missing; found {found}")

    for number, row in csv_rows(file, check):
        yield number, {k: v if k == "filename" else v.strip() for k, v in row.items()}


def rows_by_filename(
    file: Path, columns: Sequence[str], *, repair: bool = False
) -> tuple[dict[str, tuple[int, ClipRow]], list[Repair]]:
    """Return the rows of a table that has one row a clip, with their numbers, and the repairs.

    Args:
        file: A CSV file with a column `filename`.
        columns: Further columns that must be there.
        repair: Keep the first of several rows of a clip, and record it.

    Raises:
        BadTableError: A row without a usable filename, or several rows of one clip.
    """
    faults = Faults(file.name, repair)
    rows: dict[str, tuple[int, ClipRow]] = {}
    for number, row in read_rows(file, ["filename", *columns]):
        name = row["filename"]
        if (problem := filename_problem(name)) is not None:
            faults.fault(number, repr(name), problem)
        elif name in rows:
            before, first = rows[name]
            other = sorted(key for key in row if row[key] != first.get(key))
            what = f"a second row of this clip, which row {before} has"
            what += f" with another {', '.join(other)}" if other else " already, the same"
            faults.mend(number, name, what, "the first one counts")
        else:
            rows[name] = (number, row)
    faults.refuse()
    return rows, faults.repairs


def filename_problem(name: str) -> str | None:
    """Return why `name` cannot be the name of a file in an audio folder; None if it can."""
    if not name.strip():
        return "the filename is empty"
    if name in (".", "..") or any(c in name for c in "/\\:") or not name.isprintable():
        return "no plain filename; expected one without folders, such as 100388.mp3"
    return None

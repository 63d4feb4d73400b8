"""The one reader of CSV rows: intervals, captions, questions, training lists, metadata, splits.

Read is RFC 4180 in UTF-8 and nothing looser: what a loose reader makes of a label with an unquoted
comma, or of a quote that never closes, is another label or another table, without a word.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tempo_tasks.errors import BadTableError, DataUnavailableError, DataVersionError

# Read by the rules, its quotes are part of the text, and a comma between them ends the cell.
_BLANK_BEFORE_QUOTE = re.compile(r'\s+".*"\s*', re.DOTALL)

LISTED = 20  # offending rows in one message


def listed(lines: Sequence[str], most: int = LISTED) -> str:
    """Return the first lines, and how many more there are."""
    more = len(lines) - most
    return "\n".join([*lines[:most], *([f"  ... and {more} more"] if more > 0 else [])])


def csv_rows(
    file: Path,
    check_columns: Callable[[list[str]], None] | None = None,
    *,
    what: str = "a CSV file",
    delimiter: str = ",",
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row number, row), the first row after the header being 1; cells are as they stand.

    Cells that a short row lacks are empty, as spreadsheets write them; empty lines do not count.

    Args:
        file: The file, in UTF-8, with a header.
        check_columns: Raises where the header's names are not those expected.
        what: What is expected, for the message where there is no such file.
        delimiter: What stands between cells: a comma, or a tab.

    Raises:
        DataUnavailableError: There is no such file, or it cannot be opened.
        DataVersionError: It is not a CSV file, or names a column twice.
        BadTableError: Rows with more cells than there are columns; all are listed. Raised after
            the last row.
    """
    if not file.is_file():
        raise DataUnavailableError(f"there is no file {file.absolute()}; expected {what}")
    wide: list[str] = []
    spaced: list[str] = []
    begun = 1  # the line in which the row being read begins
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            raw: list[str] = []  # lines of the row that is read
            reader = csv.reader(_without_nul(lines, raw), strict=True, delimiter=delimiter)
            header = next(filter(None, reader), [])
            columns = _columns(file, header)
            if check_columns is not None:
                check_columns(columns)
            number = 0
            begun = reader.line_num + 1
            raw.clear()
            for cells in reader:
                if cells:
                    number += 1
                    # A column without a name, at the end of a header, holds nothing that is read.
                    if len(cells) > len(header) or any(cells[len(columns) :]):
                        advice = _advice(cells, len(columns))
                        wide.append(f"  row {number} (line {begun}): {_shown(cells)}; {advice}")
                    elif any(map(_BLANK_BEFORE_QUOTE.fullmatch, cells)) and (
                        # Else it stands in quotes, blank and all.
                        next(csv.reader(raw, skipinitialspace=True, delimiter=delimiter)) != cells
                    ):
                        spaced.append(f"  row {number} (line {begun}): {_shown(cells)}")
                    cells += [""] * (len(columns) - len(cells))
                    yield number, dict(zip(columns, cells, strict=False))
                begun = reader.line_num + 1
                raw.clear()
    except UnicodeDecodeError as error:
        raise DataVersionError(
            f"{file}: not a readable CSV file: {error}; save it in UTF-8"
        ) from error
    except csv.Error as error:
        raise DataVersionError(
            f"{file}: not a readable CSV file: {error}, in the row that begins in line {begun}. A "
            'cell that begins with a quote must end with one, and quotes inside it are doubled: ""'
        ) from error
    except OSError as error:
        raise DataUnavailableError(f"{file.absolute()} cannot be read ({error})") from error
    if spaced:
        raise BadTableError(
            f"{file}: {len(spaced)} rows have a blank between a comma and a quote, which would "
            f"make the quotes part of the text; delete the blank:\n{listed(spaced)}"
        )
    if wide:
        raise BadTableError(
            f"{file}: {len(wide)} rows have more cells than the header, which has "
            f"{len(columns)} ({', '.join(columns)}):\n{listed(wide)}"
        )


def _columns(file: Path, header: Sequence[str]) -> list[str]:
    """Return the header's names without empty ones at its end, which spreadsheets leave there."""
    columns = list(header)
    while columns and not columns[-1].strip():
        columns.pop()
    twice = sorted({name for name in columns if name.strip() and columns.count(name) > 1})
    if twice:
        raise DataVersionError(
            f"{file}: the header names the columns {twice} twice; expected each name once, so that "
            "it is clear which one counts"
        )
    return columns


def _without_nul(lines: Iterable[str], raw: list[str]) -> Iterator[str]:
    for line in lines:
        raw.append(line)
        if "\0" in line:
            raise csv.Error("a zero byte: text in UTF-16, or no text at all (expected UTF-8)")
        yield line


def _shown(cells: Sequence[str]) -> str:
    shown = f"{len(cells)} cells {list(cells)}"
    return shown if len(shown) <= 300 else f"{shown[:297]}..."


def _advice(cells: Sequence[str], expected: int) -> str:
    """Return what to correct in a row with too many cells; nothing is ever read this way."""
    if not any(cells[expected:]):
        return "delete the commas at its end"
    if any(cell.lstrip() != cell and cell.lstrip()[:1] == '"' for cell in cells):
        return "delete the blank between a comma and a quote"
    # A comma before a blank is one of a sentence.
    joined: list[str] = []
    for cell in cells:
        if joined and cell[:1].isspace():
            joined[-1] += f",{cell}"
        else:
            joined.append(cell)
    if len(joined) == expected:
        whole = [cell for cell in joined if "," in cell]
    else:
        whole = [",".join(cells[expected - 1 :])]
    quoted = ", ".join('"{}"'.format(cell.replace('"', '""')) for cell in whole)
    return f"a cell with a comma in it needs quotes, such as {quoted[:300]}"

"""The site: a page with the tables, a page an entry, JSON and CSV; it needs no server."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempo_attn.errors import OptionError
from tempo_attn.files.atomic import replacing
from tempo_tasks.html_pages import between_tags, script_hashes, templates

if TYPE_CHECKING:
    from jinja2 import Environment

Data = Mapping[str, Any]
_HERE = Path(__file__).parent
ALIKE_SHOWN = 20
_COLUMNS = (
    *("board", "data", "sort", "id", "label", "family", "organization", "attention", "column"),
    *("n", "n_clusters", "accuracy", "low", "high", "error", "no_answer"),
    *("group", "first", "last"),
)


def write_site(data: Data, folder: Path) -> list[str]:
    """Write the site; files of the folder that are no page of an entry stay.

    Args:
        data: As `gather` returns it.
        folder: Where to; made if need be.

    Returns:
        Names of the files.

    Raises:
        OptionError: The folder cannot be written to.
    """
    texts = {
        "leaderboard.json": _json(_without_alike(data)),
        "leaderboard.csv": to_csv(data),
        "rejected.json": _json(data["rejected"]),
        "index.html": index_page(data),
        **{f"entries/{name}.html": entry_page(data, name) for name in data["entries"]},
    }
    try:
        (folder / "entries").mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with replacing(folder / name) as partial:
                partial.write_text(text, encoding="utf-8", newline="")
        for old in (folder / "entries").glob("*.html"):
            if f"entries/{old.name}" not in texts:
                old.unlink()
    except OSError as error:
        raise OptionError(f"--out {folder}: cannot be written: {error}; name another") from error
    return list(texts)


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _without_alike(data: Data) -> dict[str, Any]:
    """Return the data without the lists of equals, which grow with the square of the entries."""
    boards = [
        {
            **board,
            "rows": [
                {
                    **row,
                    "cells": {
                        column: {k: v for k, v in cell.items() if k != "alike"}
                        for column, cell in row["cells"].items()
                    },
                }
                for row in board["rows"]
            ],
        }
        for board in data["boards"]
    ]
    return {**data, "boards": boards}


def to_csv(data: Data) -> str:
    """Return one row for each entry and reference row of each column."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for board in data["boards"]:
        for row in [*board["rows"], *board["reference"]]:
            for column, cell in row["cells"].items():
                head = {"board": board["title"], "data": board["data"], "column": column}
                known = {**row, **head, **cell}
                writer.writerow({name: _inert(known.get(name)) for name in _COLUMNS})
    return text.getvalue()


def _inert(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


def index_page(data: Data) -> str:
    """Return the page with the tables."""
    families = sorted({row["family"] for b in data["boards"] for row in b["rows"] if row["family"]})
    script = between_tags((_HERE / "sort_and_filter.js").read_text(encoding="utf-8"))
    return (
        _environment()
        .get_template("index.html.j2")
        .render(data=data, families=families, script=script, hashes=script_hashes([script]))
    )


def entry_page(data: Data, name: str) -> str:
    """Return the page of an entry.

    Args:
        data: As `gather` returns it.
        name: The entry's id.
    """
    boards = [
        (board, row) for board in data["boards"] for row in board["rows"] if row["id"] == name
    ]
    return (
        _environment()
        .get_template("entry.html.j2")
        .render(entry=data["entries"][name], boards=boards, data=data, shown=ALIKE_SHOWN)
    )


@cache  # compiling the templates takes longer than a page
def _environment() -> Environment:
    environment = templates(_HERE)
    environment.filters.update(percent=_percent, column=_column, pretty=_pretty)
    return environment


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _column(name: str) -> str:
    """Return what a column is called: the condition, and the kind of question."""
    condition, _, kind = name.partition("_")
    return f"{condition.upper()} {'all' if kind == 'macro' else kind.upper()}"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)

"""A report on the screen, as JSON and CSV files, and as one page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tempo_attn.errors import OptionError
from tempo_attn.files.atomic import replacing
from tempo_attn.files.csv_and_json import write_csv, write_json
from tempo_tasks.stats.columns import SECTIONS, Section

WIDTH = 170


def show(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the tables that have rows, then the notes and what could not have been seen."""
    console = console or Console(width=WIDTH)
    for section in SECTIONS:
        if rows := report[section.name]:
            console.print(_table(section, rows, report["level"]))
    for title in ("notes", "power"):
        for line in report[title]:
            console.print(f"[dim]{title}:[/] {escape(line)}", soft_wrap=True, highlight=False)


def _table(section: Section, rows: Sequence[Mapping[str, Any]], level: float) -> Table:
    table = Table(title=f"{section.title} ({_level(level)} intervals, by cluster)")
    for column in section.columns:
        table.add_column(column.header, justify="left" if column.text else "right")
    before = None
    for row in rows:
        head = tuple(row.get(name) for name in ("run", "from", "to", "condition", "scoring"))
        if before not in (None, head):
            table.add_section()
        before = head
        table.add_row(*(escape(column.cell(row)) for column in section.columns))
    return table


def _level(level: float) -> str:
    return f"{100 * level:g} %"


def write_report(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write `statistics.json`, `statistics_<table>.csv` and `statistics.md`, each atomically.

    Tables of an older report in the folder that have no rows any more are removed.

    Raises:
        OptionError: The folder cannot be written to.
    """
    try:
        return _write_all(report, folder)
    except OSError as error:
        raise OptionError(
            f"--out {folder}: cannot be written to ({error}); expected a folder, new or your own"
        ) from error


def _write_all(report: Mapping[str, Any], folder: Path) -> list[Path]:
    files = [write_json(folder / "statistics.json", dict(report))]
    for section in SECTIONS:
        path = folder / f"statistics_{section.name}.csv"
        if rows := report[section.name]:
            files.append(write_csv(path, rows))
        else:
            path.unlink(missing_ok=True)
    return [*files, _write_text(folder / "statistics.md", markdown(report))]


def _write_text(path: Path, text: str) -> Path:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def markdown(report: Mapping[str, Any]) -> str:
    """Return the page."""
    parts = [
        "# Statistics",
        f"tempo-lalm {report['tempo_version']}. Intervals are {_level(report['level'])} intervals; "
        "errors, intervals and tests are by cluster (questions that share a clip).",
        _bullets([f"{run['label']}: {_counts(run['tasks'])}" for run in report["runs"]]),
    ]
    for section in SECTIONS:
        if rows := report[section.name]:
            parts += [f"## {section.title}", section.reading, _markdown_table(section, rows)]
    if report["power"]:
        parts += ["## What could not have been seen", _bullets(report["power"])]
    if report["notes"]:
        parts += ["## Notes", _bullets(report["notes"])]
    return "\n\n".join(parts) + "\n"


def _counts(tasks: Mapping[str, Mapping[str, Any]]) -> str:
    return f"{len(tasks)} tasks, {sum(task['n'] for task in tasks.values())} answers"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_plain(line)}" for line in lines)


def _markdown_table(section: Section, rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [column.header for column in section.columns],
        ["---" if column.text else "---:" for column in section.columns],
        *([_plain(column.cell(row)) for column in section.columns] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _plain(text: str) -> str:
    """Return text that cannot break a table or become markup: names are other people's."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

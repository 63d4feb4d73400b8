"""The audit of a benchmark on the screen, as JSON, and as CSV with a row a strategy."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tempo_tasks.audit.benchmarks.assemble import beats_chance
from tempo_tasks.audit.result_files import to_json, write_texts

Result = Mapping[str, Any]
_ITEMS = 8  # names of items in a line
_FAULTS, _LONGEST = 3, 200  # faults shown, and their characters
_COLUMNS = (
    *("benchmark", "part", "family", "strategy", "accuracy", "low", "high", "chance", "p"),
    *("p_holm", "n", "n_clusters", "coverage", "accuracy_decided", "fair", "meaning"),
)


def show(result: Result, console: Console | None = None) -> None:
    """Print an audit, part by part.

    Args:
        result: What `audit_benchmark` returns.
        console: Default: standard output, at least 120 characters wide.
    """
    console = console or Console()
    if console.width < 120:
        console = Console(width=120, file=console.file)
    about = result["benchmark"]
    console.print(f"[bold]{escape(about['name'])}[/]: {escape(about['about'])}", highlight=False)
    chosen = [part for part in result["parts"] if "shortcuts" in part]
    if chosen:
        console.print(_table(chosen))
        console.print("* above chance (p < 0.05 after Holm's correction); 95 % intervals, by clip")
    for part in result["parts"]:
        for line in lines_of(part):
            console.print(escape(line), highlight=False)


def _table(parts: Sequence[Result]) -> Table:
    table = Table(title="Audit: accuracy % of strategies that do not answer the question")
    table.add_column("strategy", no_wrap=True)
    for part in parts:
        table.add_column(escape(part["part"]), justify="right")
    families = dict.fromkeys(row["family"] for part in parts for row in part["shortcuts"])
    for family in families:
        table.add_row(f"[italic]{escape(family)}[/]", *[""] * len(parts))
        names = dict.fromkeys(
            row["strategy"]
            for part in parts
            for row in part["shortcuts"]
            if row["family"] == family
        )
        for name in names:
            table.add_row(f"  {escape(name)}", *[_cell(part, name) for part in parts])
        table.add_section()
    table.add_row("chance", *[f"{100 * part['chance']:.1f} " for part in parts])
    table.add_row("items, clips", *[f"{part['items']}, {part['n_clusters']} " for part in parts])
    return table


def _cell(part: Result, name: str) -> str:
    row = next((row for row in part["shortcuts"] if row["strategy"] == name), None)
    if row is None:
        return ""
    text = f"{100 * row['accuracy']:.1f}"
    if row["low"] is not None:
        text += f" ({100 * row['low']:.1f}-{100 * row['high']:.1f})"
    return text + ("*" if beats_chance(dict(row), part["chance"]) else " ")


def lines_of(part: Result) -> list[str]:
    """Return what is said of a part in sentences."""
    name = part["part"]
    lines = [f"{name}: {part['verdict']}"]
    if left := part["left_out"]:
        told = ", ".join(f"{n} without {what}" for what, n in left.items())
        lines.append(f"  {part['rows']} rows, of which {told} are left out")
    for fault in part["faults"][:_FAULTS]:
        what = fault["what"]
        shown = what if len(what) <= _LONGEST else f"{what[:_LONGEST]}..."
        lines.append(f"  row {fault['row']} is no item: {shown}")
    if part["faulty_rows"] > _FAULTS:
        lines.append(f"  ... {part['faulty_rows']} such rows")
    if letters := part.get("letters"):
        counts = " ".join(f"{letter} {n}" for letter, n in letters["counts"].items())
        lines.append(f"  right letters: {counts} (p of equal counts {letters['p_uniform']:.3f})")
    for row in part.get("times", ()):
        near = ", ".join(f"{100 * v['share']:.1f} % in {t}" for t, v in row["within"].items())
        lines.append(f"  {row['strategy']}: {row['seconds_error']:.2f} s off on average; {near}")
    for leak in part.get("leaks", ()):
        # A trait of spelling that falls on wrong options as often tells nothing.
        if leak["n"] > leak.get("wrong", 0):
            beside = f"; alone of a wrong one: {leak['wrong']}" if "wrong" in leak else ""
            names = ", ".join(leak["items"][:_ITEMS])
            more = ", ..." if leak["n"] > _ITEMS else ""
            lines.append(
                f"  {leak['name']}: {leak['n']} of {leak['of']} items{beside} ({names}{more}). "
                f"{leak['meaning']}"
            )
    return lines


def to_csv(result: Result) -> str:
    """Return one row for each part's strategy."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for part in result["parts"]:
        head = {"benchmark": result["benchmark"]["name"], "part": part["part"]}
        for row in part.get("shortcuts", ()):
            writer.writerow({**row, **head, "chance": part["chance"]})
        for row in part.get("times", ()):
            for tolerance, share in row["within"].items():
                name = f"{row['strategy']}, within {tolerance}"
                more = {"family": "times", "strategy": name, "accuracy": share["share"]}
                writer.writerow({**row, **share, **head, **more})
    return text.getvalue()


def write(result: Result, folder: Path) -> list[Path]:
    """Write `audit.json` and `audit.csv`; equal audits give equal bytes.

    Raises:
        OptionError: The folder cannot be written to.
    """
    return write_texts(folder, {"audit.json": to_json(result), "audit.csv": to_csv(result)})

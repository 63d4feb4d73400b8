"""The audit on the screen: one table, a column for each part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tempo_tasks.audit.overlap import LEVELS

Result = Mapping[str, Any]
_WIDE = 4  # columns that leave room for intervals


def show(result: Result, console: Console | None = None) -> None:
    """Print an audit.

    Args:
        result: What `audit` returns.
        console: Default: standard output, at least 120 characters wide.
    """
    console = console or _console()
    parts = result["parts"]
    table = Table(title="Audit: accuracy % of strategies that do not answer the question")
    table.add_column("strategy", no_wrap=True)
    for head in headings(result):
        table.add_column(escape(head), justify="right", overflow="fold")
    for family, rows in by_family(parts).items():
        table.add_row(f"[italic]{escape(family)}[/]", *[""] * len(parts))
        for name, cells in rows.items():
            table.add_row(f"  {escape(name)}", *[_cell(cell, len(parts)) for cell in cells])
        table.add_section()
    for title, lines in _facts(parts):
        if lines[0][0]:
            table.add_row(f"[italic]{escape(title)}[/]", *[""] * len(parts))
        for name, values in lines:
            head = f"  {escape(name)}" if name else f"[italic]{escape(title)}[/]"
            table.add_row(head, *map(escape, values))
        table.add_section()
    console.print(table)
    console.print(
        "Chance is 25 %; * differs from it (p < 0.05 after Holm's correction). 95 % intervals are "
        "clustered by clip or group.",
        highlight=False,
    )
    for head, part in zip(headings(result), parts, strict=True):
        console.print(
            f"[bold]{escape(head)}:[/] {escape(part['verdict']['text'])}", highlight=False
        )
    for line in doubles_lines(result):
        console.print(escape(line), highlight=False)


def _console() -> Console:
    console = Console()
    return console if console.width >= 120 else Console(width=120)


def headings(result: Result) -> list[str]:
    """Return the name of each part: its kind, with the data set where kinds come twice."""
    kinds = [part["kind"] for part in result["parts"]]
    several = len(set(kinds)) < len(kinds)
    names = []
    for part in result["parts"]:
        kind = part["kind"] if part["kind"] == "all" else part["kind"].upper()
        named = several and part["data"] != "all"
        names.append(f"{part['data']} {kind}" if named else kind)
    return names


def by_family(parts: Sequence[Result]) -> dict[str, dict[str, list[Result | None]]]:
    """Return rows by family and strategy, one cell a part; None where a part has no such row."""
    found: dict[str, dict[str, list[Result | None]]] = {}
    for number, part in enumerate(parts):
        for row in part["shortcuts"]:
            cells = found.setdefault(row["family"], {}).setdefault(
                row["strategy"], [None] * len(parts)
            )
            cells[number] = row
    return found


def _cell(row: Result | None, n_parts: int) -> str:
    if row is None:
        return ""
    text = f"{100 * row['accuracy']:.1f}"
    if n_parts <= _WIDE and row["low"] is not None:
        text += f" ({100 * row['low']:.1f}-{100 * row['high']:.1f})"
    star = row["p_holm"] is not None and row["p_holm"] < 0.05
    return text + ("*" if star else " ")


def _facts(parts: Sequence[Result]) -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """Yield what is no strategy: strata, ceiling, letters."""
    yield (
        "items, clips",
        [("", [f"{part['n']}, {part['n_clips']}" for part in parts])],
    )
    for stratum, title in TITLES.items():
        bins = bins_in_order([part["strata"].get(stratum, {}) for part in parts])
        if bins:
            yield (
                f"{title}: items (%)",
                [
                    (name, [_share(part["strata"].get(stratum), name) for part in parts])
                    for name in bins
                ],
            )
    timed = [part["verdict"]["tests_time"] for part in parts]
    if any(share is not None for share in timed):
        yield "test time, % of items", [("", [percent(share) for share in timed])]
    with_ceiling = [part["ceiling"] for part in parts]
    if any(with_ceiling):
        yield "perfect detector, error sigma", list(_ceiling_lines(with_ceiling))
    yield "right letters", list(_letter_lines(parts))


TITLES = {
    "n_present": "options in the clip",
    "margin": "lead of the right event",
    "overlap": "its overlap with others",
    "n_intervals": "its intervals",
}
"""What the strata are called, by name."""


def bins_in_order(strata: Sequence[Mapping[str, Result]]) -> list[str]:
    """Return the bins of all parts, in the order of those that have most; others after them."""
    ordered = sorted(strata, key=len, reverse=True)
    return list(dict.fromkeys(name for bins in ordered for name in bins))


def _share(bins: Mapping[str, Result] | None, name: str) -> str:
    if bins is None:
        return ""
    found = bins.get(name, {"n": 0, "share": 0.0})
    return f"{found['n']} ({100 * found['share']:.1f})"


def percent(share: float | None) -> str:
    """Return a share as a percentage; empty where it is not known."""
    return "" if share is None else f"{100 * share:.1f}"


def _ceiling_lines(ceilings: Sequence[Result | None]) -> Iterator[tuple[str, list[str]]]:
    first = next(found for found in ceilings if found)
    for row, point in enumerate(first["points"]):
        cells = [percent(c["points"][row]["accuracy"]) if c else "" for c in ceilings]
        yield f"{point['sigma']:g} s", cells
    for row, reach in enumerate(first["reach"]):
        cells = [seconds(c["reach"][row]["sigma"]) if c else "" for c in ceilings]
        yield f"sigma that gives {100 * reach['accuracy']:g} %", cells


def seconds(sigma: float | None) -> str:
    """Return a timing error with its unit; `-` where an accuracy is not reached."""
    return "-" if sigma is None else f"{sigma:.2g} s"


def _letter_lines(parts: Sequence[Result]) -> Iterator[tuple[str, list[str]]]:
    def line(cell: Any) -> list[str]:
        return [cell(part["letters"]) if part["letters"] else "" for part in parts]

    yield "A B C D", line(lambda found: " ".join(map(str, found["counts"].values())))
    yield "p of equal counts", line(lambda found: f"{found['p_uniform']:.3f}")
    yield "longest run", line(lambda found: str(found["longest_run"]))
    yield "period", line(lambda found: period(found))
    labels = [part["labels"] for part in parts]
    yield "p of balanced labels", [f"{found['p']:.4f}" if found else "" for found in labels]


def period(letters: Result) -> str:
    """Return the period of the right letters and the share of rows that repeat at it."""
    if letters["period"] is None:
        return "none"
    return f"{letters['period']} ({100 * letters['period_share']:.0f} %)"


def doubles_lines(result: Result) -> list[str]:
    """Return what is said of doubles, contamination and rows that are no question."""
    lines = []
    for found in result["data"]:
        if found["faults"]:
            lines.append(f"{found['name']}: {len(found['faults'])} rows are no question")
    for found in result["doubles"]["within"]:
        # That a clip has questions of several kinds is meant.
        lines += _level_lines(f"{found['data']}, more than once", found["levels"], {"clip"})
    for found in result["doubles"]["between"]:
        lines += _level_lines(f"{found['data']}, also in {found['other']}", found["levels"], set())
    for found in result["contamination"]:
        kinds = ", ".join(
            f"{kind.upper()} {hit['n']} ({100 * hit['share']:.1f} %)"
            for kind, hit in found["kinds"].items()
        )
        lines.append(
            f"{found['data']}, in the list {found['list']} ({found['rows']} rows): "
            f"{found['n']} items ({100 * found['share']:.1f} %): {kinds}"
        )
    return lines


def _level_lines(head: str, levels: Mapping[str, Result], meant: set[str]) -> list[str]:
    return [
        f"{head}: {found['n']} items ({LEVELS[level]})"
        for level, found in levels.items()
        if found["n"] and level not in meant
    ]

"""What `tempo data check` shows and writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tempo_tasks.data.check.findings import What
from tempo_tasks.data.check.run import CheckResult, KindSummary

SHOWN = 20  # findings on the screen
_WIDTH = 150


def as_json(result: CheckResult, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything in plain JSON types.

    Args:
        result: What was found.
        settings: What was asked for: questions, intervals, margin ...

    Returns:
        `agrees`, `settings`, `kinds` (numbers of each kind), `findings` (all of them, disagreements
        first) and `items` (every question with its recomputed answer and margin).
    """
    return {
        "agrees": result.agrees,
        "settings": dict(settings),
        "kinds": [_kind_json(summary) for summary in result.summaries()],
        "findings": [finding.to_dict() for finding in result.findings],
        "items": [item.to_dict() for item in result.items],
    }


def show(result: CheckResult, console: Console | None = None) -> None:
    """Print the summary of each kind, the first findings, and what to make of them."""
    console = console or Console(width=_WIDTH)
    summaries = result.summaries()
    table = Table(title=f"check: {', '.join(result.names)}")
    table.add_column("kind")
    for column in (
        "items",
        "agree",
        "margin asked (s)",
        "smallest",
        "median",
        "options in clip 1/2/3/4",
        "right A/B/C/D (chi-square p)",
    ):
        table.add_column(column, justify="right")
    table.add_column("disagreements")
    table.add_column("notes")
    for summary in summaries:
        table.add_row(*_cells(summary))
    console.print(table)
    for finding in result.findings[:SHOWN]:
        # Labels and file names are the user's: brackets in them are no mark-up.
        console.print(
            f"{finding.severity}: {finding}", markup=False, highlight=False, soft_wrap=True
        )
    more = len(result.findings) - SHOWN
    if more > 0:
        console.print(
            f"... and {more} more findings: --json / --out for all of them", highlight=False
        )
    console.print(_verdict(result), highlight=False)


def _cells(summary: KindSummary) -> list[str]:
    p = "" if summary.letters_p is None else f" ({summary.letters_p:.2g})"
    return [
        summary.kind,
        str(summary.items),
        str(summary.agree),
        "/".join(f"{required:g}" for required in summary.required),
        _seconds(summary.smallest_margin),
        _seconds(summary.median_margin),
        "/".join(str(summary.in_clip[number]) for number in range(1, 5)),
        "/".join(map(str, summary.letters.values())) + p,
        _counts(summary, notes=False),
        _counts(summary, notes=True),
    ]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _counts(summary: KindSummary, *, notes: bool) -> str:
    shown = _counted((w, n) for w, n in summary.found.items() if w.is_note is notes)
    return shown or "none"


def _counted(found: Iterable[tuple[What, int]]) -> str:
    return ", ".join(f"{count} {what.value}" for what, count in found)


def _verdict(result: CheckResult) -> str:
    agree = sum(item.agrees for item in result.items)
    text = f"{agree} of {len(result.items)} items agree with the intervals"
    malformed = sum(finding.what is What.MALFORMED_ROW for finding in result.findings)
    if malformed:
        text += f"; {malformed} rows are no question"
    disagreements = sum(not finding.what.is_note for finding in result.findings)
    notes = len(result.findings) - disagreements
    return f"{text}. {disagreements} disagreements, {notes} notes."


def _kind_json(summary: KindSummary) -> dict[str, Any]:
    return {
        "kind": summary.kind,
        "items": summary.items,
        "agree": summary.agree,
        "required_margin": list(summary.required),
        "smallest_margin": summary.smallest_margin,
        "median_margin": summary.median_margin,
        "options_in_clip": {str(number): n for number, n in summary.in_clip.items()},
        "letters": dict(summary.letters),
        "letters_p": summary.letters_p,
        "findings": {what.value: count for what, count in summary.found.items()},
    }

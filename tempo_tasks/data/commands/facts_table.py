"""What a manifest or `tempo data info` says of data, as a table on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def show(name: str, facts: Mapping[str, Any]) -> None:
    """Print what a manifest or `tempo data info` says."""
    console = Console(width=100, highlight=False)
    columns = ("kind", "questions", "clips", "A / B / C / D right", "1 / 2 / 3 / 4 in the clip")
    table = Table(title=escape(name))
    for column in (*columns, "labels"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for kind, count in facts["kinds"].items():
        table.add_row(
            kind,
            f"{count['questions']:,}",
            f"{count['clips']:,}",
            " / ".join(f"{value:,}" for value in count["letters"].values()),
            " / ".join(f"{value:,}" for value in count.get("in_clip", {}).values()) or "unknown",
            f"{count['labels']:,}",
        )
    console.print(table)
    lines = {
        "clips": f"{facts['clips']:,}, {facts['captions']:,} with a caption",
        "fingerprint": facts["fingerprint"],
    }
    if facts.get("licences"):
        lines["licences"] = ", ".join(f"{n} {c:,}" for n, c in facts["licences"].items())
    if facts.get("download"):
        lines["from"] = f"{facts['download']['repo']} at {facts['download']['commit']}"
    if facts.get("malformed_rows"):
        lines["malformed rows"] = f"{facts['malformed_rows']:,}; tempo data check names them"
    for title, text in lines.items():
        console.print(f"{title}: {text}", soft_wrap=True, markup=False)
    for note in facts.get("notes", ()):
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    repairs = facts.get("repairs", ())
    if repairs:
        console.print(f"repairs: {len(repairs):,}, listed in manifest.json; the first:")
        for repair in repairs[:5]:
            row = f"row {repair['row']}, " if repair["row"] else ""
            line = f"  {repair['file']}, {row}{repair['filename']}: {repair['what']}"
            console.print(line, soft_wrap=True, markup=False)

"""What pushing options' names through time changes, as the terminal shows it."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tempo_attn.lab.steer.write import SteerReport
from tempo_tasks.lab.show.numbers import p_value, percent, points


def show(report: SteerReport) -> None:
    """Show the flipped pairs along the direction, along random ones, and what else changes."""
    about = report.summary
    shown = Table(title="pairs of opposing answers that a push flips, % (95 % interval by cluster)")
    for column in (
        *("what", "layers", "strength", "pairs", "flipped", "random"),
        *("difference, points", "p (random)", "otherwise", "lost"),
    ):
        shown.add_column(column, justify="right")
    for row in report.rows:
        known = row["excess_low"] is not None
        shown.add_row(
            escape(f"{row['condition']}, {row['kind']}"),
            row["layers"],
            f"{row['strength']:g}",
            str(row["pairs"]),
            percent(row["flipped"]),
            percent(row["random"]),
            points(row["excess"], row["excess_low"], row["excess_high"]) if known else "-",
            p_value(row["p_random"]),
            percent(row["otherwise"]),
            percent(row["lost"]),
        )
    console = Console(width=120)
    console.print(shown)
    of = about["directions"]
    clips = (
        f"{of['n_left_out']} items of clips that the directions were made from are left out"
        if of["clips_known"]
        else "the timeline does not say which clips it was made from: some may be among these"
    )
    console.print(
        f"{about['n']} items of {about['n_clusters']} clusters, {' and '.join(about['engines'])}; "
        f"{clips}. The control (alpha = 0) moves logits by at most {about['control_change']:.1e}."
    )

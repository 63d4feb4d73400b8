"""What editing the best heads changes, as the terminal shows it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tempo_attn.lab.try_heads.write import TrialReport
from tempo_tasks.lab.show.numbers import p_value, percent, points


def show(report: TrialReport) -> None:
    """Show the change by the best heads, by random ones, and the difference."""
    about = report.summary
    shown = Table(title=f"{about['edit']}: change of accuracy, points (95 % interval by cluster)")
    for column in ("best heads", "control, %", "best", "p (Holm)", "random", "best - random"):
        shown.add_column(column, justify="right")
    for row in report.rows:
        random = row["random"] is not None
        shown.add_row(
            str(row["heads"]),
            percent(row["control_accuracy"]),
            points(row["change"], row["low"], row["high"]),
            p_value(row["p_holm"]),
            points(row["random"], row["random_low"], row["random_high"]) if random else "-",
            points(row["excess"], row["excess_low"], row["excess_high"]) if random else "-",
        )
    console = Console(width=110)
    console.print(shown)
    chosen = about["chosen_on"]
    console.print(
        f"Tried on {about['n']} items of {about['n_clusters']} clusters; the heads were chosen by "
        f"attention on {chosen['target']} from the rows {chosen['rows']}, on {chosen['n']} others."
    )

"""The command `tempo stats`; heavy imports wait until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_commands(app: typer.Typer) -> None:
    """Add `stats` to `tempo`."""
    app.command(rich_help_panel="Benchmark")(stats)


def stats(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Folders that lm_eval wrote with --output_path and --log_samples, or their "
            "results_*.json. NAME=RUN names a run.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Also write statistics.json, .csv and .md to this folder."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in place of the tables.")
    ] = False,
    level: Annotated[float, typer.Option(help="Coverage of the intervals, 0.5 to below 1.")] = 0.95,
) -> None:
    """Say what scores can mean: intervals, paired tests, power, strata, agreement. Runs no model.

    Example: tempo stats plain=out/plain edited=out/edited --out my-statistics
    """
    from tempo_tasks.output_files import check_output
    from tempo_tasks.stats.report import check_level, make_report
    from tempo_tasks.stats.runs import read_runs
    from tempo_tasks.stats.statistics_output import show, write_report

    check_level(level)
    check_output(out, folder=True)
    report = make_report(read_runs(runs, others=True), level)
    if as_json:
        import json

        typer.echo(json.dumps(report, indent=2, allow_nan=False))
    else:
        show(report)
    if out is not None:
        files = write_report(report, out)
        typer.echo(f"In {out}: {', '.join(path.name for path in files)}", err=as_json)

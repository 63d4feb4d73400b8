"""The command `tempo validate`; heavy imports wait until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tempo_tasks.data_options import Captions, Intervals, ReleasedData
from tempo_tasks.submission.submit_command import submit


def add_commands(app: typer.Typer) -> None:
    """Add `submit` and `validate` to `tempo`."""
    app.command(rich_help_panel="Benchmark")(submit)
    app.command(rich_help_panel="Benchmark")(validate)


def validate(
    bundle: Annotated[
        Path, typer.Argument(help="A folder that `tempo submit` wrote, or a zip of one.")
    ],
    data: ReleasedData = None,
    intervals: Intervals = None,
    captions: Captions = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in place of the sentences.")
    ] = False,
) -> None:
    """Work out everything in a submission again, from its samples and the data.

    Exit code 0: accepted. 1: not accepted, every fault is listed. 2: no bundle that can be read.
    Example: tempo validate my-bundle
    """
    from tempo_tasks.submission.asked_documents import AskedData
    from tempo_tasks.submission.validate import validate as check

    verdict = check(bundle, AskedData(data, tuple(intervals or ()), captions))
    if as_json:
        import json

        typer.echo(json.dumps(verdict.to_dict(), indent=2, allow_nan=False))
    else:
        for line in verdict.sentences():
            typer.echo(line)
    if not verdict.accepted:
        raise typer.Exit(1)

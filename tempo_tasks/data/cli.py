"""The commands `tempo data ...`."""

from __future__ import annotations

import typer

from tempo_tasks.data.build import cli as build_cli
from tempo_tasks.data.check.cli import check

app = typer.Typer(
    name="data",
    no_args_is_help=True,
    help="Build, check, describe, download and cite benchmarks.",
)
build_cli.add_commands(app)
app.command()(check)

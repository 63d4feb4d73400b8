"""The commands `tempo data ...`, one file each."""

from __future__ import annotations

import typer

from tempo_tasks.data.commands import build, check, cite, download, info, render, tasks

app = typer.Typer(
    name="data",
    no_args_is_help=True,
    help="Build, render, check, describe, download and cite benchmarks.",
)
for command in (
    *(build.build, render.render, tasks.tasks, info.info),
    *(download.download, cite.cite, check.check),
):
    app.command()(command)

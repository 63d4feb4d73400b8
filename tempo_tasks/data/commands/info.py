"""The command `tempo data info`. Heavy imports wait until it runs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tempo_tasks.data.commands.options import Json


def info(
    name: Annotated[
        str,
        typer.Argument(help="Folder or file, task, or id of a data set in the Hub's cache."),
    ],
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Compare the files with the manifest; exit 1 on a difference."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what data hold: questions, letters, options in the clip, licences, repairs."""
    from tempo_tasks.data.commands.facts_table import show
    from tempo_tasks.data.facts import look_into

    found = look_into(name, verify=verify)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        show(name, found.facts)
        for problem in found.problems or ():
            typer.echo(f"  {problem}")
        if verify:
            count = len(found.problems or ())
            typer.echo(f"{count} problems" if count else "Verified: all files are as written")
    if found.problems:
        raise typer.Exit(1)

"""The command `tempo data download`. Heavy imports wait until it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tempo_tasks.data.commands.options import Json, Quiet


def download(
    source: Annotated[str, typer.Argument(help="tacos or released.")],
    out: Annotated[Path | None, typer.Option(help="Folder; default: in the cache.")] = None,
    no_audio: Annotated[
        bool, typer.Option("--no-audio", help="Leave audio.zip of TACOS out (1.6 GB).")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="Of the released data set: branch, tag or commit.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch TACOS from Zenodo or the released benchmark from the Hub; goes on where it stopped."""
    from tempo_tasks.data.fetch import fetch

    found = fetch(source, out, audio=not no_audio, revision=revision, progress=not quiet)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, fetched in found.get("files", {}).items():
        typer.echo(f"{name}: {'fetched' if fetched else 'was there'}, checked")
    if "repo" in found:
        typer.echo(f"{found['repo']} at {found['commit']}")
    typer.echo(f"In {found['folder']}")

"""The command `tempo data cite`. Heavy imports wait until it runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer


def cite(
    name: Annotated[
        str,
        typer.Argument(
            help="tacos, released, synth, tempo, esc50, urbansound8k or fsd50k; or a folder that "
            "tempo data render wrote: then each recording in it, with licence and source."
        ),
    ] = "tempo",
) -> None:
    """Print BibTeX entries, and whose recordings a rendered folder is made of."""
    from tempo_tasks.data.citations import ENTRIES, bibtex, credits_of

    folder = Path(name).expanduser()
    if name in ENTRIES or not folder.is_dir():
        typer.echo(bibtex(name))
        return
    recordings, entries = credits_of(folder)
    licences = Counter(one["licence"] or "unknown licence" for one in recordings)
    typer.echo(f"{len(recordings):,} recordings are heard in {_inert(folder.name)}:")
    for licence, count in sorted(licences.items(), key=lambda item: (-item[1], item[0])):
        typer.echo(f"  {_inert(licence)}: {count:,}")
    typer.echo("")
    for one in recordings:
        about = (one["label"], one["author"], one["licence"] or "unknown licence", one["link"])
        told = ", ".join(_inert(part) for part in about if part)
        typer.echo(f"{_inert(one['recording'])}: {told}")
    typer.echo(f"\n{entries}")


def _inert(text: str) -> str:
    """Return a text without signs that steer a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)

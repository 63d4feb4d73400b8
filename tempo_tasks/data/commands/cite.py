"""The command `tempo data cite`."""

from __future__ import annotations

from typing import Annotated

import typer


def cite(
    name: Annotated[str, typer.Argument(help="tacos, released, synth or tempo.")] = "tempo",
) -> None:
    """Print BibTeX entries: of the data, and of this software."""
    from tempo_tasks.data.citations import bibtex

    typer.echo(bibtex(name))

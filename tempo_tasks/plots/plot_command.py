"""The command `tempo plot`. Heavy imports wait until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_commands(app: typer.Typer) -> None:
    """Add `plot` to `tempo`."""
    app.command(rich_help_panel="Benchmark")(plot)


def plot(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Folders that lm_eval or tempo score wrote, drawn side by side, and run folders "
            "of the laboratory (tempo mass, sweep, ...). NAME=RUN names one.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the figures.")],
    formats: Annotated[
        str, typer.Option("--format", help="Some of png, svg and pdf, with commas.")
    ] = "png,svg,pdf",
    level: Annotated[
        float, typer.Option(help="Coverage of accuracy's intervals, 0.5 to below 1.")
    ] = 0.95,
) -> None:
    """Draw the figures of a paper: accuracy by condition, attention on audio, layers of a sweep.

    Example: tempo plot plain=out/plain edited=out/edited runs/my-sweep -o figures --format pdf
    """
    from tempo_attn.did_you_mean import did_you_mean
    from tempo_attn.errors import OptionError
    from tempo_attn.figures import FORMATS
    from tempo_tasks.output_files import check_output
    from tempo_tasks.stats.report import check_level

    wanted = [name.strip().lower().lstrip(".") for name in formats.split(",")]
    if unknown := [name for name in wanted if name not in FORMATS]:
        raise OptionError(
            f"--format {formats}: {unknown[0]!r} is none; expected some of {', '.join(FORMATS)}."
            f"{did_you_mean(unknown[0], FORMATS)}"
        )
    check_level(level)
    check_output(out, folder=True, option="-o")

    from tempo_tasks.plots.draw_runs import draw

    drawn = draw(runs, out, wanted, level)
    for note in drawn.notes:
        typer.echo(note)
    typer.echo(f"In {out}: {', '.join(file.name for file in drawn.files)}")

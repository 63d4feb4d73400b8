"""The command `tempo leaderboard`; heavy imports wait until it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tempo_tasks.data_options import Captions, Intervals, ReleasedData

_SHOWN = 3


def add_commands(app: typer.Typer) -> None:
    """Add `leaderboard` to `tempo`."""
    app.command(rich_help_panel="Benchmark")(leaderboard)


def leaderboard(
    bundles: Annotated[
        list[Path],
        typer.Argument(help="Submissions: folders or zips, or a folder of such."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the site.")],
    data: ReleasedData = None,
    intervals: Intervals = None,
    captions: Captions = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that validate; default: one a core.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder in which accepted submissions are remembered; default: leaderboard in "
            "the cache folder. Another one validates all anew."
        ),
    ] = None,
) -> None:
    """Validate submissions and write a static site: tables, a page an entry, JSON and CSV.

    Exit code 1 where a submission was rejected; the site has the others.
    Example: tempo leaderboard submissions/* -o site
    """
    from tqdm import tqdm

    from tempo_tasks.cache_folder import cache_dir
    from tempo_tasks.leaderboard.gather import found_bundles, gather
    from tempo_tasks.leaderboard.site_files import write_site
    from tempo_tasks.output_files import check_output
    from tempo_tasks.submission.asked_documents import AskedData
    from tempo_tasks.submission.validate import inert

    check_output(out, folder=True)
    found = gather(
        found_bundles(bundles),
        AskedData(data, tuple(intervals or ()), captions),
        cache or cache_dir() / "leaderboard",
        workers or os.cpu_count() or 1,
        lambda paths: tqdm(paths, desc="Validating", disable=None),
    )
    files = write_site(found, out)
    for one in found["rejected"]:
        for fault in one["faults"][:_SHOWN]:
            typer.echo(inert(f"rejected: {one['bundle']}: {fault}"), err=True)
        if (more := len(one["faults"]) - _SHOWN) > 0:
            typer.echo(inert(f"rejected: {one['bundle']}: and {more} more"), err=True)
    n_boards, n_entries = len(found["boards"]), len(found["entries"])
    typer.echo(
        f"In {out}: {len(files)} files, {n_entries} entries on {n_boards} boards, "
        f"{len(found['rejected'])} rejected (rejected.json)"
    )
    if found["rejected"]:
        raise typer.Exit(1)

"""The commands `tempo report` and `tempo view`; heavy imports wait until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_commands(app: typer.Typer) -> None:
    """Add `report` and `view` to `tempo`."""
    app.command(rich_help_panel="Benchmark")(report)
    app.command(rich_help_panel="Benchmark")(view)


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Folders that lm_eval wrote with --output_path and --log_samples, run folders of "
            "the laboratory, choice.json, audit.json, JSON of tempo doctor. NAME=RUN names a run.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="What stands over the page.")] = "tempo report",
    max_audio: Annotated[
        float,
        typer.Option(
            help="Megabytes of compressed audio in the page; the sound of further clips goes into "
            "a folder beside it. 0: all of it."
        ),
    ] = 20.0,
    data: Annotated[
        str | None,
        typer.Option(help="Where the released data lie now; default: where the results say."),
    ] = None,
    intervals: Annotated[
        list[Path] | None, typer.Option(help="Interval CSV of the clips, several times.")
    ] = None,
    level: Annotated[float, typer.Option(help="Coverage of the intervals, 0.5 to below 1.")] = 0.95,
    audit: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Audit the data for the baselines.")
    ] = True,
) -> None:
    """Make one page of runs, to look at and listen to; it works offline. Runs no model.

    Example: tempo report out/plain runs/sweep-1f2e3d -o report.html
    """
    import math

    from tempo_attn.errors import OptionError
    from tempo_attn.files.atomic import replacing
    from tempo_tasks.output_files import check_output
    from tempo_tasks.report.clips_on_page import write_files
    from tempo_tasks.report.inputs import read_inputs
    from tempo_tasks.report.make_report import Options, make_report
    from tempo_tasks.report.page import plotly_script
    from tempo_tasks.stats.report import check_level

    check_level(level)
    if not (math.isfinite(max_audio) and max_audio >= 0):
        raise OptionError(f"--max-audio is {max_audio}; expected megabytes, 0 or more")
    if out.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"--out {out}: expected the name of a page, such as report.html")
    folder = out.with_name(f"{out.stem}_audio")
    check_output(out, folder=False)
    check_output(folder, folder=True)
    plotly_script()
    page, clips = make_report(
        read_inputs(runs),
        Options(
            title=title,
            max_audio=max_audio,
            data=data,
            intervals=intervals or [],
            level=level,
            folder=folder.name,
            audit=audit,
        ),
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_files(clips, folder)
        with replacing(out) as partial:
            partial.write_bytes(page)
    except OSError as error:
        raise OptionError(f"--out {out}: cannot be written ({error}); name another") from error
    beside = f", {len(clips.files)} audio files in {folder}" if clips.files else ""
    typer.echo(f"{out}: {len(page) / 1e6:.1f} MB{beside}. Open it in a browser")


def view(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="As for report.", show_default=False)
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 0,
    data: Annotated[
        str | None, typer.Option(help="Where the released data lie now, as for report.")
    ] = None,
    audit: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Audit the data for the baselines.")
    ] = True,
) -> None:
    """Show runs in the browser: their report, served on this machine only, until Ctrl-C.

    Example: tempo view out/plain
    """
    from tempo_attn.errors import OptionError
    from tempo_tasks.report.inputs import read_inputs
    from tempo_tasks.report.make_report import Options, make_report
    from tempo_tasks.report.page import plotly_script
    from tempo_tasks.report.serve import Served, address, make_server

    plotly_script()
    folder = "audio"
    served = Served()
    try:  # before the page, which takes a while
        server = make_server(served, port)
    except OSError as error:
        raise OptionError(f"--port {port}: cannot be used ({error}); 0 takes a free one") from error
    try:
        options = Options(max_audio=0.0, data=data, folder=folder, audit=audit, served=True)
        page, clips = make_report(read_inputs(runs), options)
        files = {f"{folder}/{name}": content for name, content in clips.files.items()}
        served.contents = {"": page, **files}
        typer.echo(f"{address(server, served)}  (Ctrl-C ends it)")
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("ended")
    finally:
        server.server_close()

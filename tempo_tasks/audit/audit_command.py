"""The command `tempo audit`. Heavy imports wait until it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempo_tasks.data_options import Captions, Intervals

if TYPE_CHECKING:
    from tempo_tasks.sources.without_audio import PlainSet


def add_commands(app: typer.Typer) -> None:
    """Add `tempo audit`."""
    app.command(rich_help_panel="Benchmark")(audit)


def audit(
    data: Annotated[
        list[str],
        typer.Argument(
            help="Question files or folders, ids of data sets on the Hub, tempo_synth, "
            "tempo_synth_hard; several at once, such as one file for each kind."
        ),
    ],
    intervals: Intervals = None,
    captions: Captions = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair interval rows that can be (see docs).")
    ] = False,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Further DATA that must not share clips, several times."),
    ] = None,
    train: Annotated[
        list[Path] | None,
        typer.Option(
            help="List of training clips (txt, CSV, JSON, JSON Lines, Parquet), several times."
        ),
    ] = None,
    sigma: Annotated[
        str, typer.Option(help="Timing errors of the perfect detector, seconds, with commas.")
    ] = "0.1,0.2,0.5,1,2,3",
    reach: Annotated[
        str, typer.Option(help="Accuracies, %, to find its timing error for, with commas.")
    ] = "90,80,70,60",
    seed: Annotated[int, typer.Option(help="Of folds and simulations.", min=0)] = 0,
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="DATA is a copy of this benchmark (trea, mmau, ...) or of one that a YAML file "
            "describes; hub for its data set on the Hub."
        ),
    ] = None,
    part: Annotated[
        list[str] | None, typer.Option(help="Part of the benchmark, several times; default: all.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for audit.json, audit.csv and audit.html.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of the table.")
    ] = False,
) -> None:
    """Say what a benchmark's scores can mean: shortcuts, ceiling, duplicates, contamination.

    No audio is opened. Example: tempo audit eo.csv lo.csv --intervals intervals.csv --out my-audit
    """
    from tempo_attn.errors import OptionError
    from tempo_tasks.audit import assemble
    from tempo_tasks.audit.result_files import to_json, write
    from tempo_tasks.audit.result_table import show
    from tempo_tasks.audit.training import read_training
    from tempo_tasks.output_files import check_output

    settings = assemble.Settings(
        sigmas=_numbers("--sigma", sigma),
        reach=[share / 100 for share in _numbers("--reach", reach)],
        seed=seed,
    )
    check_output(out, folder=True)
    if benchmark is not None:
        others = {
            "--intervals": intervals,
            "--captions": captions,
            "--repair": repair,
            "--against": against,
            "--train": train,
        }
        _audit_benchmark(data, benchmark, part or [], others, out, as_json=as_json)
        return
    if part:
        raise OptionError("--part is of --benchmark, which is not given")
    training = [read_training(path) for path in train or []]
    sets = _loaded(data, intervals or [], captions, repair=repair)
    result = assemble.audit(
        sets,
        settings,
        against=_loaded(against or [], [], None, repair=repair, after=sets),
        training=training,
    )
    files = write(result, out) if out is not None else []
    if as_json:
        typer.echo(to_json(result), nl=False)
        return
    show(result)
    if files:
        typer.echo(f"In {out}: {', '.join(file.name for file in files)}")


def _audit_benchmark(
    data: list[str],
    benchmark: str,
    names: list[str],
    others: Mapping[str, object],
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Audit a copy of another benchmark."""
    from tempo_attn.errors import OptionError
    from tempo_tasks.audit.benchmarks.assemble import audit_benchmark
    from tempo_tasks.audit.benchmarks.result_output import show, write
    from tempo_tasks.audit.result_files import to_json
    from tempo_tasks.sources.benchmarks.description import describe
    from tempo_tasks.sources.benchmarks.load import load_items

    description = describe(benchmark)
    if given := [option for option, value in others.items() if value]:
        raise OptionError(f"{', '.join(given)}: not with --benchmark; leave it out")
    if len(data) > 1:
        raise OptionError(f"--benchmark {benchmark} takes one copy; found {len(data)}")
    copy = description.hub if data[0] == "hub" else data[0]
    ways = [
        (name, seconds)
        for name in names or description.parts
        for seconds in (False, True)
        if (description.part(name).seconds if seconds else description.part(name).options)
    ]
    result = audit_benchmark(
        [load_items(description, name, data=copy, seconds=timed)[0] for name, timed in ways]
    )
    files = write(result, out) if out is not None else []
    if as_json:
        typer.echo(to_json(result), nl=False)
        return
    show(result)
    if files:
        typer.echo(f"In {out}: {', '.join(file.name for file in files)}")


def _loaded(
    names: list[str],
    intervals: list[Path],
    captions: Path | None,
    *,
    repair: bool,
    after: list[PlainSet] | None = None,
) -> list[PlainSet]:
    """Load data sets; names that come twice get numbers."""
    from dataclasses import replace

    from tempo_tasks.sources.without_audio import load_plain

    seen = [re.sub(r"#\d+$", "", found.name) for found in after or []]
    loaded = []
    for name in names:
        found = load_plain(name, intervals=intervals, captions=captions, repair=repair)
        again = seen.count(found.name)
        seen.append(found.name)
        loaded.append(replace(found, name=f"{found.name}#{again + 1}") if again else found)
    return loaded


def _numbers(option: str, text: str) -> list[float]:
    from tempo_attn.errors import OptionError

    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found:
        raise OptionError(f"{option} {text!r}: expected numbers with commas, such as 0.5,1,2")
    return found

"""The command `tempo data render`. Heavy imports wait until it runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from tempo_tasks.data.commands.build import command_typed
from tempo_tasks.data.commands.options import Json, Quiet


def render(
    sounds: Annotated[
        Path,
        typer.Option(
            help="Labelled recordings: a folder with one folder a label, ESC-50, UrbanSound8K, "
            "FSD50K, or a CSV filename,label[,licence,author,link,origin,fold]."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder; a killed rendering goes on in it.")
    ],
    layout: Annotated[
        str, typer.Option(help="auto, folder, csv, esc50, urbansound8k or fsd50k.")
    ] = "auto",
    kind: Annotated[
        str,
        typer.Option(
            "--set",
            help="plain; quartets (whatever hears no time is right in 25 %); mirror (plain, each "
            "clip with a twin in reversed order).",
        ),
    ] = "plain",
    clips: Annotated[int, typer.Option(help="Clips; of quartets a multiple of 4.")] = 400,
    seconds: Annotated[float, typer.Option(help="Length of a clip, 10 to 30 s.")] = 10.0,
    events: Annotated[
        str | None, typer.Option(help="Events of a clip, such as 3-5 (default) or 4.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Most intervals of an event, 1 to 3; default 3.")
    ] = None,
    level: Annotated[
        str, typer.Option(help="Levels of events over the background, dB: lowest:highest.")
    ] = "10:25",
    background: Annotated[
        str, typer.Option(help="none, white, pink, brown, or a folder of recordings.")
    ] = "pink",
    max_overlap: Annotated[
        int | None, typer.Option(help="Most events at once, 1 for no overlap; default: no limit.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Recordings to use: all, train or test, which share none.")
    ] = "all",
    test_folds: Annotated[
        str | None,
        typer.Option(
            help="Folds of the test split, with commas; default: 5 of ESC-50, 10 of "
            "UrbanSound8K, eval of FSD50K; where there are none, a fifth by chance."
        ),
    ] = None,
    alike: Annotated[
        str | None,
        typer.Option(
            help="Labels that sound alike and never stand in one question: a CSV "
            "label,group, or none; default: a built-in list."
        ),
    ] = None,
    min_recordings: Annotated[int, typer.Option(help="Recordings that a label must have.")] = 1,
    bursts: Annotated[
        str, typer.Option(help="Recordings with several bursts: apart (each is used) or leave-out.")
    ] = "apart",
    licence: Annotated[
        str, typer.Option(help="Licence of recordings for which the source names none.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Draws everything.")] = 0,
    rate: Annotated[int, typer.Option(help="Sampling rate of the clips, Hz.")] = 16_000,
    opens: Annotated[
        float, typer.Option("--open", help="A burst reaches this, dB under the loudest 50 ms.")
    ] = 20.0,
    closes: Annotated[
        float, typer.Option("--close", help="It lasts while above this, dB under the loudest.")
    ] = 30.0,
    join: Annotated[
        float, typer.Option(help="Pauses shorter than this, in seconds, do not end it.")
    ] = 0.25,
    workers: Annotated[
        int | None, typer.Option(help="Processes; default: one a core. Nothing depends on it.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Leave out recordings that cannot be used; list them.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Render a benchmark from labelled recordings: real sounds at times that are known.

    Example: tempo data render --sounds ESC-50 --set quartets --repair -o my-quartets
    """
    from tempo_tasks.data.commands.facts_table import show
    from tempo_tasks.data.render.request import RenderRequest
    from tempo_tasks.data.render.run import render as run
    from tempo_tasks.output_files import check_output
    from tempo_tasks.sources.recorded.envelope import Trim

    request = RenderRequest(
        sounds=sounds.expanduser(),
        layout=layout,
        licence=licence,
        kind=kind,
        clips=clips,
        seconds=seconds,
        events=None if events is None else _events(events),
        repeats=repeats,
        levels=_levels(level),
        background=background,
        max_overlap=max_overlap,
        split=split,
        test_folds=None if test_folds is None else _folds(test_folds),
        alike=alike,
        min_recordings=min_recordings,
        bursts=bursts,
        seed=seed,
        rate=rate,
        repair=repair,
        trim=Trim(opens=opens, closes=closes, join=join),
        workers=_cores() if workers is None else workers,
    )
    check_output(out, folder=True)
    manifest, was_there = run(request, out, command=command_typed(), progress=not quiet)
    if as_json:
        typer.echo(json.dumps({"complete_before": was_there, **manifest}, ensure_ascii=False))
        return
    show(str(out), manifest)
    if was_there:
        typer.echo(f"{out}: complete already; nothing was changed")
        return
    tasks = {"plain": "tempo_aqa", "quartets": "tempo_hard", "mirror": "tempo_mirror"}[kind]
    typer.echo(f"Score it: TEMPO_DATA={out} lm_eval --model lalm --tasks {tasks}")
    typer.echo(f"Whom to thank: tempo data cite {out}")


def _events(text: str) -> tuple[int, int]:
    from tempo_attn.errors import OptionError

    fewest, _, most = text.partition("-")
    try:
        return int(fewest), int(most or fewest)
    except ValueError:
        raise OptionError(f"--events {text}: expected a number, or two such as 3-5") from None


def _levels(text: str) -> tuple[float, float]:
    from tempo_attn.errors import OptionError

    low, _, high = text.partition(":")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise OptionError(f"--level {text}: expected dB, or two numbers such as 10:25") from None


def _folds(text: str) -> tuple[str, ...]:
    return tuple(fold for part in text.split(",") if (fold := part.strip()))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

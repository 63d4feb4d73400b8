"""The command `tempo data build`. Heavy imports wait until it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tempo_tasks.data.commands.options import Json, Quiet


def build(
    out: Annotated[Path, typer.Option(help="Folder to build; a killed build goes on in it.")],
    tacos: Annotated[Path | None, typer.Option(help="Folder with the files of TACOS.")] = None,
    intervals: Annotated[
        list[Path] | None,
        typer.Option(
            help="Events with class labels: interval CSV, DCASE/DESED or AudioSet TSV, JAMS, "
            "Audacity labels; a file, or a folder of one file a clip; several times for several."
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", help="csv, dcase, audioset, jams or audacity; default: by the columns."
        ),
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV label,to: merges, renames and (to nothing) drops labels; several times, one "
            "after the other, such as AudioSet's mid_to_display_name.tsv first."
        ),
    ] = None,
    words: Annotated[
        bool | None,
        typer.Option(
            "--words/--no-words",
            help='Labels in words ("Dog_bark" as "dog bark"); default: not those of CSVs.',
        ),
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="CSV filename,text; default: that of TACOS.")
    ] = None,
    audio: Annotated[
        Path | None, typer.Option(help="Folder or ZIP archive; default: that of TACOS.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="CSV text,label: classes of the free texts of TACOS.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="all, test, development, or a CSV of filenames.")
    ] = "all",
    kinds: Annotated[str, typer.Option(help="Some of eo,lo,ld, with commas.")] = "eo,lo,ld",
    size: Annotated[int | None, typer.Option(help="Questions of each kind; default: all.")] = None,
    seed: Annotated[int, typer.Option(help="Draws clips, distractors, order and letters.")] = 0,
    margin: Annotated[
        float | None,
        typer.Option(help="Lead of the right event, s; default: as released (1, 1 and 3)."),
    ] = None,
    min_events: Annotated[int, typer.Option(help="Events that a clip must have.")] = 2,
    min_present: Annotated[
        int | None,
        typer.Option(help="Options that must occur in the clip; default: 1, or 4 for free texts."),
    ] = None,
    per_clip: Annotated[int, typer.Option(help="At most so many questions a kind and clip.")] = 1,
    hard: Annotated[
        bool, typer.Option("--hard", help="Only what presence and label priors cannot answer.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended, and record it.")
    ] = False,
    allow_modified: Annotated[
        bool, typer.Option("--allow-modified", help="Take changed files of TACOS, and record it.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build a benchmark of any size from annotated clips, in the released layout.

    Example: tempo data build --out my-benchmark --intervals intervals.csv --audio clips
    """
    from tempo_tasks.data.build.request import Request
    from tempo_tasks.data.build.run import build as run
    from tempo_tasks.data.commands.facts_table import show
    from tempo_tasks.output_files import check_output

    request = Request(
        tacos=tacos,
        intervals=tuple(intervals or ()),
        format=format_,
        labels=tuple(labels or ()),
        words=words,
        captions=captions,
        audio=audio,
        mapping=mapping,
        split=split,
        kinds=_kinds(kinds),
        size=size,
        seed=seed,
        margin=margin,
        min_events=min_events,
        min_present=min_present,
        per_clip=per_clip,
        hard=hard,
        repair=repair,
        allow_modified=allow_modified,
    )
    check_output(out, folder=True)
    manifest, was_there = run(request, out, command=command_typed(), progress=not quiet)
    if as_json:
        typer.echo(json.dumps({"complete_before": was_there, **manifest}, ensure_ascii=False))
        return
    show(str(out), manifest)
    if was_there:
        typer.echo(f"{out}: complete already; nothing was changed")
    elif manifest["audio"]:
        typer.echo(f"Score it: TEMPO_DATA={out} lm_eval --model lalm --tasks tempo_aqa")
    if not manifest["audio"]:
        typer.echo("No audio: it can be checked and audited; to score it, build with --audio")


def _kinds(names: str) -> tuple[Any, ...]:
    from tempo_attn.did_you_mean import did_you_mean
    from tempo_attn.errors import OptionError
    from tempo_tasks.questions.questions import Kind

    given = {name.strip().lower() for name in names.split(",") if name.strip()}
    kinds = [kind.value for kind in Kind]
    unknown = sorted(given.difference(kinds))
    if unknown:
        near = did_you_mean(unknown[0], kinds)
        raise OptionError(
            f"--kinds {names}: no kind {', '.join(unknown)}; expected eo, lo, ld"
            + (near and f".{near}")
        )
    return tuple(kind for kind in Kind if kind.value in given)


def command_typed() -> str:
    """Return what was typed; of paths only the names, a manifest is shared."""
    from tempo_attn.hub.model_names import shared_name

    def public(word: str) -> str:
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        # Not a bare word: `shared_name` would take "owner/name" for a repository; here is none.
        path = any(mark in value for mark in ("/", "\\", "~")) or value in (".", "..")
        return option + equals + (shared_name(f"./{value}") if path else value)

    return " ".join(["tempo", *map(public, sys.argv[1:])])

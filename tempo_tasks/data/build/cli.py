"""The commands `tempo data build`, `info`, `download` and `cite`.

Heavy imports wait until a command runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to `tempo data`."""
    for command in (build, info, download, cite):
        app.command()(command)


def build(
    out: Annotated[Path, typer.Option(help="Folder to build; a killed build goes on in it.")],
    tacos: Annotated[Path | None, typer.Option(help="Folder with the files of TACOS.")] = None,
    intervals: Annotated[
        list[Path] | None,
        typer.Option(help="Interval CSV with class labels; several times for several."),
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
    from tempo_tasks.data.build.inputs import Request
    from tempo_tasks.data.build.run import build as run
    from tempo_tasks.tables import check_output

    request = Request(
        tacos=tacos,
        intervals=tuple(intervals or ()),
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
    manifest, was_there = run(request, out, command=_command(), progress=not quiet)
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
    from tempo_tasks.data.info import look_into

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
    from tempo_tasks.data.download import download as run

    found = run(source, out, audio=not no_audio, revision=revision, progress=not quiet)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, fetched in found.get("files", {}).items():
        typer.echo(f"{name}: {'fetched' if fetched else 'was there'}, checked")
    if "repo" in found:
        typer.echo(f"{found['repo']} at {found['commit']}")
    typer.echo(f"In {found['folder']}")


def cite(
    name: Annotated[str, typer.Argument(help="tacos, released, synth or tempo.")] = "tempo",
) -> None:
    """Print BibTeX entries: of the data, and of this software."""
    from tempo_tasks.data.cite import bibtex

    typer.echo(bibtex(name))


def show(name: str, facts: Mapping[str, Any]) -> None:
    """Print what a manifest or `tempo data info` says."""
    console = Console(width=100, highlight=False)
    columns = ("kind", "questions", "clips", "A / B / C / D right", "1 / 2 / 3 / 4 in the clip")
    table = Table(title=escape(name))
    for column in (*columns, "labels"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for kind, count in facts["kinds"].items():
        table.add_row(
            kind,
            f"{count['questions']:,}",
            f"{count['clips']:,}",
            " / ".join(f"{value:,}" for value in count["letters"].values()),
            " / ".join(f"{value:,}" for value in count.get("in_clip", {}).values()) or "unknown",
            f"{count['labels']:,}",
        )
    console.print(table)
    lines = {
        "clips": f"{facts['clips']:,}, {facts['captions']:,} with a caption",
        "fingerprint": facts["fingerprint"],
    }
    if facts.get("licences"):
        lines["licences"] = ", ".join(f"{n} {c:,}" for n, c in facts["licences"].items())
    if facts.get("download"):
        lines["from"] = f"{facts['download']['repo']} at {facts['download']['commit']}"
    if facts.get("malformed_rows"):
        lines["malformed rows"] = f"{facts['malformed_rows']:,}; tempo data check names them"
    for title, text in lines.items():
        console.print(f"{title}: {text}", soft_wrap=True, markup=False)
    for note in facts.get("notes", ()):
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    repairs = facts.get("repairs", ())
    if repairs:
        console.print(f"repairs: {len(repairs):,}, listed in manifest.json; the first:")
        for repair in repairs[:5]:
            row = f"row {repair['row']}, " if repair["row"] else ""
            line = f"  {repair['file']}, {row}{repair['filename']}: {repair['what']}"
            console.print(line, soft_wrap=True, markup=False)


def _kinds(names: str) -> tuple[Any, ...]:
    from tempo_attn.did_you_mean import did_you_mean
    from tempo_tasks.errors import QuestionError
    from tempo_tasks.questions.questions import Kind

    given = {name.strip().lower() for name in names.split(",") if name.strip()}
    kinds = [kind.value for kind in Kind]
    unknown = sorted(given.difference(kinds))
    if unknown:
        near = did_you_mean(unknown[0], kinds)
        raise QuestionError(
            f"--kinds {names}: no kind {', '.join(unknown)}; expected eo, lo, ld"
            + (near and f".{near}")
        )
    return tuple(kind for kind in Kind if kind.value in given)


def _command() -> str:
    """Return what was typed; of paths only the names, a manifest is shared."""
    from tempo_attn.hub.model_names import shared_name

    def public(word: str) -> str:
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        # Not a bare word: `shared_name` would take "owner/name" for a repository; here is none.
        path = any(mark in value for mark in ("/", "\\", "~")) or value in (".", "..")
        return option + equals + (shared_name(f"./{value}") if path else value)

    return " ".join(["tempo", *map(public, sys.argv[1:])])

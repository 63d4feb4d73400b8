"""The command `tempo data check`.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tempo_tasks.questions.questions import Kind
    from tempo_tasks.sources.without_audio import PlainSet


def check(
    questions: Annotated[
        list[str],
        typer.Argument(
            help="CSV, JSON Lines or Parquet files, folders in the released layout, tempo_synth or "
            "tempo_synth_hard."
        ),
    ],
    intervals: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV: filename, subclass, intervals; or filename, label, onset, offset. Several "
            "times for several. Default: intervals.csv in the folder."
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="By how many seconds the right event must lead. Default: what a folder's "
            "manifest says; else as released, EO and LO 1, LD 3; rendered scenes 1.",
            min=0,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Labels that options may be beside those of the intervals, one a line."),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Repair what is harmless, and list each repair as a note."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON instead of the table.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Also write everything as JSON.", dir_okay=False)
    ] = None,
) -> None:
    """Recompute every answer from the intervals and list what disagrees.

    Exit status: 0 where all agree, 1 where something disagrees, 2 on unusable input. Notes, such as
    letters in a cycle, do not count.

    Example: tempo data check QUESTIONS.csv --intervals INTERVALS.csv --out check.json
    """
    import json

    from tempo_attn.errors import OptionError
    from tempo_attn.files.csv_and_json import write_json
    from tempo_tasks.data.check import findings_output as output
    from tempo_tasks.data.check.run import check_sets, read_labels
    from tempo_tasks.output_files import check_output

    given = intervals or []
    check_output(out, folder=False)
    known = read_labels(labels) if labels else ()
    sets = _load(questions, given, repair)
    told = _margins(questions, sets)
    result = check_sets(sets, margin=margin, margins=told, labels=known, repair=repair)
    settings = {
        "questions": questions,
        "intervals": [str(path) for path in given],
        "margin": margin,
        "labels": None if labels is None else str(labels),
        "repair": repair,
    }
    plain = output.as_json(result, settings)
    if out is not None:
        try:
            write_json(out, plain)
        except OSError as error:
            raise OptionError(
                f"--out {out} cannot be written ({error}); name another file"
            ) from error
    if as_json:
        typer.echo(json.dumps(plain, indent=2, allow_nan=False))
    else:
        output.show(result)
    raise typer.Exit(0 if result.agrees else 1)


def _margins(questions: list[str], sets: list[PlainSet]) -> dict[str, dict[Kind, float]]:
    """Return the margins that the manifests of folders tell, by the name of the set."""
    from tempo_tasks.data.build.build_manifest import read_manifest
    from tempo_tasks.questions.questions import Kind

    margins = {}
    for data, found in zip(questions, sets, strict=True):
        folder = Path(data).expanduser()
        manifest = read_manifest(folder) if folder.is_dir() else None
        told = None if manifest is None else manifest["spec"].get("margin")
        if isinstance(told, float):
            margins[found.name] = dict.fromkeys(Kind, told)
        elif isinstance(told, dict):
            margins[found.name] = {k: float(told[k.value]) for k in Kind if k.value in told}
    return margins


def _load(questions: list[str], intervals: list[Path], repair: bool) -> list[PlainSet]:
    from dataclasses import replace

    from tempo_tasks.sources.without_audio import load_plain

    sets = [load_plain(data, intervals=intervals, repair=repair) for data in questions]
    names = Counter(found.name for found in sets)
    # Findings name the table: two files of one name are named by where they lie.
    return [
        replace(found, name=data) if names[found.name] > 1 else found
        for found, data in zip(sets, questions, strict=True)
    ]

"""The command `tempo score`. Heavy imports wait until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tempo_tasks.data_options import Captions, Intervals

if TYPE_CHECKING:
    from tempo_tasks.predictions.score import Scored, Source

LISTED = 20
_RENDERED = {
    "synth": "tempo_synth",
    "tempo_synth": "tempo_synth",
    "synth_hard": "tempo_synth_hard",
    "tempo_synth_hard": "tempo_synth_hard",
}
"""Names of data that are rendered, and what the names of their tasks begin with."""


def add_commands(app: typer.Typer) -> None:
    """Add `score` to `tempo`."""
    app.command(rich_help_panel="Benchmark")(score)


def score(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="CSV, JSON, JSON Lines or Parquet, a row an answer: id, or clip (file name) and "
            "kind; text or letter; maybe condition, letter probabilities, correct.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            help="What was asked: a folder or file in the released layout, the id of a data set "
            "on the Hub, synth or synth_hard."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output folder, as lm_eval --output_path.")
    ],
    condition: Annotated[
        str | None,
        typer.Option(
            help="aqa, cqa, acqa, silence or mirror: of all rows, or which of the file's count."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model's name; default: the file's name.")
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Columns with other names: id=question,text=reply; id= for none.")
    ] = "",
    kinds: Annotated[str, typer.Option(help="Kinds of question in the data.")] = "eo,lo,ld",
    hard: Annotated[
        bool, typer.Option("--hard", help="The hard questions about the data's clips were asked.")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="Of the data on the Hub.")] = None,
    split: Annotated[str | None, typer.Option(help="Of the data; default: test.")] = None,
    intervals: Intervals = None,
    captions: Captions = None,
    metadata: Annotated[str, typer.Option(help="JSON, as for lm_eval --metadata.")] = "{}",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score what is there, and say what is not.")
    ] = False,
    first_line: Annotated[
        bool,
        typer.Option(
            "--first-line", help="End texts before their first line break, as the tasks do."
        ),
    ] = False,
    date: Annotated[
        str | None,
        typer.Option(help="In the file names; default: when the file was last changed (UTC)."),
    ] = None,
) -> None:
    """Score predictions made elsewhere; the run is like any that lm_eval writes. Runs no model.

    Example: tempo score mine.csv --data my-folder --condition aqa --model my-lab/mine -o out
    """
    from tempo_tasks.errors import DataUnavailableError
    from tempo_tasks.output_files import check_output
    from tempo_tasks.predictions import run_folder
    from tempo_tasks.predictions.columns import parse_columns
    from tempo_tasks.predictions.read_predictions import read_predictions

    mapping = parse_columns(columns)
    only = _condition(condition)
    check_output(out, folder=True, option="-o")
    if not predictions.is_file():
        raise DataUnavailableError(f"{predictions}: no such file; expected predictions in a file")
    name = predictions.stem if model is None else model
    run_folder.check_model_name(name)
    day = run_folder.parse_date(date, predictions)
    source = _source(
        data, kinds, metadata, hard, _given(revision, split, intervals or [], captions)
    )
    found = read_predictions(predictions, columns=mapping, condition=only)
    folder = run_folder.model_folder(out, name)
    run_folder.check_unwritten(folder, day)

    from tempo_tasks.predictions.score import score as score_all

    scored = score_all(
        found,
        source,
        model=name,
        file=predictions,
        date=day.timestamp(),
        allow_missing=allow_missing,
        first_line=first_line,
    )
    files = run_folder.write_run(folder, day, scored.results, scored.samples)
    _show(scored, found.columns, found.other_conditions)
    typer.echo(f"In {folder}: {files[0].name} and samples of {len(files) - 1} tasks")
    typer.echo(f"Intervals and tests: tempo stats {folder}")


def _condition(given: str | None) -> Any:
    from tempo_attn.did_you_mean import did_you_mean
    from tempo_attn.errors import OptionError
    from tempo_tasks.questions.conditions import Condition

    if given is None:
        return None
    names = [condition.value for condition in Condition]
    if given.lower() not in names:
        raise OptionError(
            f"--condition {given!r}: expected {', '.join(names)}.{did_you_mean(given, names)}"
        )
    return Condition(given.lower())


def _given(
    revision: str | None, split: str | None, intervals: list[Path], captions: Path | None
) -> dict[str, Any]:
    """Return what the options say of released data, by its name in the tasks' metadata."""
    found = {
        "data_revision": revision,
        "data_split": split,
        "data_intervals": [str(path) for path in intervals],
        "data_captions": None if captions is None else str(captions),
    }
    return {name: value for name, value in found.items() if value}


def _source(data: str, kinds: str, metadata: str, hard: bool, given: dict[str, Any]) -> Source:
    from tempo_attn.errors import OptionError
    from tempo_attn.files.strict_json import parse_json
    from tempo_tasks.predictions.score import Source
    from tempo_tasks.questions.questions import Kind

    known = [kind.value for kind in Kind]
    wanted = [kind.strip().lower() for kind in kinds.split(",")]
    if wrong := [kind for kind in wanted if kind not in known]:
        raise OptionError(f"--kinds {kinds}: {wrong[0]!r} is none; expected some of {known}")
    try:
        more = parse_json(metadata, finite=True)
    except ValueError as error:
        raise OptionError(f"--metadata {metadata}: not JSON ({error})") from None
    if not isinstance(more, dict):
        raise OptionError(f"--metadata {metadata}: expected an object, such as {{}}")
    rendered = _RENDERED.get(data)
    if rendered and (hard or given):
        name = "--hard" if hard else f"--{next(iter(given)).removeprefix('data_')}"
        raise OptionError(f"{name} is about released data, and --data {data} is rendered")
    if not data:
        raise OptionError("--data is empty; expected a folder, an id on the Hub, or synth")
    prefix = rendered or ("tempo_hard" if hard else "tempo")
    named = {} if rendered else {"data": data, **given}
    return Source(prefix, [kind for kind in Kind if kind.value in wanted], {**more, **named})


def _show(scored: Scored, columns: Any, other_conditions: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="accuracy % (standard error, by clip)")
    for column in ("task", "items", "accuracy", "no answer in the text"):
        table.add_column(column, justify="left" if column == "task" else "right")
    for task, lines in scored.samples.items():
        values = scored.results["results"][task]
        error = values["acc_stderr,none"]
        shown = f"{100 * error:.1f}" if isinstance(error, float) else error
        failed = values.get("parse_failure,none")
        table.add_row(
            escape(task),
            str(len(lines)),
            f"{100 * values['acc,none']:.1f} ({shown})",
            "" if failed is None else f"{100 * failed:.1f} %",
        )
    Console(width=100).print(table)
    for note in _notes(scored, other_conditions):
        typer.echo(note)


def _notes(scored: Scored, other_conditions: int) -> list[str]:
    notes = []
    if other_conditions:
        notes.append(f"{other_conditions} rows of other conditions are not counted.")
    if scored.matched.not_asked:
        notes.append(f"No predictions, not scored: {', '.join(scored.matched.not_asked)}.")
    for task, names in scored.matched.missing.items():
        notes.append(
            f"{task}: {len(names)} items have no prediction and count in nothing; the results "
            "name them (config, predictions, missing)."
        )
    for task in scored.samples:
        failed = scored.results["results"][task].get("parse_failure,none", 0)
        if failed > 0.5:
            texts = [
                ascii(str(line["filtered_resps"][0])[:60])
                for line in scored.samples[task]
                if line["parse_failure"]
            ]
            notes.append(
                f"{task}: {100 * failed:.0f} % of the texts state no answer, such as "
                f"{', '.join(texts[:3])}. Is it the right column?"
            )
    if scored.disagreements:
        notes.append(
            f"Warning: {len(scored.disagreements)} predictions of which the file says otherwise:"
        )
        notes += [f"  {line}" for line in scored.disagreements[:LISTED]]
        if (more := len(scored.disagreements) - LISTED) > 0:
            notes.append(f"  ... and {more} more")
    return notes

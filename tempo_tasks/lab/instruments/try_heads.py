"""The command `tempo try-heads`: the best heads of `tempo heads`, edited on other items.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tempo_tasks.lab.instruments.heads_to_try import TryHeadsRequest
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import Device, Model, ModelArgs

if TYPE_CHECKING:
    from tempo_attn.lab.heads.records import HeadRecord
    from tempo_attn.lab.items import Item
    from tempo_attn.lab.run_folder.folder import Run
    from tempo_attn.lab.sweep.grid import Variant
    from tempo_attn.lab.try_heads.records import HeadSet
    from tempo_tasks.lab.outcome import Outcome
    from tempo_tasks.lab.study import Study


def try_heads(
    run: Annotated[Path, typer.Option("--from", help="Run folder of a finished `tempo heads`.")],
    out: Annotated[Path, typer.Option(help="Folder of the trial, and of the configuration.")],
    model: Model = None,
    model_args: ModelArgs = "",
    device: Device = None,
    metadata: Annotated[
        str, typer.Option(help="JSON, as tempo heads was given it, where it names files.")
    ] = "{}",
    edit: Annotated[
        str, typer.Option(help="MODE or MODE=STRENGTH: knockout, scale=2, upweight=1 ...")
    ] = "knockout",
    top: Annotated[str, typer.Option(help="Numbers of best heads, with commas.")] = "1,2,4,8",
    random: Annotated[int, typer.Option(help="Random sets for each number.", min=0)] = 5,
    target: Annotated[str, typer.Option(help="Scores of attention on: audio, event or text.")] = (
        "audio"
    ),
    rows: Annotated[str | None, typer.Option(help="Query rows, such as last.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only items of this kind: eo, lo, ld.")] = None,
    condition: Annotated[
        str | None, typer.Option(help="Only items of this condition: aqa, silence ...")
    ] = None,
    write: Annotated[
        int | None, typer.Option(help="Write the edit of so many best heads as a configuration.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.", min=0)] = 0,
) -> None:
    """Edit the best heads on items that they were not chosen on, against as many random heads.

    Example: tempo try-heads --from my-heads --edit scale=2 --write 4 --out my-edit
    """
    from lm_eval.utils import simple_parse_args_string

    from tempo_tasks.lab import options
    from tempo_tasks.lab.shared_options import tell

    request = TryHeadsRequest(
        run=run,
        out=out,
        edit=edit,
        top=options.parse_numbers("--top", top),
        random=random,
        target=target,
        rows=rows,
        kind=kind,
        condition=condition,
        write=write,
        seed=seed,
    )
    given = simple_parse_args_string(model_args)
    tell(run_trial(request, model, device, given, options.parse_metadata(metadata)))


def run_trial(
    request: TryHeadsRequest,
    model: str | None = None,
    device: str | None = None,
    model_args: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Outcome | None:
    """Try heads, and write the tables and, where asked for, the configuration.

    Args:
        request: What is tried.
        model: The model of the measurement; None for its name in the run.
        device: As for `lm_eval --device`.
        model_args: Its further arguments; None or empty for those of the run.
        metadata: As for the measurement; what it says replaces what the run's manifest has.

    Returns:
        None in a process that is not the one that writes tables.

    Raises:
        OptionError: Something is wrong with the request, or it does not go with the run.
        RunFolderError: The folder holds no finished run of `tempo heads`.
    """
    from tempo_attn.lab.run_folder.folder import read_run
    from tempo_attn.lab.try_heads.run import HeadTrial
    from tempo_tasks.lab.instruments.heads_to_try import (
        edit_of,
        halves,
        require_measurement,
        scored_records,
    )
    from tempo_tasks.lab.options import wrong_options
    from tempo_tasks.lab.outcome import reading, written
    from tempo_tasks.lab.study import Study

    measured = read_run(request.run)
    with reading(request.run):
        require_measurement(measured)
        records, rows = scored_records(measured, request)
    edit = edit_of(request.edit, rows)
    with wrong_options():
        chosen_on, tried_on, sets = halves(records, rows, request)
    _check(request)
    settings = _settings(measured, request.out / "trial", model, device, model_args, metadata)
    study = Study(settings)
    _require_same(study, measured)
    keys = {record.key for record in tried_on}
    study = study.of([item for item in study.items if item.key in keys])
    with wrong_options():
        trial = HeadTrial(study.subject, sets, edit, plan=study.plan, seed=request.seed)
    of_command = {
        "edit": f"{request.edit}, rows {rows}",
        "sets": [asdict(one) for one in sets],
        "chosen_on": {
            "target": request.target,
            "rows": rows,
            "n": len(chosen_on),
            "items": _items_key(chosen_on),
        },
    }
    run = study.run("try_heads", of_command, trial.run_batch)
    outcome = written(study, run)
    if outcome is not None and request.write is not None:
        best = next(o for o in sets if not o.random and len(o.heads) == request.write)
        _write_configuration(request, run, best, edit)
    return outcome


def _check(request: TryHeadsRequest) -> None:
    from tempo_attn.errors import OptionError
    from tempo_tasks.output_files import check_output

    if request.write is not None and request.write not in request.top:
        raise OptionError(
            f"--write {request.write}: so many heads are not tried; add the number to --top "
            f"{','.join(map(str, request.top))}"
        )
    check_output(request.out, folder=True)


def _settings(
    run: Run,
    out: Path,
    model: str | None,
    device: str | None,
    model_args: dict[str, Any] | None,
    metadata: dict[str, Any] | None,
) -> Settings:
    """Return the measurement's settings; paths are not in a manifest, so they are given again."""
    from lm_eval.utils import simple_parse_args_string

    settings, prints = run.manifest.settings, run.manifest.fingerprints.model
    known = ",".join(f"{name}={value}" for name, value in prints.arguments.items())
    return Settings(
        tasks=list(settings.tasks),
        model=model or prints.name,
        model_args=model_args or simple_parse_args_string(known),
        device=device,
        limit=settings.limit,
        metadata={**settings.metadata, **(metadata or {})},
        batch_size=settings.batch_size,
        seed=settings.seed,
        out=out,
    )


def _require_same(study: Study, run: Run) -> None:
    """Check that the model and the items are those of the measurement.

    Raises:
        OptionError: They are others.
    """
    from tempo_attn.errors import OptionError
    from tempo_attn.lab.run_folder.fingerprints import content_key

    mine = study.manifest("heads", {}).fingerprints
    theirs = run.manifest.fingerprints
    for what, one, other in (
        ("items", mine.items, theirs.items),
        ("model weights", mine.model.weights, theirs.model.weights),
    ):
        if one != other:
            raise OptionError(
                f"{run.folder}: its {what} are others than those that --model, --model-args and "
                f"--metadata give now ({content_key([other])[:8]} then, {content_key([one])[:8]} "
                "now); give the measurement's"
            )


def _items_key(records: Sequence[HeadRecord] | Sequence[Item]) -> str:
    from tempo_attn.lab.run_folder.fingerprints import content_key

    return content_key([record.key for record in records])


def _write_configuration(request: TryHeadsRequest, run: Run, best: HeadSet, edit: Variant) -> None:
    """Write the best heads' edit as a configuration, with what the trial says of it."""
    from tempo_attn import AttnScaleConfig
    from tempo_attn.files.strict_json import parse_json
    from tempo_attn.hub.model_names import shared_name
    from tempo_tasks.lab.outcome import origin_of

    rows: Any = parse_json((run.folder / "try_heads.json").read_text())
    (tried,) = (row for row in rows if row["heads"] == len(best.heads))
    AttnScaleConfig(
        mode=edit.mode,
        strength=edit.strength,
        layers=sorted(best.by_layer),
        heads=best.by_layer,
        queries=list(edit.rows),
        base_model_name_or_path=shared_name(run.manifest.fingerprints.model.name),
        provenance={
            "chosen": "heads by correlation of their attention with right answers, on one half of "
            "the clusters; tried on the other (tempo try-heads)",
            "trial": tried,
            "chosen_on": run.manifest.settings.of_command["chosen_on"],
            **origin_of(run.manifest),
        },
    ).save_pretrained(request.out)

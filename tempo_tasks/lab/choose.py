"""The command `tempo choose`: an edit chosen on one part of the items and reported on the other.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import (
    ROWS,
    SCALE,
    Edit,
    Heads,
    Layers,
    Rows,
    Seed,
    Source,
    takes_settings,
)

if TYPE_CHECKING:
    from tempo_attn.lab.run_folder.folder import Run
    from tempo_attn.lab.run_folder.manifest import Manifest
    from tempo_attn.lab.sweep.choice import Choice, Objective
    from tempo_tasks.lab.grid_request import GridRequest

REPORT = "choice.json"
"""What `tempo choose` writes in every case: what was chosen, and what it is worth."""


@dataclass(frozen=True, kw_only=True)
class ChooseRequest:
    """How an edit is chosen.

    Attributes:
        out: Folder of the configuration.
        folds: Parts of the clusters.
        objective: "accuracy" or "margin".
        kind: Only items of this kind; None for all.
        seed: Seed of the division into folds.
    """

    out: Path
    folds: int = 5
    objective: Objective = "accuracy"
    kind: str | None = None
    seed: int = 0


class Chosen(NamedTuple):
    """What was chosen.

    Attributes:
        choice: The edit and what it is worth.
        folder: Where its configuration was written; None where no edit is better than none.
    """

    choice: Choice
    folder: Path | None


@takes_settings("memory", "seed")
def choose(
    settings: Settings,
    out: Annotated[Path, typer.Option(help="Folder of the configuration.")],
    run: Annotated[
        Path | None, typer.Option("--from", help="A finished sweep to choose from.")
    ] = None,
    tasks: Annotated[str, typer.Option(help="Or: tasks to run a sweep on first.")] = "",
    edit: Edit = SCALE,
    layers: Layers = "each",
    rows: Rows = ROWS,
    heads: Heads = "all",
    source: Source = "",
    folds: Annotated[int, typer.Option(help="Parts of the clusters of items.")] = 5,
    objective: Annotated[str, typer.Option(help="accuracy or margin.")] = "accuracy",
    kind: Annotated[str | None, typer.Option(help="Only items of this kind: eo, lo, ld.")] = None,
    seed: Seed = 0,
) -> None:
    """Choose an edit on one part of the items, report on the other, write the configuration.

    Ends with status 1, and writes no configuration, where no edit is better than none.

    Example: tempo choose --tasks tempo_synth_eo_aqa --limit 200 --out my-edit
    """
    from tempo_attn.errors import OptionError
    from tempo_attn.lab.sweep.choice import OBJECTIVES
    from tempo_tasks.lab.grid_request import parse_grid
    from tempo_tasks.lab.options import parse_name
    from tempo_tasks.lab.show.choice import show

    if (run is None) == (not tasks):
        raise OptionError("give either --tasks, to run a sweep first, or --from, a finished one")
    grid = parse_grid(edit, layers, rows, heads, nulls="none", source=source)
    request = ChooseRequest(
        out=out,
        folds=folds,
        objective=parse_name("--objective", objective, OBJECTIVES),
        kind=kind,
        seed=seed,
    )
    if run is not None:
        chosen = choose_from(run, request)
    elif (found := sweep_and_choose(settings, grid, request)) is not None:
        chosen = found
    else:  # one process of several tells
        return
    show(chosen.choice, chosen.folder)
    if chosen.folder is None:
        raise typer.Exit(1)


def choose_from(folder: Path, request: ChooseRequest) -> Chosen:
    """Choose an edit from a finished sweep, and write it.

    Args:
        folder: The sweep's run folder.
        request: How it is chosen.

    Raises:
        OptionError: Something is wrong with the request, or it does not go with the sweep's items.
        RunFolderError: The folder does not hold a whole sweep.
    """
    from tempo_attn.errors import RunFolderError
    from tempo_attn.lab.run_folder.folder import read_run

    _check(request)
    run = read_run(folder)
    if not run.complete:
        raise RunFolderError(
            f"{folder}: {run.missing} items are missing; run the same `tempo sweep` again to "
            "finish it"
        )
    if run.manifest.shard is not None:
        raise RunFolderError(
            f"{folder}: is one shard of a run; put all of them together with `tempo merge` first"
        )
    return _choose(run, request, from_file=True)


def sweep_and_choose(
    settings: Settings, grid: GridRequest, request: ChooseRequest
) -> Chosen | None:
    """Run a sweep in `sweep` below the request's folder, choose an edit from it, and write that.

    Args:
        settings: On what the sweep runs.
        grid: What there is to choose from.
        request: How it is chosen.

    Returns:
        None in a process that is not the one that writes.

    Raises:
        OptionError: Something is wrong with the settings, the grid or the request.
    """
    from tempo_attn.lab.folds import cluster_folds
    from tempo_tasks.lab.options import wrong_options
    from tempo_tasks.lab.run_variants import run_variants
    from tempo_tasks.lab.study import Study

    _check(request)
    _check_tasks(settings, request.kind)
    study = Study(replace(settings, out=request.out / "sweep"), grid.variants)
    clusters = [item.cluster for item in study.items if request.kind in (None, item.kind)]
    with wrong_options():
        cluster_folds(clusters, request.folds, request.seed)
    run = run_variants(study, grid.variants(study))
    return _choose(run, request, from_file=False) if study.is_main else None


def _check(request: ChooseRequest) -> None:
    """Check what can be told before there is a sweep.

    Raises:
        OptionError: Something is wrong with the request.
    """
    from tempo_attn.errors import OptionError
    from tempo_attn.lab.sweep.choose import check_options
    from tempo_tasks.lab.options import parse_name, wrong_options
    from tempo_tasks.output_files import check_output
    from tempo_tasks.stats.names import KINDS

    with wrong_options():
        check_options(request.objective, request.folds)
    if request.kind is not None:
        parse_name("--kind", request.kind, KINDS)
    check_output(request.out, folder=True)
    if _configuration(request.out).exists() and not (request.out / REPORT).exists():
        raise OptionError(
            f"--out {request.out}: holds a configuration that `tempo choose` did not write; choose "
            "another folder"
        )


def _check_tasks(settings: Settings, kind: str | None) -> None:
    """Check that tasks can be chosen on: else a whole sweep would run for nothing.

    Raises:
        OptionError: None asks for the kind, or they ask under several conditions.
    """
    from tempo_attn.errors import OptionError
    from tempo_tasks.harness.task_index import asked_tasks

    asked = asked_tasks(settings.tasks, settings.metadata)
    mine = {name: task for name, task in asked.items() if kind in (None, task.kind.value)}
    if not mine:
        kinds = sorted({task.kind.value for task in asked.values()})
        raise OptionError(f"--kind {kind}: no task asks for it; they ask for {', '.join(kinds)}")
    conditions = sorted({c.value for task in mine.values() for c in task.conditions})
    if len(conditions) > 1:
        raise OptionError(
            f"the tasks {', '.join(mine)} are of the conditions {', '.join(conditions)}; expected "
            "one, as the same question would be chosen on and held out"
        )


def _choose(run: Run, request: ChooseRequest, *, from_file: bool) -> Chosen:
    """Choose an edit and write it.

    Args:
        run: The sweep.
        request: How it is chosen.
        from_file: Whether the sweep was read from a folder, which may hold anything; what was just
            computed is as it should be.
    """
    from tempo_attn.files.csv_and_json import write_json
    from tempo_attn.hub.model_names import shared_name
    from tempo_attn.lab.sweep import choose as procedure
    from tempo_attn.lab.sweep.records import SweepResults
    from tempo_tasks.lab.options import wrong_options
    from tempo_tasks.lab.outcome import reading

    with reading(run.folder) if from_file else nullcontext():
        results = SweepResults.of_run(run)
        with wrong_options():
            choice = procedure.choose(
                results,
                folds=request.folds,
                seed=request.seed,
                objective=request.objective,
                kind=request.kind,
            )
        origin = _origin(run.manifest)
    # An earlier choice must not stand beside this one's report.
    for path in (_configuration(request.out), request.out / "README.md"):
        path.unlink(missing_ok=True)
    write_json(request.out / REPORT, choice.to_dict())
    if choice.variant is None:
        return Chosen(choice, None)
    config = choice.variant.config(
        base_model_name_or_path=shared_name(run.manifest.fingerprints.model.name),
        provenance={
            "chosen": "nested cross-validation by cluster (tempo choose)",
            "choice": choice.to_dict(),
            **origin,
        },
    )
    config.save_pretrained(request.out)
    return Chosen(choice, request.out)


def _configuration(folder: Path) -> Path:
    return folder / "attn_scale_config.json"


def _origin(manifest: Manifest) -> dict[str, Any]:
    """Return what a configuration says of the sweep that it was chosen from."""
    from tempo_attn.lab.run_folder.differences import without_info
    from tempo_tasks.lab.outcome import origin_of

    return {
        **origin_of(manifest),
        "environment": without_info(manifest.fingerprints.environment),
    }

"""What `tempo sweep`, `share`, `fit` and `merge` do; `lab.cli` is their command line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from tempo_attn.config_fields import one_of
from tempo_attn.errors import ConfigError
from tempo_attn.files.csv_and_json import write_json
from tempo_attn.hub.model_names import shared_name
from tempo_attn.lab.items import Item
from tempo_attn.lab.mass.run import MassMeter
from tempo_attn.lab.run_folder.differences import without_info
from tempo_attn.lab.run_folder.folder import Run, merge_runs, read_run
from tempo_attn.lab.run_folder.manifest import Manifest
from tempo_attn.lab.sweep.choose import Choice, check_options, choose, cluster_folds
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepRecord, SweepResults
from tempo_attn.lab.sweep.run import Sweeper
from tempo_tasks.harness.task_index import asked_tasks
from tempo_tasks.lab.options import Requested, parse_way
from tempo_tasks.lab.outcome import Outcome, reading, write_tables, written
from tempo_tasks.lab.study import Settings, Study
from tempo_tasks.lab.tasks_to_items import generate
from tempo_tasks.output_files import check_output
from tempo_tasks.stats.names import KINDS


def sweep(
    settings: Settings, requested: Requested, *, way: str = "auto", n_generated: int = 50
) -> Outcome | None:
    """Run a grid and write its tables.

    Args:
        settings: On what.
        requested: What.
        way: "auto", "fast" or "full"; see `Sweeper`.
        n_generated: How many items are also answered by generation, to tell how well the letters'
            logits stand for it.

    Returns:
        None in a process that is not the one that writes tables.
    """
    parse_way(way)
    if n_generated < 0:
        raise ConfigError(f"--generate {n_generated}: expected 0 items or more")
    study = Study(settings, requested.variants)
    variants = requested.variants(study)
    return written(study, run_sweep(study, variants, way=way, n_generated=n_generated))


def run_sweep(
    study: Study,
    variants: Sequence[Variant],
    *,
    command: str = "sweep",
    way: str = "auto",
    n_generated: int = 0,
    out: Path | None = None,
    **more: Any,
) -> Run:
    """Run variants in a run folder; see `Study.run`."""
    seed = study.settings.seed
    sweeper = Sweeper(study.subject, variants, plan=study.plan, seed=seed, engine=way)

    # Spread over the items, so that every task has its part.
    n_items = len(study.items)
    n_asked = min(n_generated, n_items)
    generated = {number * n_items // n_asked for number in range(n_asked)}
    sweeper.settle(study.plan.extremes(study.items))

    def run_batch(items: Sequence[Item]) -> list[SweepRecord]:
        records = sweeper.run_batch(items)
        asked = [item for item in items if item.index in generated]
        if asked:
            answers = study.plan.in_halves(asked, lambda part: generate(study.lm, part))
            found = dict(zip((item.key for item in asked), answers, strict=True))
            records = [replace(r, generated=found.get(r.key)) for r in records]
        return records

    settings = {
        "variants": [variant.to_dict() for variant in variants],
        "way": way,
        "n_generated": n_generated,
        **more,
    }
    return study.run(command, settings, run_batch, out=out)


def share(settings: Settings, rows: Sequence[Sequence[str]]) -> Outcome | None:
    """Measure attention shares and write their tables."""
    study = Study(settings)
    sharer = MassMeter(study.subject, rows, plan=study.plan)
    settings_of_run = {"rows": [list(names) for names in rows]}
    return written(study, study.run("mass", settings_of_run, sharer.run_batch))


# ---------------------------------------------------------------------- fit


def fit(
    settings: Settings | None,
    requested: Requested | None,
    *,
    run: Path | None = None,
    out: Path,
    folds: int = 5,
    objective: str = "accuracy",
    kind: str | None = None,
    seed: int = 0,
) -> tuple[Choice, Path | None] | None:
    """Choose an edit on one part of the clips and report on the other; write it.

    Args:
        settings: On what to run a sweep, where `run` is not given.
        requested: What to choose from, likewise.
        run: A finished sweep to choose from.
        out: Folder of the configuration.
        folds: Parts of the clips.
        objective: "accuracy" or "margin".
        kind: Only items of this kind.
        seed: Of the folds.

    Returns:
        The choice, and the folder of the configuration; None where no edit is better than none.
        Nothing at all in a process that is not the one that writes.
    """
    known = check_options(objective, folds)
    if kind is not None:
        one_of("--kind", kind, KINDS)
    check_output(out, folder=True)
    mine = [out / name for name in ("attn_scale_config.json", "README.md")]
    if mine[0].exists() and not (out / "fit.json").exists():
        raise ConfigError(
            f"{out}: holds a configuration that `tempo fit` did not write; choose another --out"
        )
    if run is None:
        assert settings is not None
        assert requested is not None
        _check_choosable(settings, kind)
        study = Study(settings, requested.variants)
        cluster_folds(
            [item.cluster for item in study.items if kind in (None, item.kind)], folds, seed
        )
        variants = requested.variants(study)
        found = run_sweep(study, variants, out=out / "sweep")
        if not study.is_main:
            return None
    else:
        found = read_run(run)
        if not found.complete:
            raise ConfigError(
                f"{run}: {found.missing} items are missing; run the same `tempo sweep` again to "
                "finish it"
            )
        if found.manifest.shard is not None:
            raise ConfigError(
                f"{run}: is one shard of a run; put all of them together with `tempo merge` first"
            )
    # What was just computed is as it should be; a file may hold anything.
    with nullcontext() if run is None else reading(run):
        results = SweepResults.of_run(found)
        choice = choose(results, folds=folds, seed=seed, objective=known, kind=kind)
        about = _about(found.manifest)
    for path in mine:  # an earlier choice must not stand beside this one's report
        path.unlink(missing_ok=True)
    write_json(out / "fit.json", choice.to_dict())
    if choice.variant is None:
        return choice, None
    name = found.manifest.fingerprints.model.name
    config = choice.variant.config(
        base_model_name_or_path=shared_name(name),
        provenance={
            "chosen": "nested cross-validation by clip (tempo fit)",
            "fit": choice.to_dict(),
            **about,
        },
    )
    config.save_pretrained(out)
    return choice, out


def _check_choosable(settings: Settings, kind: str | None) -> None:
    """Check that tasks can be chosen on: else a whole sweep would run for nothing.

    Raises:
        ConfigError: None asks for the kind, or they ask under several conditions.
    """
    asked = asked_tasks(settings.tasks)
    mine = {name: task for name, task in asked.items() if kind in (None, task.kind.value)}
    if not mine:
        kinds = sorted({task.kind.value for task in asked.values()})
        raise ConfigError(f"--kind {kind}: no task asks for it; they ask for {', '.join(kinds)}")
    conditions = sorted({c.value for task in mine.values() for c in task.conditions})
    if len(conditions) > 1:
        raise ConfigError(
            f"the tasks {', '.join(mine)} are of the conditions {', '.join(conditions)}; expected "
            "one, as the same question would be chosen on and held out"
        )


def _about(manifest: Manifest) -> dict[str, Any]:
    """Return what a configuration says of the sweep that it was chosen from."""
    prints = manifest.fingerprints
    return {
        "tasks": manifest.settings.tasks,
        "data": prints.data,
        "items": prints.items,
        "model_weights": prints.model.weights,
        "code": prints.code,
        "environment": without_info(prints.environment),
    }


# ---------------------------------------------------------------------- merge


def merge(paths: Sequence[Path], out: Path) -> Outcome:
    """Put the shards of a run together and write its tables.

    Raises:
        RunFolderError: They are not all the shards of one run, or one is not finished.
    """
    run = merge_runs(paths, out)
    with reading(out):
        return Outcome(out, write_tables(run))

"""The laboratory's commands of `tempo`; `tempo_tasks.lab.verbs` does the work.

Heavy imports wait until a command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tempo_tasks.lab.cli_options import (
    Batch,
    Device,
    Edit,
    Heads,
    Layers,
    Limit,
    Memory,
    Metadata,
    Model,
    ModelArgs,
    Nulls,
    Out,
    Rows,
    Seed,
    Shard,
    Source,
    Tasks,
    Way,
    settings_of,
    tell,
)
from tempo_tasks.lab.lens_cli import lens
from tempo_tasks.lab.trace_cli import trace

_SCALE = ["scale=0.2,0.5,0.8,1.2,1.5,2"]
_ROWS = ["last,keyword,option"]


def add_commands(app: typer.Typer) -> None:
    """Add the laboratory's commands to `tempo`."""
    for command in (sweep, share, lens, trace, fit, compare, merge):
        app.command(rich_help_panel="Laboratory")(command)


def sweep(
    tasks: Tasks,
    model: Model = None,
    model_args: ModelArgs = "",
    edit: Edit = _SCALE,
    layers: Layers = "each",
    rows: Rows = _ROWS,
    heads: Heads = "all",
    nulls: Nulls = "sign",
    source: Source = "",
    limit: Limit = None,
    metadata: Metadata = "{}",
    out: Out = None,
    device: Device = None,
    batch_size: Batch = None,
    memory: Memory = None,
    shard: Shard = None,
    seed: Seed = 0,
    way: Way = "auto",
    generate: Annotated[
        int, typer.Option(help="Items that are also answered by generation, as a check.")
    ] = 50,
) -> None:
    """Edit attention on audio at every layer, strength and set of rows, and table the effects.

    Example: tempo sweep --tasks tempo_synth_eo_aqa --limit 100 --edit scale=0.5,2 --out my-sweep
    """
    from tempo_tasks.lab import options, verbs

    settings = settings_of(
        tasks, model, model_args, limit, metadata, out, device, batch_size, memory, shard, seed
    )
    grid = options.Requested(edit, layers, rows, heads, nulls, source)
    tell(verbs.sweep(settings, grid, way=way, n_generated=generate))


def share(
    tasks: Tasks,
    model: Model = None,
    model_args: ModelArgs = "",
    rows: Rows = _ROWS,
    limit: Limit = None,
    metadata: Metadata = "{}",
    out: Out = None,
    device: Device = None,
    batch_size: Batch = None,
    shard: Shard = None,
) -> None:
    """Measure how much attention goes to audio, layer by layer, for right and wrong answers.

    Example: tempo share --tasks tempo_synth_eo_aqa,tempo_synth_eo_silence --rows last,option
    """
    from tempo_tasks.lab import options, verbs

    settings = settings_of(
        tasks, model, model_args, limit, metadata, out, device, batch_size, None, shard, 0
    )
    tell(verbs.share(settings, options.parse_rows(rows)))


def fit(
    out: Annotated[Path, typer.Option(help="Folder of the configuration.")],
    run: Annotated[
        Path | None, typer.Option("--from", help="A finished sweep to choose from.")
    ] = None,
    tasks: Annotated[str, typer.Option(help="Or: tasks to run a sweep on first.")] = "",
    model: Model = None,
    model_args: ModelArgs = "",
    edit: Edit = _SCALE,
    layers: Layers = "each",
    rows: Rows = _ROWS,
    heads: Heads = "all",
    source: Source = "",
    limit: Limit = None,
    metadata: Metadata = "{}",
    device: Device = None,
    batch_size: Batch = None,
    memory: Memory = None,
    folds: Annotated[int, typer.Option(help="Parts of the clips.")] = 5,
    objective: Annotated[str, typer.Option(help="accuracy or margin.")] = "accuracy",
    kind: Annotated[str | None, typer.Option(help="Only items of this kind: eo, lo, ld.")] = None,
    seed: Seed = 0,
) -> None:
    """Choose an edit on one part of the clips, report on the other, write the configuration.

    Ends with status 1, and writes no configuration, where no edit is better than none.

    Example: tempo fit --tasks tempo_synth_eo_aqa --limit 200 --out my-edit
    """
    from tempo_attn.errors import ConfigError
    from tempo_tasks.lab import options, verbs
    from tempo_tasks.lab.show import choice as chosen

    if (run is None) == (not tasks):
        raise ConfigError("give either --tasks, to run a sweep first, or --from, a finished one")
    settings = grid = None
    if run is None:
        settings = settings_of(
            tasks, model, model_args, limit, metadata, None, device, batch_size, memory, None, seed
        )
        grid = options.Requested(edit, layers, rows, heads, "none", source)
    found = verbs.fit(
        settings, grid, run=run, out=out, folds=folds, objective=objective, kind=kind, seed=seed
    )
    if found is None:  # one process of several tells
        return
    choice, folder = found
    chosen.show(choice, folder)
    if folder is None:
        raise typer.Exit(1)


def compare(
    ctx: typer.Context,
    tasks: Tasks,
    model: Model = None,
    model_args: ModelArgs = "",
    strengths: Annotated[str, typer.Option(help="alpha of the scaling.")] = "0.5,2",
    presets: Annotated[
        str | None,
        typer.Option(
            help="Compare published edits instead: all, or some of mata, mata_add, pai, adaptvis, "
            "knockout, scaling, upweighting. They bring their strengths, rows and, unless --layers "
            "is given, layers."
        ),
    ] = None,
    layers: Layers = "each",
    rows: Rows = ["last,keyword,keyword+last,option"],  # noqa: B006 - typer copies it
    nulls: Nulls = "sign",
    limit: Limit = None,
    metadata: Metadata = "{}",
    out: Out = None,
    device: Device = None,
    batch_size: Batch = None,
    memory: Memory = None,
    shard: Shard = None,
    seed: Seed = 0,
    way: Way = "auto",
) -> None:
    """Compare scaling with upweighting at matched audio mass, for each set of rows.

    With --presets: published edits side by side instead.

    Example: tempo compare --tasks tempo_synth_eo_aqa --limit 100 --layers 0,1 --out compared
    """
    from tempo_tasks.lab import options
    from tempo_tasks.lab.compare import compare as run_compare

    settings = settings_of(
        tasks, model, model_args, limit, metadata, out, device, batch_size, memory, shard, seed
    )
    if presets is not None:
        from tempo_attn.errors import ConfigError
        from tempo_tasks.lab.presets import compare_presets, parse_presets

        for option in ("strengths", "rows"):
            if _is_given(ctx, option):
                raise ConfigError(f"--{option} with --presets: presets bring their own {option}")
        outcome = compare_presets(
            settings,
            parse_presets(presets),
            layers=options.parse_layers(layers) if _is_given(ctx, "layers") else None,
            nulls=options.parse_nulls(nulls),
            way=way,
        )
        tell(outcome)
        return
    outcome = run_compare(
        settings,
        strengths=options.parse_strengths(strengths),
        layers=options.parse_layers(layers),
        rows=options.parse_rows(rows),
        nulls=options.parse_nulls(nulls),
        way=way,
    )
    tell(outcome)


def _is_given(ctx: typer.Context, option: str) -> bool:
    source = ctx.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def merge(
    runs: Annotated[list[Path], typer.Argument(help="The run folders of all shards.")],
    out: Annotated[Path, typer.Option(help="The new run folder.")],
) -> None:
    """Put the shards of a run together: the same numbers as one run.

    Example: tempo merge part-0 part-1 --out whole
    """
    from tempo_tasks.lab import verbs

    tell(verbs.merge(runs, out))

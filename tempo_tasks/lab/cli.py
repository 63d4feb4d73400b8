"""The laboratory's commands of `tempo`; `tempo_tasks.lab.verbs` does the work.

Heavy imports wait until a command runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tempo_tasks.lab.study import Settings
    from tempo_tasks.lab.verbs import Outcome

Tasks = Annotated[
    str,
    typer.Option(help="Tasks or groups, with commas; they must give audio. See lm_eval ls tasks."),
]
Model = Annotated[str | None, typer.Option(help="Hub id or folder; default: the embedded model.")]
ModelArgs = Annotated[
    str, typer.Option(help="Further arguments of the model class, such as dtype=bfloat16.")
]
Device = Annotated[str | None, typer.Option(help="cuda, cuda:1, mps, cpu; default: the best one.")]
Limit = Annotated[int | None, typer.Option(help="Only the first items of each task.")]
Metadata = Annotated[str, typer.Option(help="JSON, as for lm_eval --metadata.")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Run folder; a killed run goes on in it. Default: one under runs/, named after "
        "everything that the numbers depend on."
    ),
]
Seed = Annotated[int, typer.Option(help="Of everything random.", min=0)]
Batch = Annotated[
    int | None,
    typer.Option(
        help="Items in one prefill; halved where memory runs out. Default: what fits, up to 8."
    ),
]
Memory = Annotated[
    int | None,
    typer.Option(help="MiB for the variants that run at once. Default: 64 on a CPU, else 1024."),
]
Shard = Annotated[
    str | None, typer.Option(help="i/n: only part i, from 0, of n; put together by tempo merge.")
]
Edit = Annotated[
    list[str],
    typer.Option(
        help="MODE=STRENGTHS, several times: scale, scale_preserving, upweight, upweight_matched, "
        "upweight_relative, knockout."
    ),
]
Layers = Annotated[
    str, typer.Option(help="each, all, or a list: 0,3,10-14; 2+3 edits both at once.")
]
Rows = Annotated[
    list[str],
    typer.Option(help="Query rows: last, keyword, option, all_text; keyword+last is their union."),
]
Heads = Annotated[str, typer.Option(help="Query heads: all, each, or groups such as 0,1+2.")]
Nulls = Annotated[
    str, typer.Option(help="Random perturbations of the same size: sign, keys, sign,keys or none.")
]
Way = Annotated[
    str, typer.Option(help="auto, replay (fast), or full: one forward for every variant.")
]

_SCALE = ["scale=0.2,0.5,0.8,1.2,1.5,2"]
_ROWS = ["last,keyword,option"]


def add_commands(app: typer.Typer) -> None:
    """Add the laboratory's commands to `tempo`."""
    for command in (sweep, share, fit, compare, merge):
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

    settings = _settings(
        tasks, model, model_args, limit, metadata, out, device, batch_size, memory, shard, seed
    )
    grid = options.Requested(edit, layers, rows, heads, nulls)
    _tell(verbs.sweep(settings, grid, way=way, n_generated=generate))


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

    settings = _settings(
        tasks, model, model_args, limit, metadata, out, device, batch_size, None, shard, 0
    )
    _tell(verbs.share(settings, options.parse_rows(rows)))


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
    from tempo_tasks.lab import options, report, verbs

    if (run is None) == (not tasks):
        raise ConfigError("give either --tasks, to run a sweep first, or --from, a finished one")
    settings = grid = None
    if run is None:
        settings = _settings(
            tasks, model, model_args, limit, metadata, None, device, batch_size, memory, None, seed
        )
        grid = options.Requested(edit, layers, rows, heads, "none")
    found = verbs.fit(
        settings, grid, run=run, out=out, folds=folds, objective=objective, kind=kind, seed=seed
    )
    if found is None:  # one process of several tells
        return
    choice, folder = found
    report.show_choice(choice, folder)
    if folder is None:
        raise typer.Exit(1)


def compare(
    tasks: Tasks,
    model: Model = None,
    model_args: ModelArgs = "",
    strengths: Annotated[str, typer.Option(help="alpha of the scaling.")] = "0.5,2",
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

    Example: tempo compare --tasks tempo_synth_eo_aqa --limit 100 --layers 0,1 --out compared
    """
    from tempo_tasks.lab import options
    from tempo_tasks.lab.compare import compare as run_compare

    settings = _settings(
        tasks, model, model_args, limit, metadata, out, device, batch_size, memory, shard, seed
    )
    outcome = run_compare(
        settings,
        strengths=options.parse_edits([f"scale={strengths}"])["scale"],
        layers=options.parse_layers(layers),
        rows=options.parse_rows(rows),
        nulls=options.parse_nulls(nulls),
        way=way,
    )
    _tell(outcome)


def merge(
    runs: Annotated[list[Path], typer.Argument(help="The run folders of all shards.")],
    out: Annotated[Path, typer.Option(help="The new run folder.")],
) -> None:
    """Put the shards of a run together: the same numbers as one run.

    Example: tempo merge part-0 part-1 --out whole
    """
    from tempo_tasks.lab import verbs

    _tell(verbs.merge(runs, out))


def _settings(
    tasks: str,
    model: str | None,
    model_args: str,
    limit: int | None,
    metadata: str,
    out: Path | None,
    device: str | None,
    batch_size: int | None,
    memory: int | None,
    shard: str | None,
    seed: int,
) -> Settings:
    from lm_eval.utils import simple_parse_args_string

    from tempo_attn.errors import ConfigError
    from tempo_tasks.lab.options import parse_shard
    from tempo_tasks.lab.study import Settings

    try:
        read: Any = json.loads(metadata)
    except ValueError as error:
        raise ConfigError(f"--metadata is no JSON: {error}") from None
    if not isinstance(read, dict):
        raise ConfigError(f'--metadata {metadata}: expected an object such as {{"data": "..."}}')
    return Settings(
        tasks=[name.strip() for name in tasks.split(",") if name.strip()],
        model=model,
        model_args=simple_parse_args_string(model_args),
        device=device,
        limit=limit,
        metadata=read,
        batch_size=batch_size,
        memory=None if memory is None else memory << 20,
        seed=seed,
        shard=parse_shard(shard),
        out=out,
    )


def _tell(outcome: Outcome | None) -> None:
    if outcome is None:
        return
    names = ", ".join(path.name for path in outcome.files)
    typer.echo(
        f"In {outcome.folder}: {names or 'the records of this shard; tempo merge makes the tables'}"
    )

"""Options that the laboratory's commands share, and what becomes of them.

Heavy imports wait until a command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tempo_tasks.lab.outcome import Outcome
    from tempo_tasks.lab.study import Settings

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
        "upweight_relative, knockout, enrich."
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
Source = Annotated[
    str, typer.Option(help="With --edit enrich=...: layers whose states are mixed in, such as 1,2.")
]
Way = Annotated[str, typer.Option(help="auto, fast, or full: one forward for every variant.")]


def settings_of(
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
    """Return the settings that options say.

    Raises:
        ConfigError: --metadata is no JSON object, or --shard no part.
    """
    from lm_eval.utils import simple_parse_args_string

    from tempo_attn.errors import ConfigError
    from tempo_attn.files.strict_json import parse_json
    from tempo_tasks.lab.options import parse_shard
    from tempo_tasks.lab.study import Settings

    try:
        read: Any = parse_json(metadata)
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


def tell(outcome: Outcome | None) -> None:
    """Say where a command wrote, and what."""
    if outcome is None:
        return
    names = ", ".join(path.name for path in outcome.files)
    typer.echo(
        f"In {outcome.folder}: {names or 'the records of this shard; tempo merge makes the tables'}"
    )

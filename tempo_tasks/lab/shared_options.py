"""Options that several commands of the laboratory share, written once, and what becomes of them.

The parameters of `settings_of` are the options that say on what a command runs. `takes_settings`
gives them to a command, whose function gets one `Settings` instead. Heavy imports wait until a
command runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from tempo_tasks.lab.settings import Settings

if TYPE_CHECKING:
    from tempo_tasks.lab.outcome import Outcome

Tasks = Annotated[
    str,
    typer.Option(help="Tasks or groups, with commas; they must give audio. See lm_eval ls tasks."),
]
Model = Annotated[str | None, typer.Option(help="Hub id or folder; default: the embedded model.")]
ModelArgs = Annotated[
    str, typer.Option(help="Further arguments of the model class, such as dtype=bfloat16.")
]
Limit = Annotated[int | None, typer.Option(help="Only the first items of each task.")]
Metadata = Annotated[str, typer.Option(help="JSON, as for lm_eval --metadata.")]
Device = Annotated[str | None, typer.Option(help="cuda, cuda:1, mps, cpu; default: the best one.")]
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
Out = Annotated[
    Path | None,
    typer.Option(
        help="Run folder; a killed run goes on in it. Default: one under runs/, named after "
        "everything that the numbers depend on."
    ),
]
Shard = Annotated[
    str | None, typer.Option(help="i/n: only part i, from 0, of n; put together by tempo merge.")
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.", min=0)]

# What several commands ask of the attention that they edit or measure.
Edit = Annotated[
    list[str],
    typer.Option(
        help="MODE=STRENGTHS, several times: scale, scale_preserving, upweight, upweight_matched, "
        "upweight_relative, knockout, enrich. (Mode steer is tried by tempo steer.)"
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
Engine = Annotated[
    str,
    typer.Option(
        help="How variants run: fast (the rows that they change), full (one forward for each), or "
        "auto: fast where it is checked to give the same."
    ),
]
SCALE = ["scale=0.2,0.5,0.8,1.2,1.5,2"]
ROWS = ["last,keyword,option"]


def settings_of(
    *,
    tasks: Tasks,
    model: Model = None,
    model_args: ModelArgs = "",
    limit: Limit = None,
    metadata: Metadata = "{}",
    device: Device = None,
    batch_size: Batch = None,
    memory: Memory = None,
    out: Out = None,
    shard: Shard = None,
    seed: Seed = 0,
) -> Settings:
    """Return the settings that options say.

    Raises:
        OptionError: --metadata is not a JSON object, or --shard is not a part.
    """
    from lm_eval.utils import simple_parse_args_string

    from tempo_tasks.lab import options

    return Settings(
        tasks=[name.strip() for name in tasks.split(",") if name.strip()],
        model=model,
        model_args=simple_parse_args_string(model_args),
        limit=limit,
        metadata=options.parse_metadata(metadata),
        device=device,
        batch_size=batch_size,
        memory=None if memory is None else memory << 20,
        out=out,
        shard=options.parse_shard(shard),
        seed=seed,
    )


_RARE = ("memory", "out", "shard", "seed")
"""Parameters of `settings_of` that not every command has."""
_FIRST = ("tasks", "model", "model_args")
"""Parameters that the help shows before a command's own."""


def takes_settings(*rare: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `settings_of`, and its function the `Settings` that they say.

    Args:
        rare: Which of "memory", "out", "shard" and "seed" the command has; all have the others. An
            option that the function names itself has its type, help and default from there, and
            goes to both.

    Returns:
        A decorator of a function whose first parameter is `settings`. The result has the signature
        and the annotations from which typer makes options.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = _parameters(function)
        del own["settings"]
        shared = {
            name: parameter
            for name, parameter in _parameters(settings_of).items()
            if name in rare or name not in _RARE
        }
        first = {name: shared[name] for name in _FIRST}
        parameters = first | own | {name: p for name, p in shared.items() if name not in own}

        def command(**given: Any) -> None:
            settings = settings_of(**{name: given[name] for name in shared})
            function(settings, **{name: given[name] for name in own})

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__annotations__ = {p.name: p.annotation for p in parameters.values()}
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters.values()]
        )
        return command

    return decorate


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return a function's parameters with their annotations as objects, typer's parts included."""
    hints = get_type_hints(function, include_extras=True)
    return {
        name: parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
    }


def tell(outcome: Outcome | None) -> None:
    """Say where a command wrote, and what; None is another process's part of it."""
    if outcome is None:
        return
    names = ", ".join(path.name for path in outcome.files)
    typer.echo(
        f"In {outcome.folder}: {names or 'the records of this shard; tempo merge makes the tables'}"
    )

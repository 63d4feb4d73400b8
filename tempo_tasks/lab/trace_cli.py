"""The command `tempo trace`; `tempo_tasks.lab.trace_verb` does the work.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from tempo_tasks.lab.cli_options import (
    Batch,
    Device,
    Limit,
    Memory,
    Metadata,
    Model,
    ModelArgs,
    Out,
    Seed,
    Shard,
    Tasks,
    Way,
    settings_of,
    tell,
)


def trace(
    tasks: Tasks,
    model: Model = None,
    model_args: ModelArgs = "",
    corrupt: Annotated[
        str,
        typer.Option(
            help="silence: of the clip's length. mirror: the events in reversed order; needs "
            "*_mirror tasks."
        ),
    ] = "silence",
    direction: Annotated[
        str | None,
        typer.Option(
            help="recover: clean states into the corrupted run; shift: the other way; or both with "
            "a comma. Default: recover for silence, shift for mirror."
        ),
    ] = None,
    components: Annotated[
        str, typer.Option(help="What is patched: residual, attention, mlp; with commas.")
    ] = "residual",
    groups: Annotated[
        str,
        typer.Option(
            help="Positions: text (all behind the audio's start), early, keyword, option, late, "
            "last, audio."
        ),
    ] = "text,early,keyword,option,late,last,audio",
    layers: Annotated[
        str, typer.Option(help="each (with the first layer's input), or a list: 0,3,10-14.")
    ] = "each",
    method: Annotated[
        str,
        typer.Option(
            help="patching; attribution (to first order, three passes for all sites); or both, "
            "with their agreement."
        ),
    ] = "patching",
    single: Annotated[
        bool,
        typer.Option("--single", help="Patch positions one at a time; the mean over a group."),
    ] = False,
    nulls: Annotated[bool, typer.Option(help="Also patch random changes of the same size.")] = True,
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
    """Trace which layers and positions carry what was heard (causal tracing).

    Example: tempo trace --tasks tempo_synth_eo_aqa --limit 100 --method both --out my-trace
    """
    from tempo_tasks.lab import options, trace_verb

    settings = settings_of(
        tasks, model, model_args, limit, metadata, out, device, batch_size, memory, shard, seed
    )
    patches = trace_verb.Patches(
        corrupt=corrupt,
        directions=() if direction is None else options.parse_directions(direction),
        components=options.parse_names(components),
        groups=options.parse_names(groups),
        layers=options.parse_single_layers(layers),
        method=method,
        single=single,
        nulls=nulls,
        way=way,
    )
    tell(trace_verb.trace(settings, patches))

"""The command `tempo lens`; `tempo_tasks.lab.lens_verb` does the work.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from tempo_tasks.lab.cli_options import (
    Batch,
    Device,
    Limit,
    Metadata,
    Model,
    ModelArgs,
    Out,
    Shard,
    Tasks,
    settings_of,
    tell,
)

_ROWS = ["last,keyword,option,audio"]
_CANDIDATES = "letters,labels"


def lens(
    tasks: Tasks,
    model: Model = None,
    model_args: ModelArgs = "",
    rows: Annotated[
        list[str],
        typer.Option(
            help="Rows to look at: last, keyword, option, audio, all_text; keyword+last is their "
            "union."
        ),
    ] = _ROWS,
    candidates: Annotated[
        str,
        typer.Option(help="letters (A, B ...), labels (the options' own first tokens), or both."),
    ] = _CANDIDATES,
    limit: Limit = None,
    metadata: Metadata = "{}",
    out: Out = None,
    device: Device = None,
    batch_size: Batch = None,
    shard: Shard = None,
) -> None:
    """Read what every layer says of the answer (logit lens), for right and wrong answers.

    Example: tempo lens --tasks tempo_synth_eo_aqa,tempo_synth_lo_aqa --limit 100 --rows last,option
    """
    from tempo_tasks.lab import lens_verb, options

    settings = settings_of(
        tasks, model, model_args, limit, metadata, out, device, batch_size, None, shard, 0
    )
    names = [name for value in rows for name in options.parse_names(value)]
    tell(lens_verb.lens(settings, names, options.parse_names(candidates)))

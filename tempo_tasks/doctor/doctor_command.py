"""The command `tempo doctor`; heavy imports wait until it runs.

The model is named as in every command of tempo: `--model` is a Hub id or a folder, and
`--model-args` holds the rest. What is pasted from lm_eval, `--model lalm --model_args
pretrained=X,dtype=bfloat16`, means the same. A positional MODEL would be a third way to say it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_TO_STDOUT = "-"


def add_commands(app: typer.Typer) -> None:
    """Add `doctor` to `tempo`."""
    app.command()(doctor)


def doctor(
    model: Annotated[
        str | None,
        typer.Option(help="Hub id or folder; default: the embedded model.", show_default=False),
    ] = None,
    model_args: Annotated[
        str,
        typer.Option(
            "--model-args",
            "--model_args",
            help="Further arguments of the model class lalm, such as dtype=bfloat16; lm_eval's "
            "--model lalm --model_args pretrained=X works too.",
        ),
    ] = "",
    attn_scale: Annotated[
        str | None,
        typer.Option(
            "--attn-scale",
            "--attn_scale",
            help="An attn_scale configuration to try on it: folder, file or Hub repository.",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cuda, cuda:1, mps, cpu; default: the best one.")
    ] = None,
    clip: Annotated[
        Path | None,
        typer.Option(help="A sound file to listen to; default: a rendered scene, no file needed."),
    ] = None,
    json_out: Annotated[
        str | None, typer.Option("--json", help="Also write JSON to this file; - for stdout.")
    ] = None,
) -> None:
    """Load a model and check all that its scores and edits rest on. The first command for a model.

    Exit status: 0 all passed, 1 a check failed, 2 it could not be loaded.

    Example: tempo doctor --model Qwen/Qwen2-Audio-7B-Instruct --model-args dtype=bfloat16
    """
    from lm_eval.utils import simple_parse_args_string
    from rich.console import Console

    from tempo_tasks.output_files import check_output

    path = None if json_out in (None, _TO_STDOUT) else Path(str(json_out))
    check_output(path, folder=False, option="--json")

    from tempo_attn.errors import TempoError
    from tempo_attn.files.csv_and_json import write_json
    from tempo_tasks.doctor.diagnosis import not_loaded
    from tempo_tasks.doctor.examine import Watch, diagnose
    from tempo_tasks.doctor.loading import Request, named_model
    from tempo_tasks.doctor.show import show_end, show_facts, show_finding

    name, arguments = named_model(model, simple_parse_args_string(model_args))
    request = Request(model=name, model_args=arguments, device=device, attn_scale=attn_scale)
    console = Console(stderr=json_out == _TO_STDOUT)

    def write(data: dict[str, Any]) -> None:
        if path is not None:
            write_json(path, data)
        elif json_out is not None:
            import json

            typer.echo(json.dumps(data, indent=2, allow_nan=False))

    try:
        diagnosis = diagnose(
            request,
            clip=clip,
            watch=Watch(
                lambda facts: show_facts(facts, console),
                lambda finding: show_finding(finding, console),
            ),
        )
    except TempoError as error:
        write(not_loaded(name, error))
        raise
    show_end(diagnosis, console)
    write(diagnosis.to_dict())
    if path is not None:
        typer.echo(f"In {path}")
    if diagnosis.status == "failed":
        raise typer.Exit(1)

"""The command `tempo doctor`; heavy imports wait until it runs.

The model is named as in every command of tempo: `--model` is a Hub id or a folder, and
`--model-args` holds the rest. What is pasted from lm_eval, `--model lalm --model_args
pretrained=X,dtype=bfloat16`, means the same. A positional MODEL would be a third way to say it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tempo_attn.errors import OptionError

if TYPE_CHECKING:
    from rich.console import Console

    from tempo_tasks.doctor.diagnosis import Diagnosis
    from tempo_tasks.doctor.loading import Request
    from tempo_tasks.doctor.server_diagnosis import ServerDiagnosis

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
    server: Annotated[
        str | None,
        typer.Option(
            help="Check a model on a server instead: its OpenAI-compatible URL, such as "
            "http://127.0.0.1:8000/v1. --model is then the served model's id, and --model-args "
            "are those of lalm-api.",
        ),
    ] = None,
    processor: Annotated[
        str | None,
        typer.Option(
            help="With --server: folder or Hub id of the same model (or 'embedded'), to compare "
            "its prompt tokens with the server's.",
        ),
    ] = None,
    json_out: Annotated[
        str | None, typer.Option("--json", help="Also write JSON to this file; - for stdout.")
    ] = None,
) -> None:
    """Load a model and check all that its scores and edits rest on. The first command for a model.

    Exit status: 0 all passed, 1 a check failed, 2 it could not be loaded, or the server reached.

    Examples: tempo doctor --model Qwen/Qwen2-Audio-7B-Instruct --model-args dtype=bfloat16;
    tempo doctor --server http://127.0.0.1:8000/v1
    """
    from lm_eval.utils import simple_parse_args_string
    from rich.console import Console

    from tempo_attn.errors import TempoError
    from tempo_tasks.doctor.diagnosis import not_loaded
    from tempo_tasks.doctor.loading import Request, named_model
    from tempo_tasks.output_files import check_output

    path = None if json_out in (None, _TO_STDOUT) else Path(str(json_out))
    check_output(path, folder=False, option="--json")
    console = Console(stderr=json_out == _TO_STDOUT)
    given = simple_parse_args_string(model_args)
    if server is None and processor is not None:
        raise OptionError("--processor goes with --server; of a loaded model it is its own")
    if server is not None:
        refuse_with_server(attn_scale=attn_scale, device=device)

    name, arguments = named_model(model, given)
    diagnosis: Diagnosis | ServerDiagnosis
    try:
        if server is not None:
            served = {**given, "base_url": server} | ({} if model is None else {"model": model})
            diagnosis = _examine_server(served, clip, processor, console)
        else:
            diagnosis = _examine_model(
                Request(model=name, model_args=arguments, device=device, attn_scale=attn_scale),
                clip,
                console,
            )
    except TempoError as error:
        _write(not_loaded(server or name, error), path, json_out)
        raise
    _write(diagnosis.to_dict(), path, json_out)
    if path is not None:
        typer.echo(f"In {path}")
    if diagnosis.status == "failed":
        raise typer.Exit(1)


def refuse_with_server(**options: str | None) -> None:
    """Refuse options that a server decides on.

    Raises:
        OptionError: One is given.
    """
    for name, value in options.items():
        if value is not None:
            raise OptionError(
                f"--{name.replace('_', '-')} does not go with --server, which decides on it; leave "
                "it out"
            )


def _examine_model(request: Request, clip: Path | None, console: Console) -> Diagnosis:
    from tempo_tasks.doctor.examine import Watch, diagnose
    from tempo_tasks.doctor.show import show_end, show_facts, show_finding

    diagnosis = diagnose(
        request,
        clip=clip,
        watch=Watch(
            lambda facts: show_facts(facts, console),
            lambda finding: show_finding(finding, console),
        ),
    )
    show_end(diagnosis, console)
    return diagnosis


def _examine_server(
    arguments: dict[str, Any], clip: Path | None, processor: str | None, console: Console
) -> ServerDiagnosis:
    from tempo_tasks.doctor.clips import check_clip
    from tempo_tasks.doctor.server_diagnosis import diagnose_server, show_server_end
    from tempo_tasks.doctor.show import show_finding
    from tempo_tasks.serving.api_arguments import read_arguments
    from tempo_tasks.serving.served_model import ServedModel

    check_clip(clip)
    diagnosis = diagnose_server(
        ServedModel(read_arguments(arguments)),
        clip=clip,
        checkpoint=processor,
        watch=lambda finding: show_finding(finding, console),
    )
    show_server_end(diagnosis, console)
    return diagnosis


def _write(data: dict[str, Any], path: Path | None, json_out: str | None) -> None:
    """Write the JSON where it is wanted."""
    from tempo_attn.files.csv_and_json import write_json

    if path is not None:
        write_json(path, data)
    elif json_out is not None:
        import json

        typer.echo(json.dumps(data, indent=2, allow_nan=False))

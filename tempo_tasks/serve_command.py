"""The command `tempo serve`: vLLM with edited attention. Heavy imports wait until it runs."""

from __future__ import annotations

from typing import Annotated

import typer


def add_commands(app: typer.Typer) -> None:
    """Add `serve` to `tempo`."""
    app.command(rich_help_panel="Laboratory")(serve)


def serve(
    model: Annotated[
        str, typer.Argument(help="Hub id or folder; 'embedded' for tempo's own model.")
    ],
    vllm_arguments: Annotated[
        list[str] | None,
        typer.Argument(
            help="Arguments of `vllm serve`, after two dashes: -- --max-model-len 4096",
            show_default=False,
        ),
    ] = None,
    attn_scale: Annotated[
        list[str] | None,
        typer.Option(
            "--attn-scale",
            help="Folder or Hub repository of an edit; several as --attn-scale NAME=FOLDER each.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the served model; default: MODEL.")
    ] = None,
    default: Annotated[
        str | None,
        typer.Option(
            help="The edit of a request that names none, or 'none'. Default: the only one, or the "
            "one called 'default'; otherwise a request has to choose.",
            show_default=False,
        ),
    ] = None,
    on_missing: Annotated[
        str,
        typer.Option(help="A prompt without audio or without a row: 'raise' (HTTP 400) or 'skip'."),
    ] = "raise",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8000,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the command, and do not run it.")
    ] = False,
) -> None:
    """Serve a model by vLLM, plain or with edits of attention on audio.

    A request picks an edit by vllm_xargs={"tempo_attn_scale": NAME}, or 'none';
    http://HOST:PORT/tempo/edits says what was edited. Ctrl-C ends the server.

    Example: tempo serve embedded --attn-scale my-edit
    """
    import os
    import sys

    from tempo_attn.serving.start import start_of
    from tempo_tasks.tiny import EMBEDDED, WEIGHTS_DIR, is_embedded

    embedded = is_embedded(model)
    start = start_of(
        str(WEIGHTS_DIR) if embedded else model,
        attn_scale or (),
        name=name or (EMBEDDED if embedded else None),
        default=default,
        on_missing=on_missing,
        host=host,
        port=port,
        tiny=embedded,
        more=vllm_arguments or (),
    )
    typer.echo(start.shown())
    if dry_run:
        return
    sys.stdout.flush()
    # In this process's place: a signal then reaches the server itself.
    os.execvpe(start.command[0], start.command, {**os.environ, **start.environment})

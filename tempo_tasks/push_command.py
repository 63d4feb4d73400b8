"""The command `tempo push`: saved attention edits to the Hub. Heavy imports wait until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tempo_attn.config import AttnScaleConfig


def add_commands(app: typer.Typer) -> None:
    """Add `push` to `tempo`."""
    app.command(rich_help_panel="Laboratory")(push)


def push(
    folder: Annotated[
        Path,
        typer.Argument(help="What save_pretrained or tempo choose wrote; all adapters go."),
    ],
    repo: Annotated[str, typer.Argument(help="The repository on the Hub: owner/name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Send it. Without, it is only shown.")] = False,
    adapter: Annotated[
        list[str] | None, typer.Option(help="Only this adapter; several times for several.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="A new repository is private; a public one refused.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="Branch, made if missing; default: main.")
    ] = None,
    message: Annotated[str | None, typer.Option(help="The commit's first line.")] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Propose it as a pull request.")
    ] = False,
) -> None:
    """Show what of a saved attention edit would go to the Hub; with --yes, send it.

    The configurations and a model card, and nothing else of the folder. The token is that of
    `hf auth login`, or HF_TOKEN.

    Example: tempo push my-edit me/my-edit --private
    """
    from huggingface_hub import constants

    from tempo_attn.hub.adapter_folder import file_of
    from tempo_attn.hub.push import push, to_share

    shared = to_share(folder, repo, adapter)
    where = f"{constants.ENDPOINT}/{repo}, {revision or 'main'}"
    typer.echo(f"{folder} -> {where}{', private' if private else ''}")
    about = {str(file_of(name)): _edit(config) for name, config in shared.configs.items()}
    about["README.md"] = "model card, yours" if shared.card else "model card, written by tempo"
    width = max(map(len, shared.files))
    for name, data in shared.files.items():
        typer.echo(f"  {name:{width}}  {len(data):7,} bytes  {about[name]}")
    sent = {name.split("/")[0] for name in shared.files}
    stays = sorted({path.name for path in folder.expanduser().iterdir()} - sent)
    if stays:
        typer.echo(f"Stays here: {', '.join(stays[:10])}{' ...' if len(stays) > 10 else ''}")
    if not yes:
        typer.echo("Nothing was sent; the same command with --yes sends it")
        return
    url = push(
        folder,
        repo,
        adapters=adapter,
        private=private or None,  # False would ask for a public one whatever the owner's default
        revision=revision,
        commit_message=message,
        create_pr=create_pr,
    )
    typer.echo(f"Sent: {url}")


def _edit(config: AttnScaleConfig) -> str:
    """Return an edit in a few words."""
    strength = "adaptive" if config.strength is None and config.adaptive else config.strength
    parts = [config.mode, *([] if strength is None else [f"{strength}"])]
    layers = "all" if isinstance(config.layers, str) else ",".join(map(str, config.layers))
    base = config.base_model_name_or_path
    words = f"{' '.join(parts)}, layers {layers}, rows {'+'.join(config.queries)}"
    return words + (f", for {base}" if base else "")

"""Pushing adapters and their model card to a repository on the Hub, in one commit.

Only the configurations, their directions and the card are uploaded.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import AdapterError, ConfigError
from tempo_attn.files.strict_json import parse_json_object, read_bounded
from tempo_attn.hub.adapter_folder import (
    CARD_NAME,
    CONFIG_NAME,
    DEFAULT_ADAPTER,
    adapter_files,
    file_of,
)
from tempo_attn.hub.find_config import find_beside, find_config
from tempo_attn.hub.hub_errors import hub_errors
from tempo_attn.hub.model_card import model_card
from tempo_attn.hub.model_names import shared_name
from tempo_attn.hub.save import Configs, card_of, checked, json_bytes, own_card, write_together


def push(
    folder_or_configs: str | os.PathLike[str] | AttnScaleConfig | Configs,
    repo_id: str,
    *,
    adapters: Sequence[str] | None = None,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> str:
    """Upload adapters and their model card to a repository on the Hub, in one commit.

    The repository is created if need be. Its model card is replaced only if it was written here,
    and then tells of the adapters that were there before, too.

    Args:
        folder_or_configs: A folder of `save_adapters`, one configuration, or several by name.
        repo_id: The repository, "owner/name".
        adapters: Names of those to upload; None for all.
        private: Whether a new repository is private; None for the owner's default.
        token: A Hub token; None for the one saved by logging in.
        commit_message: The commit's first line.
        commit_description: The commit's further lines.
        revision: The branch, created if need be; None for main.
        create_pr: Propose the commit as a pull request instead.

    Returns:
        The address of the commit, or of the pull request.

    Raises:
        AdapterError: There is no adapter, or a name cannot be used.
        ConfigError: A configuration is wrong, the repository is public where `private` is asked
            for, or the Hub refuses.
    """
    shared = to_share(folder_or_configs, repo_id, adapters)
    with hub_errors(repo_id):
        api = huggingface_hub.HfApi(token=token)
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if revision is not None and not revision.startswith("refs/"):
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        there = api.model_info(repo_id, revision=revision)
        if private and there.private is False:
            raise ConfigError(
                f"{repo_id}: the repository is there and public, and `private` is for new ones. "
                f"Make it private at {huggingface_hub.constants.ENDPOINT}/{repo_id}/settings "
                "first, or push without it"
            )
        files = dict(shared.files)
        if shared.card is not None:
            files[CARD_NAME] = shared.card
        elif _claimed_on_hub(repo_id, revision, token):
            del files[CARD_NAME]
        else:
            names = [file.rfilename for file in there.siblings or ()]
            kept = _kept_on_hub(repo_id, revision, token, names, leave_out=shared.configs)
            files[CARD_NAME] = card_of({**kept, **shared.configs}, repo_id)
        with tempfile.TemporaryDirectory() as stage:
            write_together({Path(stage) / name: data for name, data in files.items()})
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=stage,
                commit_message=commit_message or "Upload attention scaling with tempo-lalm",
                commit_description=commit_description,
                revision=revision,
                create_pr=create_pr,
            )
    return str(commit.pr_url or commit.commit_url)


@dataclass(frozen=True)
class ToShare:
    """What `push` uploads.

    Attributes:
        configs: The adapters by name.
        files: Path within the repository and content; the model card is the last one.
        card: The user's own model card; None where one is written anew.
    """

    configs: Configs
    files: Mapping[str, bytes]
    card: bytes | None = None


def to_share(
    source: str | os.PathLike[str] | AttnScaleConfig | Configs,
    repo_id: str,
    adapters: Sequence[str] | None = None,
) -> ToShare:
    """Return what `push` would upload; nothing is sent, or asked of the Hub.

    Raises:
        AdapterError: There is no adapter, or none of a name.
        ConfigError: A configuration, or the repository's name, is wrong.
    """
    with hub_errors(repo_id):
        huggingface_hub.utils.validate_repo_id(repo_id)  # type: ignore[attr-defined]
    if isinstance(source, AttnScaleConfig):
        source = {DEFAULT_ADAPTER: source}
    configs: Configs
    card = None
    if isinstance(source, Mapping):
        configs = checked(source, None, None)
        files = {name: json_bytes(name, config) for name, config in configs.items()}
    else:
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; save the adapters there first")
        configs, files = _read_folder(folder)
        card = own_card(folder / CARD_NAME)
    unknown = [name for name in adapters or () if name not in configs]
    if unknown:
        raise AdapterError(f"no adapter {unknown[0]!r}; there are {', '.join(configs)}")
    chosen = {name: configs[name] for name in configs if adapters is None or name in adapters}
    sent: dict[str, bytes] = {}
    for name, config in chosen.items():
        path = file_of(name)
        sent |= {str(path.with_name(beside)): data for beside, data in config.files().items()}
        sent[str(path)] = files[name]
    sent[CARD_NAME] = card or str(model_card(chosen, repo_id=repo_id)).encode()
    return ToShare(chosen, sent, card)


def _read_folder(folder: Path) -> tuple[dict[str, AttnScaleConfig], dict[str, bytes]]:
    """Return the adapters in a folder, and their files' contents, by name."""
    configs, files = {}, {}
    for name, path in adapter_files(folder).items():
        # The bytes go up as they are: a newer version's fields, unknown here, are not lost.
        data = read_bounded(path)
        config = AttnScaleConfig.from_json(data, where=str(path))
        config.read_files(partial(find_beside, path, folder))
        configs[name] = config
        files[name] = _without_path(data)
    if not configs:
        find_config(folder)  # says what the folder has instead
    return configs, files


def _kept_on_hub(
    repo_id: str,
    revision: str | None,
    token: str | bool | None,
    names: Sequence[str],
    leave_out: Collection[str],
) -> dict[str, AttnScaleConfig]:
    """Return the adapters that a repository keeps beside those of a push, for its card."""
    kept = {}
    for path in names:
        folder, _, file = path.rpartition("/")
        name = folder or DEFAULT_ADAPTER
        if file != CONFIG_NAME or name in leave_out or "/" in folder:
            continue
        found = huggingface_hub.hf_hub_download(repo_id, path, revision=revision, token=token)
        with suppress(ConfigError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user asked to push, not to load these
            # The card needs the text alone, and not what lies beside it.
            kept[name] = AttnScaleConfig.from_json(read_bounded(Path(found)), where=path)
    return kept


def _without_path(data: bytes) -> bytes:
    """Return a configuration's file with a base model's path replaced by its folder's name."""
    values = parse_json_object(data, "the file")
    base = values.get("base_model_name_or_path")
    if base is None or (shared := shared_name(base)) == base:
        return data
    whole = values | {"base_model_name_or_path": shared}
    return (json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _claimed_on_hub(repo_id: str, revision: str | None, token: str | bool | None) -> bool:
    """Return whether the repository has a model card that was not written here."""
    try:
        path = huggingface_hub.hf_hub_download(repo_id, CARD_NAME, revision=revision, token=token)
    except errors.LocalEntryNotFoundError:
        raise  # out of reach is not absent
    except errors.EntryNotFoundError:
        return False
    return own_card(Path(path)) is not None

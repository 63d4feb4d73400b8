"""Saving adapters into a folder and pushing them to the Hub, each with a model card.

A folder is what a repository holds: the adapter "default" as `attn_scale_config.json`, every other
one as the same file in a subfolder of its name, and the card. Nothing else is written or uploaded.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import AdapterError, ConfigError
from tempo_attn.files.atomic import replacing
from tempo_attn.files.strict_json import parse_json_object, read_bounded
from tempo_attn.hub.config_file import library_version
from tempo_attn.hub.find import (
    CARD_NAME,
    CONFIG_NAME,
    DEFAULT_ADAPTER,
    adapter_files,
    check_adapter_name,
    find_config,
    hub_errors,
    shared_name,
)
from tempo_attn.hub.model_card import is_ours, model_card

Configs = Mapping[str, AttnScaleConfig]


def save_adapters(
    folder: str | os.PathLike[str],
    configs: Configs,
    *,
    base_model: str | None = None,
    revision: str | None = None,
) -> list[Path]:
    """Write adapters and their model card into `folder`; other adapters in it stay.

    Every file is complete or as it was before. A model card that was not written here, or whose
    mark was deleted, is left alone.

    Args:
        folder: Created if need be.
        configs: The adapters by name.
        base_model: The model they were made for, where a configuration does not say.
        revision: That model's revision.

    Returns:
        The files written.

    Raises:
        AdapterError: There is no adapter, or a name cannot be used.
        ConfigError: A configuration is wrong, or something else is where a folder belongs.
    """
    target = Path(folder).expanduser()
    ready = _checked(configs, base_model, revision)
    files = {file_of(name, target): _json_bytes(name, config) for name, config in ready.items()}
    card = target / CARD_NAME
    if _own_card(card) is None:
        everything = _loaded(target) | ready
        first = {name: everything[name] for name in (DEFAULT_ADAPTER,) if name in everything}
        files[card] = str(model_card(first | everything)).encode()
    _write_together(files)
    return list(files)


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
        commit_description: Its further lines.
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
            everything = {**kept, **shared.configs}
            first = {name: everything[name] for name in (DEFAULT_ADAPTER,) if name in everything}
            files[CARD_NAME] = str(model_card(first | everything, repo_id=repo_id)).encode()
        with tempfile.TemporaryDirectory() as stage:
            _write_together({Path(stage) / name: data for name, data in files.items()})
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
        configs = _checked(source, None, None)
        files = {name: _json_bytes(name, config) for name, config in configs.items()}
    else:
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; save the adapters there first")
        configs, files = _read_folder(folder)
        card = _own_card(folder / CARD_NAME)
    unknown = [name for name in adapters or () if name not in configs]
    if unknown:
        raise AdapterError(f"no adapter {unknown[0]!r}; there are {', '.join(configs)}")
    chosen = {name: configs[name] for name in configs if adapters is None or name in adapters}
    sent = {str(file_of(name)): files[name] for name in chosen}
    sent[CARD_NAME] = card or str(model_card(chosen, repo_id=repo_id)).encode()
    return ToShare(chosen, sent, card)


def _read_folder(folder: Path) -> tuple[dict[str, AttnScaleConfig], dict[str, bytes]]:
    """Return the adapters in a folder, and their files' contents, by name."""
    configs, files = {}, {}
    for name, path in adapter_files(folder).items():
        # The bytes go up as they are: a newer version's fields, unknown here, are not lost.
        data = read_bounded(path)
        configs[name] = AttnScaleConfig.from_json(data, where=str(path))
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
            warnings.simplefilter("ignore")  # as in `_loaded`: it only is told of
            kept[name] = AttnScaleConfig.from_pretrained(found)
    return kept


def _checked(
    configs: Configs, base_model: str | None, revision: str | None
) -> dict[str, AttnScaleConfig]:
    """Return complete copies of the configurations, ready to be written."""
    if not configs:
        raise AdapterError("there is no adapter to save; expected at least one configuration")
    spelled: dict[str, str] = {}
    ready = {}
    for name, config in configs.items():
        check_adapter_name(name)
        if not isinstance(config, AttnScaleConfig):
            raise ConfigError(
                f"adapter {name!r} is a {type(config).__name__}; expected an AttnScaleConfig"
            )
        other = spelled.setdefault(name.lower(), name)
        if other != name:
            raise AdapterError(
                f"adapter names {other!r} and {name!r} differ in case only, which some file "
                "systems cannot tell apart; rename one"
            )
        base = config.base_model_name_or_path or base_model
        same = base == base_model
        ready[name] = replace(
            config,
            base_model_name_or_path=None if base is None else shared_name(base),
            revision=config.revision or (revision if same else None),
            tempo_version=library_version(),
        )
    return ready


def file_of(name: str, folder: Path = Path()) -> Path:
    """Return the file of an adapter in a folder, or in a repository."""
    return folder / CONFIG_NAME if name == DEFAULT_ADAPTER else folder / name / CONFIG_NAME


def _json_bytes(name: str, config: AttnScaleConfig) -> bytes:
    data = config.to_json().encode()
    parse_json_object(data, f"adapter {name!r}")  # what is saved can be read again
    return data


def _without_path(data: bytes) -> bytes:
    """Return a configuration's file with a base model's path replaced by its folder's name."""
    values = parse_json_object(data, "the file")
    base = values.get("base_model_name_or_path")
    if base is None or (shared := shared_name(base)) == base:
        return data
    whole = values | {"base_model_name_or_path": shared}
    return (json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _loaded(folder: Path) -> dict[str, AttnScaleConfig]:
    """Return the adapters in `folder`, if it exists; broken ones are left out of the card."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the user asked to save, not to load these
        for name, path in adapter_files(folder).items() if folder.is_dir() else ():
            try:
                found[name] = AttnScaleConfig.from_pretrained(path)
            except ConfigError:
                continue
    return found


def _own_card(path: Path) -> bytes | None:
    """Return the model card at `path` if it is the user's own; None for none or one of ours."""
    if not path.exists():
        return None
    data = path.read_bytes()
    return None if is_ours(data.decode("utf-8", "replace")) else data


def _claimed_on_hub(repo_id: str, revision: str | None, token: str | bool | None) -> bool:
    """Return whether the repository has a model card that was not written here."""
    try:
        path = huggingface_hub.hf_hub_download(repo_id, CARD_NAME, revision=revision, token=token)
    except errors.LocalEntryNotFoundError:
        raise  # out of reach is not absent
    except errors.EntryNotFoundError:
        return False
    return _own_card(Path(path)) is not None


def _write_together(files: dict[Path, bytes]) -> None:
    """Write all files beside their places first, then rename them; a failure leaves no parts.

    Raises:
        ConfigError: A file is where a folder belongs.
    """
    with ExitStack() as stack:
        # Entered last to first: a stack is left in reverse, so the files are renamed in order.
        for path, data in reversed(files.items()):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise ConfigError(
                    f"{path.parent}: a file is in the way; expected a folder, or nothing"
                ) from error
            stack.enter_context(replacing(path)).write_bytes(data)

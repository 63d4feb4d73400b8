"""Saving adapters into a folder, with a model card.

Nothing but the adapters' configurations, their directions and the card is written, and every file
is complete or as it was before.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tempo_attn.config import AttnScaleConfig
from tempo_attn.directions import DIRECTIONS_NAME
from tempo_attn.errors import AdapterError, ConfigError
from tempo_attn.files.atomic import replacing
from tempo_attn.files.strict_json import parse_json_object
from tempo_attn.hub.adapter_folder import (
    CARD_NAME,
    DEFAULT_ADAPTER,
    adapter_files,
    check_adapter_name,
    file_of,
)
from tempo_attn.hub.config_file import library_version
from tempo_attn.hub.model_card import is_ours, model_card
from tempo_attn.hub.model_names import shared_name

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
    ready = checked(configs, base_model, revision)
    files = files_of(ready, target)
    card = target / CARD_NAME
    if own_card(card) is None:
        files[card] = card_of(_loaded(target) | ready)
    write_together(files)
    for name in ready:  # of an adapter that was there before
        stale = file_of(name, target).with_name(DIRECTIONS_NAME)
        if stale not in files:
            stale.unlink(missing_ok=True)
    return list(files)


def checked(
    configs: Configs, base_model: str | None, revision: str | None
) -> dict[str, AttnScaleConfig]:
    """Return complete copies of the configurations, ready to be written.

    Args:
        configs: The adapters by name.
        base_model: The model they were made for, where a configuration does not say.
        revision: That model's revision.

    Raises:
        AdapterError: There is no adapter, or a name cannot be used.
        ConfigError: An adapter is not a configuration.
    """
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


def files_of(configs: Configs, folder: Path = Path()) -> dict[Path, bytes]:
    """Return the files of adapters: each one's directions, if it has some, and its JSON after them.

    Raises:
        ConfigError: Directions are not loaded.
    """
    files: dict[Path, bytes] = {}
    for name, config in configs.items():
        path = file_of(name, folder)
        files |= {path.with_name(beside): data for beside, data in config.files().items()}
        files[path] = json_bytes(name, config)
    return files


def json_bytes(name: str, config: AttnScaleConfig) -> bytes:
    """Return the content of an adapter's file."""
    data = config.to_json().encode()
    parse_json_object(data, f"adapter {name!r}")  # what is saved can be read again
    return data


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


def card_of(configs: Configs, repo_id: str | None = None) -> bytes:
    """Return the model card of all adapters of a folder or repository, the default one first."""
    first = {name: configs[name] for name in (DEFAULT_ADAPTER,) if name in configs}
    return str(model_card({**first, **configs}, repo_id=repo_id)).encode()


def own_card(path: Path) -> bytes | None:
    """Return the model card at `path` if it is the user's own; None for none or one of ours."""
    if not path.exists():
        return None
    data = path.read_bytes()
    return None if is_ours(data.decode("utf-8", "replace")) else data


def write_together(files: dict[Path, bytes]) -> None:
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

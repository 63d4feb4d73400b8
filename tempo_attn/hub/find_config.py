"""Finding a configuration's file: in a folder, by its own path, or in a repository on the Hub.

Only that one file is ever fetched, and of a configuration that has directions theirs.
"""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath
from typing import Any

import huggingface_hub

from tempo_attn.errors import ConfigError
from tempo_attn.hub.adapter_folder import ADAPTER_NAME, CONFIG_NAME, adapter_files
from tempo_attn.hub.hub_errors import hub_errors


def find_config(
    path_or_repo: str | os.PathLike[str], subfolder: str | None = None, **download: Any
) -> Path:
    """Return the path of a configuration's file; from the Hub it is downloaded first.

    Args:
        path_or_repo: An existing folder or JSON file, or else a repository "owner/name".
        subfolder: The folder inside: the adapter's name, unless it is the default one.
        download: How a repository is read: `revision`, `token`, `cache_dir` and
            `local_files_only` of `huggingface_hub.hf_hub_download`.

    Raises:
        ConfigError: It is in none of these places; the message says what to do.
    """
    name = os.fspath(path_or_repo)
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise ConfigError(f"{name!r}: expected the name of a folder, a JSON file or a repository")
    if subfolder is not None:
        _check_subfolder(subfolder)
    path = Path(name).expanduser()
    if path.is_dir():
        return _in_folder(path, subfolder)
    if path.exists():
        if subfolder is not None:
            raise ConfigError(f"{path}: a file has no subfolder {subfolder!r}; name its folder")
        return path
    if isinstance(path_or_repo, os.PathLike) or _looks_like_path(name):
        raise ConfigError(
            f"{name}: no such folder or file. Expected a folder with {CONFIG_NAME}, the file "
            "itself, or a repository on the Hub as 'owner/name'"
        )
    with hub_errors(name, "no such folder or file here; "):
        downloaded = huggingface_hub.hf_hub_download(
            name,
            CONFIG_NAME,
            subfolder=subfolder,
            **download,
        )
    return Path(downloaded)


def find_beside(
    path: Path,
    path_or_repo: str | os.PathLike[str],
    name: str,
    subfolder: str | None = None,
    **download: Any,
) -> Path:
    """Return the path of a file that lies beside a configuration that was found.

    Args:
        path: What `find_config` returned.
        path_or_repo: Where it was found.
        name: The file's name: one of ours, never a configuration's own choice.
        subfolder: The folder inside.
        download: As for `find_config`.

    Raises:
        ConfigError: There is no such file; the message says what to do.
    """
    if Path(os.fspath(path_or_repo)).expanduser().exists():
        beside = path.parent / name
        if not beside.exists():
            raise ConfigError(
                f"{beside}: no such file, and {path.name} needs it; copy both files, as "
                "save_pretrained writes them"
            )
        return beside
    with hub_errors(os.fspath(path_or_repo), file=name):
        return Path(
            huggingface_hub.hf_hub_download(
                os.fspath(path_or_repo), name, subfolder=subfolder, **download
            )
        )


def _in_folder(folder: Path, subfolder: str | None) -> Path:
    path = folder / (subfolder or "") / CONFIG_NAME
    if path.is_file():
        return path
    names = sorted(inner.name + "/" * inner.is_dir() for inner in folder.iterdir())
    has = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    adapters = list(adapter_files(folder))
    hint = f". Adapters in it: {', '.join(adapters)}; pass subfolder=" if adapters else ""
    raise ConfigError(
        f"{path}: no such file; the folder {folder} has {has or 'no files'}. Expected {CONFIG_NAME}"
        f", as save_pretrained writes it{hint}"
    )


def _check_subfolder(subfolder: str) -> None:
    parts = subfolder.split("/")
    if "\\" in subfolder or not all(ADAPTER_NAME.fullmatch(p) and ".." not in p for p in parts):
        raise ConfigError(
            f"subfolder {subfolder[:80]!r} is not a folder inside the adapter; expected its name"
        )


def _looks_like_path(name: str) -> bool:
    """Return whether `name` is meant as a path: nothing private is then asked of the Hub."""
    return (
        name.startswith((".", "/", "~"))
        or name.count("/") > 1
        or name.endswith(("/", ".json"))
        or "\\" in name
        or bool(PureWindowsPath(name).drive)
    )

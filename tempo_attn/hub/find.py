"""Finding a configuration's file: in a folder, by its own path, or in a repository on the Hub.

The adapter named "default" is the file `attn_scale_config.json` itself; another one is the same
file in a subfolder of its name. Only that one file is ever fetched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

import huggingface_hub
from huggingface_hub import constants, errors

# The HTTP library's own root, whichever library this version of the client uses.
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

from tempo_attn.errors import AdapterError, ConfigError

CONFIG_NAME = "attn_scale_config.json"
CARD_NAME = "README.md"
DEFAULT_ADAPTER = "default"
_ADAPTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def check_adapter_name(name: str) -> str:
    """Return `name`, which can be an adapter's: it becomes a folder's name.

    Raises:
        AdapterError: It cannot.
    """
    usable = isinstance(name, str) and _ADAPTER_NAME.fullmatch(name) and ".." not in name
    # A folder of this name would stand where a file of ours belongs.
    if not usable or name.lower() in (CONFIG_NAME, CARD_NAME.lower()):
        raise AdapterError(
            f"adapter name {str(name)[:80]!r} cannot be used; expected 1 to 64 of A-Z, a-z, 0-9, "
            f"'.', '_' and '-', starting with a letter or digit, without '..', and not the name of "
            f"a file ({CONFIG_NAME}, {CARD_NAME})"
        )
    return name


def find_config(
    path_or_repo: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    subfolder: str | None = None,
) -> Path:
    """Return the path of a configuration's file; from the Hub it is downloaded first.

    Args:
        path_or_repo: An existing folder or JSON file, or else a repository "owner/name".
        revision: The repository's branch, tag or commit.
        token: A Hub token; None for the one saved by logging in.
        cache_dir: Where downloads are kept; None for the Hub's own cache.
        local_files_only: Use the cache only.
        subfolder: The folder inside: the adapter's name, unless it is the default one.

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
        found = huggingface_hub.hf_hub_download(
            name,
            CONFIG_NAME,
            subfolder=subfolder,
            revision=revision,
            token=token,
            cache_dir=None if cache_dir is None else str(cache_dir),
            local_files_only=local_files_only,
        )
    return Path(found)


def adapter_files(folder: Path) -> dict[str, Path]:
    """Return the configuration files of every adapter in `folder`, by name; default first."""
    files = {DEFAULT_ADAPTER: folder / CONFIG_NAME}
    for inner in sorted(folder.iterdir()):
        # A folder called "default" would be a second default adapter; it is none of ours.
        if _ADAPTER_NAME.fullmatch(inner.name) and inner.name != DEFAULT_ADAPTER:
            files[inner.name] = inner / CONFIG_NAME
    return {name: file for name, file in files.items() if file.is_file()}


@contextmanager
def hub_errors(repo_id: str, before: str = "") -> Iterator[None]:
    """Turn what the Hub's client raises about `repo_id` into a `ConfigError` that says what to do.

    Args:
        repo_id: The repository.
        before: What was tried before asking the Hub, for the message.

    Raises:
        ConfigError: The repository, revision or file is not there, or cannot be reached.
    """
    page = f"{constants.ENDPOINT}/{repo_id}"
    log_in = "log in (`hf auth login`) or pass token="
    try:
        yield
    except errors.GatedRepoError as error:
        raise ConfigError(
            f"{repo_id}: a gated repository on the Hub. Accept its terms at {page}, then {log_in}"
        ) from error
    except (errors.RepositoryNotFoundError, errors.DisabledRepoError) as error:
        raise ConfigError(
            f"{repo_id}: {before}the Hub has no such repository, or a private one that this token "
            f"cannot read. Expected 'owner/name': check the spelling, {log_in}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ConfigError(
            f"{repo_id}: the repository has no such revision. Its branches and tags are at "
            f"{page}/tree/main"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise ConfigError(
            f"{repo_id}: {before}the Hub is out of reach (no network, HF_HUB_OFFLINE or "
            "local_files_only), and the file is not in its cache. Run this once with network "
            "access, or name a folder"
        ) from error
    except errors.EntryNotFoundError as error:
        raise ConfigError(
            f"{repo_id}: the repository has no {CONFIG_NAME} at this place, so no adapter of "
            f"tempo-lalm. See {page}/tree/main; a named adapter needs subfolder="
        ) from error
    except errors.HFValidationError as error:
        raise ConfigError(
            f"{repo_id[:200]!r}: {before}{'and ' if before else ''}not a repository's name; "
            "expected 'owner/name'"
        ) from error
    except errors.HfHubHTTPError as error:
        raise ConfigError(
            f"{repo_id}: the Hub refused the request: {str(error).strip()[:300]}. Check what the "
            f"token may do at {page}, or try again later"
        ) from error
    except HTTPError as error:
        raise ConfigError(
            f"{repo_id}: {before}the connection to the Hub failed: {str(error).strip()[:300]}. "
            "Check the network, or name a folder"
        ) from error


def is_repo_id(name: str) -> bool:
    """Return whether `name` can be a repository "owner/name" on the Hub, and is no path."""
    part = r"[A-Za-z0-9_]([\w.-]{0,94}[A-Za-z0-9_])?"
    whole = re.fullmatch(f"{part}/{part}", name, re.ASCII)
    return bool(whole) and not any(bad in name for bad in ("..", "--")) and name[-4:] != ".git"


def shared_name(name: str) -> str:
    r"""Return what may be said of a model on other machines: a Hub id, or the folder's own name.

    Where a folder lies says something about this machine, and nothing elsewhere.

    Args:
        name: As `from_pretrained` took it: a repository, or a path of this or another system. A
            folder in the Hub's cache stands for the repository that it is of.

    Example:
        >>> [shared_name(name) for name in ("o/m", "../models/x", "~/x", "C:\\models\\x")]
        ['o/m', 'x', 'x', 'x']
    """
    cached = re.search(r"models--([^/\\]+)[/\\]snapshots[/\\][^/\\]+[/\\]*$", name)
    repository = cached[1].replace("--", "/") if cached else name
    if is_repo_id(repository):
        return repository
    parts = re.split(r"[/\\]+", re.sub(r"^[A-Za-z]:", "", name.strip()))
    last = next((part for part in reversed(parts) if part), "")
    if last in (".", ".."):
        last = os.path.basename(os.path.abspath(name))
    # A home folder is named after its owner.
    return "a folder" if not last or last.startswith("~") else last


def loaded_name(name: str) -> str:
    """Return `shared_name` of a model that was loaded from here: a folder comes before the Hub."""
    try:
        here = Path(name).is_dir()
    except (OSError, ValueError):
        here = False
    return shared_name(os.path.abspath(name) if here else name)


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
    if "\\" in subfolder or not all(_ADAPTER_NAME.fullmatch(p) and ".." not in p for p in parts):
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

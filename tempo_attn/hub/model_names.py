"""Names of models as they may be told to others: a repository, or a folder without its path."""

from __future__ import annotations

import os
import re
from pathlib import Path


def is_repo_id(name: str) -> bool:
    """Return whether `name` can be a repository "owner/name" on the Hub, and not a path."""
    part = r"[A-Za-z0-9_]([\w.-]{0,94}[A-Za-z0-9_])?"
    whole = re.fullmatch(f"{part}/{part}", name, re.ASCII)
    return bool(whole) and not any(bad in name for bad in ("..", "--")) and name[-4:] != ".git"


def shared_name(name: str) -> str:
    r"""Return what may be said of a model on other machines: a Hub id, or the folder's own name.

    Where a folder lies says something about this machine, and nothing elsewhere.

    Args:
        name: The name that `from_pretrained` took: a repository, or a path of any system. A
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

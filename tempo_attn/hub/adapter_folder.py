"""Where adapters lie in a folder, and in a repository on the Hub, which has the same files.

The adapter named "default" is the file `attn_scale_config.json` itself; another one is the same
file in a subfolder of its name. Beside it lie its directions, if it has some, and the model card.
"""

from __future__ import annotations

import re
from pathlib import Path

from tempo_attn.directions import DIRECTIONS_NAME
from tempo_attn.errors import AdapterError

CONFIG_NAME = "attn_scale_config.json"
CARD_NAME = "README.md"
DEFAULT_ADAPTER = "default"
ADAPTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def check_adapter_name(name: str) -> str:
    """Return `name` if it can be an adapter's: it becomes a folder's name.

    Raises:
        AdapterError: It cannot.
    """
    usable = isinstance(name, str) and ADAPTER_NAME.fullmatch(name) and ".." not in name
    # A folder of this name would stand where a file of ours belongs.
    if not usable or name.lower() in (CONFIG_NAME, CARD_NAME.lower(), DIRECTIONS_NAME):
        raise AdapterError(
            f"adapter name {str(name)[:80]!r} cannot be used; expected 1 to 64 of A-Z, a-z, 0-9, "
            f"'.', '_' and '-', starting with a letter or digit, without '..', and not the name of "
            f"a file ({CONFIG_NAME}, {DIRECTIONS_NAME}, {CARD_NAME})"
        )
    return name


def file_of(name: str, folder: Path = Path()) -> Path:
    """Return the file of an adapter in a folder, or in a repository."""
    return folder / CONFIG_NAME if name == DEFAULT_ADAPTER else folder / name / CONFIG_NAME


def adapter_files(folder: Path) -> dict[str, Path]:
    """Return the configuration files of every adapter in `folder`, by name; default first."""
    files = {DEFAULT_ADAPTER: folder / CONFIG_NAME}
    for inner in sorted(folder.iterdir()):
        # A folder called "default" would be a second default adapter; it is none of ours.
        if ADAPTER_NAME.fullmatch(inner.name) and inner.name != DEFAULT_ADAPTER:
            files[inner.name] = inner / CONFIG_NAME
    return {name: file for name, file in files.items() if file.is_file()}

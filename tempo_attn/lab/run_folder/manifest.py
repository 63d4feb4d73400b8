"""The manifest of a run: what was run on what, as JSON.

Two runs with equal manifests give equal records, so one may go on where the other stopped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tempo_attn.errors import RunFolderError

SCHEMA = 1
"""Version of the manifest and of everything in a run folder."""
_MOST_ITEMS = 2**31
INFO = "info"
"""What a manifest holds under this name, at any depth, is for the reader and not compared."""


def run_manifest(
    *,
    verb: str,
    settings: Mapping[str, Any],
    fingerprints: Mapping[str, Any],
    n_items: int,
    shard: tuple[int, int] | None = None,
    shard_items: Iterable[int] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a run's manifest, as JSON data.

    Args:
        verb: The command, such as "sweep".
        settings: Whatever changes its records: the grid, tasks, seed ...
        fingerprints: Of data, model, code and environment.
        n_items: Number of items of the whole run, of all its shards together.
        shard: (i, n) for part i, from 0, of n; None for a whole run.
        shard_items: Indices of that part's items.
        more: Further fields.

    Raises:
        RunFolderError: A value cannot be, or is not JSON.
    """
    manifest = {
        **more,
        "schema": SCHEMA,
        "verb": verb,
        "settings": settings,
        "fingerprints": fingerprints,
        "n_items": n_items,
        "shard": shard,
        "shard_items": None if shard_items is None else sorted(shard_items),
    }
    return check_manifest(manifest, "this run's manifest")


def check_manifest(data: Any, where: str) -> dict[str, Any]:
    """Return a manifest as the JSON data that it is on disk, after checking it.

    Args:
        data: The manifest.
        where: What it is, for error messages.

    Raises:
        RunFolderError: It is of another schema, its parts contradict each other, or it is not JSON.
    """
    schema = data.get("schema") if isinstance(data, Mapping) else None
    if schema != SCHEMA:
        raise RunFolderError(
            f"{where}: has schema {_shown(schema)}; this version of tempo reads and writes schema "
            f"{SCHEMA}; use the version that the run was made with, or choose another --out"
        )
    try:
        manifest: dict[str, Any] = json.loads(manifest_text(data))
    except (TypeError, ValueError) as error:
        raise RunFolderError(
            f"{where}: is not JSON data: {error}; expected strings, finite numbers, booleans, "
            "null, and lists and objects of these"
        ) from error
    names = ("n_items", "shard", "shard_items")
    found = [manifest.get(name) for name in names]
    match found if manifest.keys() >= set(names) else None:
        case [int(n_items), None, None] if 0 <= n_items < _MOST_ITEMS:
            return manifest
        case [int(n_items), [int(number), int(of)], list(items)] if (
            0 <= number < of
            and 0 <= n_items < _MOST_ITEMS
            and all(item in range(n_items) for item in items)
            and len(set(items)) == len(items)
        ):
            return manifest
    raise RunFolderError(
        f"{where}: n_items, shard, shard_items are {', '.join(map(_shown, found))}; expected the "
        "number of all items; null or [i, n] with 0 <= i < n (`--shard i/n`); null or the shard's "
        "indices, from 0, each once"
    )


def expected_items(manifest: Mapping[str, Any]) -> Sequence[int]:
    """Return the indices of a run's, or its shard's, items."""
    items: Sequence[int] | None = manifest["shard_items"]
    return range(manifest["n_items"]) if items is None else items


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """Return a manifest as text; the same for equal manifests, lists of numbers on one line."""
    text = json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    # A line break is never inside a JSON string.
    return re.sub(r"\[\n[\d\s,.eE+-]+\]", _one_line, text) + "\n"


def _one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[0][1:-1].split())}]"


def without_info(value: Any) -> Any:
    """Return a manifest without what is only for the reader, at any depth."""
    if isinstance(value, Mapping):
        return {name: without_info(inner) for name, inner in value.items() if name != INFO}
    return value


def differences(one: Any, other: Any, names: tuple[str, str], at: str = "") -> Iterator[str]:
    """Yield a line for every field that differs between two manifests.

    Args:
        one: A manifest.
        other: Another one.
        names: What these are in the lines: "the folder" and "this run".
        at: The field that `one` and `other` are.
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted({*one, *other} - {INFO}):
            values = one.get(name, _NOTHING), other.get(name, _NOTHING)
            yield from differences(*values, names, f"{at}.{name}" if at else name)
    elif one != other:
        shown = _shown(one), _shown(other)
        if shown[0] == shown[1]:  # the difference is in what is cut off
            yield f"{at}: {names[0]} and {names[1]} have different {shown[0]}"
        else:
            yield f"{at}: {names[0]} has {shown[0]}, {names[1]} has {shown[1]}"


_NOTHING = object()


def _shown(value: Any) -> str:
    text = "nothing" if value is _NOTHING else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 100 else f"{text[:97]}..."

"""The manifest of a run: what was run on what.

Two runs with equal manifests give equal records, so one may go on where the other stopped. On disk
a manifest is a JSON object; `Manifest.from_dict` checks every field of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from tempo_attn.errors import RunFolderError
from tempo_attn.files.json_types import misfit
from tempo_attn.lab.run_folder.differences import shown

SCHEMA = 2
"""Version of the manifest and of everything in a run folder."""
_MOST_ITEMS = 2**31
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Every setting that changes a run's records.

    Attributes:
        tasks: Names of the tasks that the items are from.
        limit: Only the first items of each task; None for all.
        metadata: What the tasks were told, as `lm_eval --metadata`.
        batch_size: Items in one prefill.
        memory: Bytes that the variants running at once may take.
        seed: Seed of everything random.
        of_command: The command's own settings, as JSON data. On disk they stand beside the others,
            so none may have the name of one of those.
    """

    tasks: Sequence[str]
    limit: int | None
    metadata: Mapping[str, Any]
    batch_size: int
    memory: int
    seed: int
    of_command: Mapping[str, Any]

    def own(self, kind: type[T]) -> T:
        """Return the command's own settings, or those of them that somebody needs.

        Args:
            kind: A dataclass whose fields are the settings to read, of JSON's types.

        Raises:
            RunFolderError: One of them is missing or of another type.
        """
        names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
        found = {name: value for name, value in self.of_command.items() if name in names}
        if wrong := misfit(found, kind):
            raise RunFolderError(
                f"its manifest's settings: {wrong}; it was damaged or is of another command: bring "
                "it back from a copy, or run the same command with another --out"
            )
        return kind(**found)


_COMMON = tuple(field.name for field in fields(RunSettings) if field.name != "of_command")


@dataclass(frozen=True, kw_only=True)
class ModelFingerprint:
    """Which model was studied.

    Attributes:
        name: Hub id, or the name of a folder.
        arguments: Further arguments that it was loaded with, as text.
        weights: SHA-256 of a sample of the weights; see `fingerprints.model_fingerprint`.
        processor: SHA-256 of how text and waveforms become the model's inputs.
    """

    name: str
    arguments: Mapping[str, str]
    weights: str
    processor: str


@dataclass(frozen=True, kw_only=True)
class Fingerprints:
    """What a run's numbers depend on beside its settings.

    Attributes:
        data: By task: the name and the hash of its data, and the version of its prompts.
        items: SHA-256 of the keys of all items, in order.
        model: The model.
        code: SHA-256 of this project's code.
        environment: Versions, dtype, device ...; see `fingerprints.environment`.
    """

    data: Mapping[str, Mapping[str, Any]]
    items: str
    model: ModelFingerprint
    code: str
    environment: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What was run on what.

    Attributes:
        command: The command of `tempo` that ran, such as "sweep".
        settings: All that decides what a record says.
        fingerprints: Of data, model, code and environment.
        n_items: Number of items of the whole run, of all its shards together.
        shard: (i, n) for part i, from 0, of n; None for a whole run.
        shard_items: Indices of that part's items, ascending; None for a whole run.
    """

    command: str
    settings: RunSettings
    fingerprints: Fingerprints
    n_items: int
    shard: Sequence[int] | None = None
    shard_items: Sequence[int] | None = None

    @property
    def item_indices(self) -> Sequence[int]:
        """Indices of the items of the run, or of its shard."""
        return range(self.n_items) if self.shard_items is None else self.shard_items

    @property
    def unsharded(self) -> Manifest:
        """The manifest of the whole run that this is a shard of."""
        return replace(self, shard=None, shard_items=None)

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as it is on disk."""
        data = asdict(self)
        own = data["settings"].pop("of_command")
        return {"schema": SCHEMA, **data, "settings": {**own, **data["settings"]}}

    @classmethod
    def from_dict(cls, data: Any, where: str) -> Manifest:
        """Read what `to_dict` returned, or a file holds.

        Args:
            data: The manifest as JSON data.
            where: What it is called in messages.

        Raises:
            RunFolderError: It is of another schema, a field is missing, unknown or of another type,
                its parts contradict each other, or it is not JSON.
        """
        data = _json_of_this_schema(data, where)
        _check_items(data, where)
        del data["schema"]
        settings = data.get("settings")
        if isinstance(settings, dict):
            common = {name: settings[name] for name in _COMMON if name in settings}
            own = {name: value for name, value in settings.items() if name not in _COMMON}
            data["settings"] = {**common, "of_command": own}
        if wrong := misfit(data, cls):
            raise RunFolderError(
                f"{where}: {wrong}; it was damaged or is of another release: bring it back from a "
                "copy, or choose another --out"
            )
        prints = data["fingerprints"]
        model = ModelFingerprint(**prints["model"])
        return cls(
            **{
                **data,
                "settings": RunSettings(**data["settings"]),
                "fingerprints": Fingerprints(**{**prints, "model": model}),
            }
        )


def _json_of_this_schema(data: Any, where: str) -> dict[str, Any]:
    """Return a manifest with JSON's own types, such as lists for tuples."""
    schema = data.get("schema") if isinstance(data, Mapping) else None
    if schema != SCHEMA:
        raise RunFolderError(
            f"{where}: has schema {shown(schema)}; this version of tempo reads and writes schema "
            f"{SCHEMA}; use the version that the run was made with, or choose another --out"
        )
    try:
        found: dict[str, Any] = json.loads(manifest_text(data))
        return found
    except (TypeError, ValueError) as error:
        raise RunFolderError(
            f"{where}: is not JSON data: {error}; expected strings, finite numbers, booleans, "
            "null, and lists and objects of these"
        ) from error


def _check_items(data: Mapping[str, Any], where: str) -> None:
    """Check that the number of items, the shard and the shard's items go together."""
    names = ("n_items", "shard", "shard_items")
    found = [data.get(name) for name in names]
    match found if data.keys() >= set(names) else None:
        case [int(n_items), None, None] if 0 <= n_items < _MOST_ITEMS:
            return
        case [int(n_items), [int(number), int(of)], list(items)] if (
            0 <= number < of
            and 0 <= n_items < _MOST_ITEMS
            and all(item in range(n_items) for item in items)
            and len(set(items)) == len(items)
        ):
            return
    raise RunFolderError(
        f"{where}: n_items, shard, shard_items are {', '.join(map(shown, found))}; expected the "
        "number of all items; null or [i, n] with 0 <= i < n (`--shard i/n`); null or the shard's "
        "indices, from 0, each once"
    )


def manifest_text(data: Mapping[str, Any]) -> str:
    """Return a manifest as text; the same for equal manifests, lists of numbers on one line."""
    text = json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    # A line break is never inside a JSON string.
    return re.sub(r"\[\n[\d\s,.eE+-]+\]", _one_line, text) + "\n"


def _one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[0][1:-1].split())}]"

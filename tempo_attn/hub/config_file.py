"""Saving, loading and pushing a dataclass of settings, with the verbs of PEFT's configurations."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tempo_attn import config_fields as check
from tempo_attn.errors import ConfigError
from tempo_attn.files.strict_json import parse_json_object, read_json_object
from tempo_attn.hub.find_config import find_beside, find_config

Self = TypeVar("Self", bound="ConfigFile")


def library_version() -> str:
    """Return the installed version of tempo-lalm; "unknown" in a checkout that is not installed."""
    try:
        return metadata.version("tempo-lalm")
    except metadata.PackageNotFoundError:
        return "unknown"


@dataclass(kw_only=True)
class ConfigFile:
    """A dataclass that is also a JSON file; subclasses add the fields and `validate`.

    Attributes:
        nested_types: Fields that are dataclasses themselves, or None.
        integer_keyed: Fields that may be dicts with integer keys, which JSON writes as strings.
    """

    nested_types: ClassVar[Mapping[str, type[Any]]] = {}
    integer_keyed: ClassVar[tuple[str, ...]] = ()

    def validate(self) -> None:
        """Check every field and bring it into its stored form.

        Raises:
            ConfigError: A field is wrong.
        """
        raise NotImplementedError

    def read_files(self, find: Callable[[str], Path]) -> None:
        """Load what lies in files beside the JSON; most configurations have none.

        Args:
            find: Returns the path of a file by its name.

        Raises:
            ConfigError: A file is missing, wrong, or another one than the configuration names.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return the checked fields as plain JSON types; every key is a string."""
        self.validate()
        values = dataclasses.asdict(self)
        for name in self.integer_keyed:
            if isinstance(values[name], Mapping):
                values[name] = {str(key): value for key, value in values[name].items()}
        return values

    def to_json(self) -> str:
        """Return the file's text: indented JSON and a final newline."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_dict(cls: type[Self], values: Mapping[str, Any], *, where: str = "") -> Self:
        """Build a configuration from the plain types of `to_dict`.

        Fields that this version does not know are dropped with one warning.

        Args:
            values: The fields; those left out keep their defaults.
            where: The place they come from, for messages: a path.

        Raises:
            ConfigError: A field is wrong.
        """
        prefix = f"{where}: " if where else ""
        kept, unknown = _split(cls, values)
        try:
            for name, nested in cls.nested_types.items():
                if isinstance(kept.get(name), Mapping):
                    kept[name], dropped = _nested(name, nested, kept[name])
                    unknown += dropped
            for name in cls.integer_keyed:
                if isinstance(kept.get(name), Mapping):
                    kept[name] = _integer_keys(name, kept[name])
            config = cls(**kept)
        except ConfigError as error:
            raise ConfigError(f"{prefix}{error}") from error
        if unknown:
            names = ", ".join(check.shown(name) for name in unknown[:10])
            more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
            writer = check.shown(values.get("tempo_version") or "unknown")
            warnings.warn(
                f"{prefix}ignored unknown fields {names}{more}. The file was written by tempo-lalm "
                f"{writer}, this is {library_version()}; a newer version may know them",
                UserWarning,
                stacklevel=2,
            )
        return config

    @classmethod
    def from_json(cls: type[Self], text: str | bytes, *, where: str = "the JSON text") -> Self:
        """Build a configuration from the text of its file.

        Raises:
            ConfigError: The text is not one strict JSON object, or a field is wrong.
        """
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        return cls.from_dict(parse_json_object(data, where), where=where)

    @classmethod
    def from_pretrained(
        cls: type[Self],
        path_or_repo: str | os.PathLike[str],
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        subfolder: str | None = None,
    ) -> Self:
        """Load a configuration from a folder, a JSON file or a repository on the Hub.

        Args:
            path_or_repo: The folder or file, or "owner/name".
            revision: The adapter repository's branch, tag or commit; not the base model's.
            token: A Hub token; None for the one saved by logging in.
            cache_dir: The folder of downloads; None for the Hub's own cache.
            local_files_only: Use the cache only.
            subfolder: The adapter's name, unless it is the default one.

        Raises:
            ConfigError: No such file, folder or repository, or a configuration that is wrong.
        """
        path = find_config(
            path_or_repo,
            subfolder,
            revision=revision,
            token=token,
            cache_dir=None if cache_dir is None else str(cache_dir),
            local_files_only=local_files_only,
        )
        config = cls.from_dict(read_json_object(path), where=str(path))
        config.read_files(
            lambda name: find_beside(
                path,
                path_or_repo,
                name,
                subfolder,
                revision=revision,
                token=token,
                cache_dir=None if cache_dir is None else str(cache_dir),
                local_files_only=local_files_only,
            )
        )
        return config


def _split(cls: type[Any], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of `cls` in `values`, and the other names."""
    known = {field.name for field in dataclasses.fields(cls)}
    kept = {name: value for name, value in values.items() if name in known}
    return kept, [name for name in values if name not in known]


def _nested(name: str, cls: type[Any], values: Mapping[str, Any]) -> tuple[Any, list[str]]:
    kept, unknown = _split(cls, values)
    missing = [field.name for field in dataclasses.fields(cls) if field.name not in kept]
    if missing:
        raise check.wrong(name, values, f"the fields {', '.join(missing)} too")
    return cls(**kept), [f"{name}.{key}" for key in unknown]


def _integer_keys(name: str, values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return `values` with keys such as "9" as integers; other keys are left for `validate`."""
    converted: dict[Any, Any] = {}
    for key, value in values.items():
        number = int(key) if re.fullmatch(r"-?[0-9]{1,7}", str(key)) else key
        if number in converted:
            raise check.wrong(name, key, "every key once")
        converted[number] = value
    return converted

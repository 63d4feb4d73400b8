"""Which configurations a server has: read from the environment that it is started with.

vLLM gives a plugin no options of its own, so the environment is the only way in; all processes of
a server inherit it. The first process loads every configuration, once, and hands the loaded ones
down, so that no process can have another version of a repository than its neighbours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from tempo_attn.config import AttnScaleConfig
from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import AdapterError, ConfigError, OptionError
from tempo_attn.hub.adapter_folder import ADAPTER_NAME, DEFAULT_ADAPTER, check_adapter_name

SOURCES = "TEMPO_ATTN_SCALE"
"""Folders or Hub repositories with commas between, each alone or as `name=folder`."""
DEFAULT = "TEMPO_ATTN_SCALE_DEFAULT"
"""The configuration of a request that names none; `none` for no edit."""
ON_MISSING = "TEMPO_ATTN_SCALE_ON_MISSING"
"""A prompt without audio or without a row to edit: `raise` (the default), or `skip` and count."""
LEDGER = "TEMPO_ATTN_SCALE_LEDGER"
"""The file in which workers write what they edited; made by the first process."""
_LOADED = "TEMPO_ATTN_SCALE_LOADED"

NO_EDIT = "none"
"""The name by which a request asks for no edit."""


@dataclass(frozen=True)
class Settings:
    """What a server was started with.

    Attributes:
        configurations: Configurations by name, in the order in which they were given.
        default: What a request without a choice gets: a name, `NO_EDIT`, or None where it has to
            choose.
        skip_missing: Whether a prompt that the edit does not fit is let through, unedited.
    """

    configurations: Mapping[str, AttnScaleConfig]
    default: str | None
    skip_missing: bool = False

    def choose(self, wanted: object) -> str | None:
        """Return the name of a request's configuration; None for no edit.

        Args:
            wanted: What the request asks for; None where it says nothing.

        Raises:
            OptionError: No such configuration, or no choice where there has to be one.
        """
        names = [*self.configurations, NO_EDIT]
        if wanted is None:
            if self.default is None:
                raise OptionError(
                    f"this server has several configurations and no default one: expected one of "
                    f"{', '.join(names)}. Send it as vllm_xargs={{'tempo_attn_scale': NAME}}"
                )
            wanted = self.default
        if wanted == NO_EDIT:
            return None
        if not isinstance(wanted, str) or wanted not in self.configurations:
            near = did_you_mean(wanted, names, 1)
            raise OptionError(
                f"tempo_attn_scale is {str(wanted)[:80]!r}; expected one of {', '.join(names)}."
                f"{near}"
            )
        return wanted

    def to_json(self) -> str:
        """Return the settings as text for the environment of other processes."""
        return json.dumps(
            {
                "configurations": {n: c.to_dict() for n, c in self.configurations.items()},
                "default": self.default,
                "skip_missing": self.skip_missing,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Return what `to_json` wrote."""
        values = json.loads(text)
        loaded = {n: AttnScaleConfig.from_dict(c) for n, c in values["configurations"].items()}
        return cls(loaded, values["default"], values["skip_missing"])


def is_asked_for(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this server is to edit anything."""
    return bool(environment.get(SOURCES, "").strip())


def read_settings(environment: MutableMapping[str, str] = os.environ) -> Settings:
    """Return the server's settings, loading the configurations in its first process.

    Args:
        environment: The process's environment; the loaded configurations are added to it.

    Raises:
        ConfigError: A configuration is missing or wrong.
        OptionError: A variable is wrong.
    """
    if _LOADED in environment:
        return Settings.from_json(environment[_LOADED])
    configurations: dict[str, AttnScaleConfig] = {}
    for name, source in named_sources(environment[SOURCES]).items():
        config = AttnScaleConfig.from_pretrained(source)
        refuse_unserved(name, config)
        configurations[name] = config
    default = _default(environment.get(DEFAULT), configurations)
    missing = environment.get(ON_MISSING, "raise")
    if missing not in ("raise", "skip"):
        raise OptionError(f"{ON_MISSING} is {missing[:80]!r}; expected 'raise' or 'skip'")
    settings = Settings(configurations, default, missing == "skip")
    environment[_LOADED] = settings.to_json()
    return settings


def named_sources(text: str) -> dict[str, str]:
    """Return folders or repositories by name: `name=folder,other=owner/name`, or one alone.

    Raises:
        OptionError: A name is missing, given twice or cannot be used.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    sources: dict[str, str] = {}
    for entry in entries:
        name, equals, source = entry.partition("=")
        if not equals or not ADAPTER_NAME.fullmatch(name):
            if len(entries) > 1:
                raise OptionError(
                    f"{SOURCES} has {len(entries)} entries, and {entry[:80]!r} has no name; "
                    "expected name=folder or name=owner/repository for each"
                )
            name, source = DEFAULT_ADAPTER, entry
        try:
            check_adapter_name(name)
        except AdapterError as error:
            raise OptionError(f"{SOURCES}: {error}") from error
        if name == NO_EDIT:
            raise OptionError(f"{SOURCES}: {NO_EDIT!r} means no edit; choose another name")
        if name in sources:
            raise OptionError(f"{SOURCES} names {name!r} twice; choose another name for one")
        if not source.strip():
            raise OptionError(f"{SOURCES}: {name!r} has no folder; expected {name}=FOLDER")
        sources[name] = source.strip()
    if not sources:
        raise OptionError(f"{SOURCES} is empty; expected a folder or a Hub repository")
    return sources


def _default(wanted: str | None, configurations: Mapping[str, AttnScaleConfig]) -> str | None:
    if wanted:
        names = [*configurations, NO_EDIT]
        if wanted not in names:
            near = did_you_mean(wanted, names, 1)
            raise OptionError(
                f"{DEFAULT} is {wanted[:80]!r}; expected one of {', '.join(names)}.{near}"
            )
        return wanted
    if len(configurations) == 1:
        return next(iter(configurations))
    return DEFAULT_ADAPTER if DEFAULT_ADAPTER in configurations else None


def refuse_unserved(name: str, config: AttnScaleConfig) -> None:
    """Refuse what a server cannot do yet.

    Raises:
        ConfigError: The configuration edits states, is adaptive, or has other keys than audio.
    """
    if config.spec.edits_states:
        raise ConfigError(
            f"configuration {name!r} has mode {config.mode!r}, which changes hidden states between "
            "layers; a server edits attention logits only. Use apply_attn_scale in process"
        )
    if config.adaptive is not None:
        raise ConfigError(
            f"configuration {name!r} is adaptive: it needs a plain run of every prompt first, "
            "which a server does not make. Serve its two strengths as two configurations"
        )
    if config.keys != ["audio"]:
        raise ConfigError(
            f"configuration {name!r} has keys {config.keys}; a server knows the positions of "
            "audio only: expected keys 'audio'"
        )

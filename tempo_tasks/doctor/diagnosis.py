"""What the doctor finds: outcomes of checks, facts of the model, and all of it as JSON.

Everything but `speed` and `memory` is the same whenever the same model is examined on the same
machine: no dates, no paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tempo_attn.files.json_types import misfit
from tempo_attn.hub.model_names import loaded_name
from tempo_tasks.tiny import EMBEDDED

SCHEMA_VERSION = 1
"""Raised with every change to the JSON that a reader could trip over."""
FORMAT = "tempo_doctor"
"""The key of the schema version, by which a file is known as the doctor's."""

NOT_LOADED = "not_loaded"
"""The status in the JSON of a model that could not be loaded."""

Status = Literal["passed", "failed", "skipped"]
Number = float | int | str | bool | None


def not_loaded(model: str | None, error: Exception) -> dict[str, Any]:
    """Return the JSON data of a model that could not be loaded.

    Args:
        model: Hub id or folder, as the user named it; None for the embedded model.
        error: Why it could not.
    """
    name = EMBEDDED if model is None else loaded_name(model)
    message = str(error)
    if model is not None and Path(model).is_absolute():
        message = message.replace(model, name)  # no paths of the machine
    return {
        FORMAT: SCHEMA_VERSION,
        "status": NOT_LOADED,
        "model": {"name": name},
        "error": {"type": type(error).__name__, "message": message},
    }


@dataclass(frozen=True)
class Outcome:
    """What one check found.

    Attributes:
        status: "passed", "failed", or "skipped" where nothing could be said.
        reason: What was found, in a sentence.
        numbers: What the sentence says; in the finding, NaN and infinity are None.
        to_do: What to do about it; empty for what the check says in general.
    """

    status: Status
    reason: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    to_do: str = ""


def passed(reason: str, **numbers: Number) -> Outcome:
    """Return the outcome of a check that went well."""
    return Outcome("passed", reason, numbers)


def failed(reason: str, **numbers: Number) -> Outcome:
    """Return the outcome of a check that went wrong."""
    return Outcome("failed", reason, numbers)


def skipped(reason: str, **numbers: Number) -> Outcome:
    """Return the outcome of a check that can say nothing about this model."""
    return Outcome("skipped", reason, numbers)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A check's outcome with its name.

    Attributes:
        name: The check's name in the JSON.
        title: What is checked, in a few words.
        status: "passed", "failed" or "skipped".
        reason: What was found.
        to_do: What to do; empty where it passed.
        numbers: What was measured.
    """

    name: str
    title: str
    status: Status
    reason: str
    to_do: str
    numbers: Mapping[str, Number]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the loaded model is.

    Attributes:
        name: Hub id, folder's own name, or "embedded".
        family: Tempo's name of its family.
        model_type: The `model_type` of its configuration.
        model_class: Its class.
        processor_class: Its processor's class.
        n_layers: Layers of the decoder.
        n_layers_with_attention: Those of them whose attention can be edited.
        n_heads: Query heads of a layer; None where the configuration does not say.
        n_kv_heads: Key/value heads of a layer; None likewise.
        dtype: Floating-point type of the decoder.
        device: Where it runs.
        attention_kernel: What computes its attention: sdpa, eager, flash_attention_2 ...
        key_spans: The sets of positions that an edit can take as keys.
        sampling_rate: What it hears, in Hz.
        window_seconds: The longest audio that it hears.
        audio_positions: Positions of a prompt that a clip fills, by its seconds; None where the
            clip is longer than the window.
        n_parameters: Numbers in its weights.
        parameter_bytes: What they take in memory.
        versions: Of tempo, transformers and torch.
    """

    name: str
    family: str
    model_type: str
    model_class: str
    processor_class: str
    n_layers: int
    n_layers_with_attention: int
    n_heads: int | None
    n_kv_heads: int | None
    dtype: str
    device: str
    attention_kernel: str
    key_spans: Sequence[str]
    sampling_rate: int
    window_seconds: float
    audio_positions: Mapping[str, int | None]
    n_parameters: int
    parameter_bytes: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Segment:
    """A stretch of a prompt.

    Attributes:
        text: Its text; empty for audio.
        role: "text", "audio", "keyword", "option" or "last" (the final token, that is read).
        n_positions: Positions that it takes.
    """

    text: str
    role: str
    n_positions: int


def status_of(findings: Sequence[Finding]) -> Literal["passed", "failed"]:
    """Return whether no check failed."""
    return "failed" if any(finding.status == "failed" for finding in findings) else "passed"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that the doctor found.

    Attributes:
        facts: What the model is.
        clip: What it listened to: the file's name or "a rendered scene", and seconds.
        attn_scale: The name of the configuration of `--attn-scale`; None without it.
        findings: Each check's outcome, in order.
        prompt: A real prompt in stretches; empty where it could not be read.
        speed: Measured times and estimates.
        memory: Peak of this process or device, in bytes.
    """

    facts: Facts
    clip: Mapping[str, Number]
    attn_scale: str | None
    findings: Sequence[Finding]
    prompt: Sequence[Segment]
    speed: Mapping[str, Number]
    memory: Mapping[str, Number]

    @property
    def status(self) -> Literal["passed", "failed"]:
        """Whether no check failed."""
        return status_of(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as JSON data, keys in a fixed order."""
        return {
            FORMAT: SCHEMA_VERSION,
            "status": self.status,
            "model": asdict(self.facts),
            "clip": dict(self.clip),
            "attn_scale": self.attn_scale,
            "checks": [asdict(finding) for finding in self.findings],
            "prompt": [asdict(segment) for segment in self.prompt],
            "speed": dict(self.speed),
            "memory": dict(self.memory),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Diagnosis:
        """Read what `to_dict` wrote.

        Raises:
            ValueError: It is no diagnosis, or one of another version; the message says which.
        """
        version = data.get(FORMAT)
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"a diagnosis of version {version!r}; this version of tempo reads version "
                f"{SCHEMA_VERSION}: run `tempo doctor` again"
            )
        if data.get("status") == NOT_LOADED:
            raise ValueError("no diagnosis: the model could not be loaded, and the file says why")
        for name, hint in _TYPES.items():
            if name not in data:
                raise ValueError(f"no diagnosis: it has no {name!r}")
            if wrong := misfit(data[name], hint, name):
                raise ValueError(f"no diagnosis: {wrong}")
        read = cls(
            facts=Facts(**data["model"]),
            clip=data["clip"],
            attn_scale=data["attn_scale"],
            findings=[Finding(**found) for found in data["checks"]],
            prompt=[Segment(**segment) for segment in data["prompt"]],
            speed=data["speed"],
            memory=data["memory"],
        )
        if data.get("status") != read.status:
            raise ValueError(f"no diagnosis: its status is not that of its checks, {read.status!r}")
        return read


_TYPES: Mapping[str, Any] = {
    "model": Facts,
    "clip": Mapping[str, Number],
    "attn_scale": str | None,
    "checks": Sequence[Finding],
    "prompt": Sequence[Segment],
    "speed": Mapping[str, Number],
    "memory": Mapping[str, Number],
}
"""What the parts of the JSON are."""

"""What `bundle.json` holds, and what the files of a bundle are called. Format 1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = "tempo-lalm-submission"
SCHEMA_VERSION = 1

ABOUT = "bundle.json"
RESULTS = "results.json"
STATISTICS = "statistics.json"
AUDIT = "audit.json"
ROW = "leaderboard.json"
SAMPLES = "samples"
EVAL_RESULTS = ".eval_results"
EVERY_EVAL_EVER = "every_eval_ever"
MANIFEST = "SHA256SUMS"
DERIVED = (RESULTS, STATISTICS, ROW)
"""Files that follow from `bundle.json` and the samples, and are in every bundle."""

TASK_NAME = re.compile(r"tempo(_[a-z0-9]+){2,9}")


@dataclass(frozen=True, kw_only=True)
class Model:
    """The model that answered.

    Attributes:
        name: Its name, as on the Hub, or of its folder.
        family: The family that tempo knows it by; None where the run does not say.
        weights: Fingerprint of the weights that were loaded.
        revision: Revision that was asked for.
        sha: Commit of the Hub.
        dtype: Type of its numbers.
        parameters: Number of its parameters.
    """

    name: str
    family: str | None = None
    weights: str | None = None
    revision: str | None = None
    sha: str | None = None
    dtype: str | None = None
    parameters: int | None = None


@dataclass(frozen=True, kw_only=True)
class Attention:
    """The edit of attention under which the model answered.

    Attributes:
        fingerprint: SHA-256 of what decides the edit.
        config: The configuration, as `AttnScaleConfig.to_dict` writes it.
    """

    fingerprint: str
    config: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Links:
    """What the submitter says; nothing of it can be checked.

    Attributes:
        organization: Who submits.
        model_url: Page of the model.
        results_url: Page of the results.
        licence: Licence of the submission.
        contact: Where to ask.
        notes: Anything else, in a sentence or two.
    """

    organization: str | None = None
    model_url: str | None = None
    results_url: str | None = None
    licence: str | None = None
    contact: str | None = None
    notes: str | None = None


@dataclass(frozen=True, kw_only=True)
class Versions:
    """With what the run was made, as its results say, and with what the bundle was.

    Attributes:
        tempo: Release of tempo-lalm that asked the questions.
        lm_eval: Release of the harness.
        transformers: Release of transformers.
        environment: Lines of the harness's `pretty_env_info` on Python, PyTorch, system and GPU.
        bundled_by: Release of tempo-lalm that wrote the bundle.
        code: SHA-256 of that release's code of questions, prompts, scoring and statistics.
    """

    bundled_by: str
    code: str
    tempo: str | None = None
    lm_eval: str | None = None
    transformers: str | None = None
    environment: Sequence[str] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one task asked.

    Attributes:
        n: Number of samples.
        data_name: Name of the data, with version or revision.
        data_fingerprint: SHA-256 of the questions, captions and audio.
        prompt_version: Version of the prompt.
        settings: What the task was told by `--metadata`, except where data lie on the machine.
        generation: Arguments of the generation; empty for likelihoods.
    """

    n: int
    data_name: str
    data_fingerprint: str
    prompt_version: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class About:
    """`bundle.json`.

    Attributes:
        schema: `SCHEMA`.
        schema_version: `SCHEMA_VERSION`.
        label: What tables call the entry.
        date: When the run was made, ISO 8601 in UTC, whole seconds.
        model: The model.
        attention: The edit; None for the model as it is.
        links: What the submitter says.
        versions: With what it was made.
        tasks: The tasks by name.
        run: What else the results say that answers depend on: seeds, model arguments, chat
            template, or which file of predictions was scored.
        hub_dataset: Id of the data set on the Hub that `.eval_results` name; None without.
        notes: What a reader must know of how the run was read.
    """

    schema: str
    schema_version: int
    label: str
    date: str
    model: Model
    attention: Attention | None
    links: Links
    versions: Versions
    tasks: Mapping[str, Task]
    run: Mapping[str, Any]
    hub_dataset: str | None = None
    notes: Sequence[str] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> About:
        """Return what JSON data say whose types were checked (`tempo_attn.files.json_types`)."""
        attention = data["attention"]
        return cls(
            **{
                **data,
                "model": Model(**data["model"]),
                "attention": None if attention is None else Attention(**attention),
                "links": Links(**data["links"]),
                "versions": Versions(**data["versions"]),
                "tasks": {name: Task(**task) for name, task in sorted(data["tasks"].items())},
            }
        )


def samples_file(task: str) -> str:
    """Return the name of a task's samples within the bundle."""
    return f"{SAMPLES}/{task}.jsonl"

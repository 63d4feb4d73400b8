"""The task class of other people's benchmarks (`tempo_trea_order_aqa` ...).

`dataset_kwargs` in the YAML say what to load: `benchmark` (a set that `sources.benchmarks.sets`
describes, or the keys of a description), `part`, `condition`, and `seconds` for tasks that ask for
a time. `--metadata` may name a copy (`data_<set>`), a revision on the Hub (`data_<set>_revision`),
and that rows which are no item are left out (`skip_faulty`). What was really asked is written into
the task's metadata, and so into the results: prompt and parser by version, and how many rows were
left out and why.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import datasets

import tempo_tasks
from tempo_attn.errors import OptionError
from tempo_tasks.harness.benchmark_documents import CONDITIONS, benchmark_documents
from tempo_tasks.harness.task import TempoTask
from tempo_tasks.prompts import CHOICE_PROMPT_VERSION
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.scoring import PARSER_VERSION, SECONDS_PARSER_VERSION
from tempo_tasks.sources.benchmarks.description import describe
from tempo_tasks.sources.benchmarks.load import BenchmarkPart, load_benchmark


class BenchmarkTask(TempoTask):
    """A task about another benchmark's items; configured by its YAML like any other."""

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Load the items and lay them out as documents."""
        settings = dataset_kwargs or {}
        metadata = self.config.metadata or {}
        condition = Condition(settings["condition"])
        if condition not in CONDITIONS:
            raise OptionError(
                f"condition is {condition.value!r}; expected one of "
                f"{[known.value for known in CONDITIONS]}: other benchmarks have no captions"
            )
        part = benchmark_part(
            settings["benchmark"], settings["part"], metadata, seconds=bool(settings.get("seconds"))
        )
        documents = benchmark_documents(part, condition)
        self.dataset = datasets.DatasetDict({"test": documents})
        self._paths = {handle["sha256"]: handle["path"] for handle in part.audio.values()}
        self.config.metadata = {
            **metadata,
            "tempo_version": tempo_tasks.__version__,
            "data_name": part.name,
            "data_fingerprint": part.fingerprint,
            "prompt_version": CHOICE_PROMPT_VERSION,
            "parser_version": SECONDS_PARSER_VERSION if part.seconds else PARSER_VERSION,
            "benchmark": {
                "name": part.description.name,
                "part": part.part.name,
                "runs": part.description.runs,
                **part.about(),
            },
        }


def benchmark_part(
    benchmark: str | Mapping[str, Any],
    part: str,
    metadata: Mapping[str, Any],
    *,
    seconds: bool = False,
) -> BenchmarkPart:
    """Load a part of a benchmark with its audio.

    Args:
        benchmark: Name of a set, or the keys of a description.
        part: Name of the part.
        metadata: The task's, with what `--metadata` added.
        seconds: Whether a time is asked for.

    Raises:
        OptionError: A value in `metadata` is of another kind.
    """
    description = describe(benchmark)
    data, revision = (
        _text(metadata, f"data_{description.name}{tail}") for tail in ("", "_revision")
    )
    skip = metadata.get("skip_faulty", False)
    if not isinstance(skip, bool):
        raise OptionError(f"skip_faulty is {skip!r}; expected true or false")
    # Resolved here, so that a changed variable is not answered with the old copy's items.
    keys = benchmark if isinstance(benchmark, str) else json.dumps(benchmark, sort_keys=True)
    named = data or os.environ.get(description.variable)
    return _load(keys, part, named, revision, skip, seconds)


def _text(metadata: Mapping[str, Any], key: str) -> str | None:
    value = metadata.get(key)
    if value is not None and not isinstance(value, str):
        raise OptionError(f"{key} is {value!r}; expected a path, an id or a revision")
    return value or None


# Both conditions of a part, by generation and by likelihood, ask the same items.
@lru_cache(maxsize=4)
def _load(
    benchmark: str,
    part: str,
    data: str | None,
    revision: str | None,
    skip_faulty: bool,
    seconds: bool,
) -> BenchmarkPart:
    described = describe(json.loads(benchmark) if benchmark.startswith("{") else benchmark)
    return load_benchmark(
        described, part, data=data, revision=revision, skip_faulty=skip_faulty, seconds=seconds
    )

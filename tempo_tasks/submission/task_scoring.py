"""The metrics of a task, by the functions that its task file names; no harness is needed for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tempo_tasks import scoring
from tempo_tasks.errors import BundleError
from tempo_tasks.paths import task_yamls_dir

Values = Mapping[str, Any]
"""One document's value of each metric."""


@dataclass(frozen=True)
class TaskScoring:
    """How a task is scored.

    Attributes:
        source: What is asked about: "released", "hard", "synth" or "synth_hard".
        rotations: Whether each question is asked in all rotations of its options.
        prompt: Number of the phrasing.
        generates: Whether the answer is generated; else there is a likelihood for each option.
        of_document: From a document and its answer to the document's values.
        aggregations: From the values of all documents to each metric.
    """

    source: str
    rotations: bool
    prompt: int
    generates: bool
    of_document: Callable[[Mapping[str, Any], Sequence[Any]], dict[str, Any]]
    aggregations: Mapping[str, Callable[[Sequence[Any]], Any]]

    def metrics(self, values: Sequence[Values]) -> dict[str, Any]:
        """Return each metric of a task.

        Args:
            values: What `of_document` returns of every document.
        """
        return {
            name: aggregate([of_one[name] for of_one in values])
            for name, aggregate in self.aggregations.items()
        }


@cache
def task_scoring(task: str) -> TaskScoring:
    """Return how a task is scored.

    Args:
        task: The task's name, such as "tempo_synth_eo_aqa".

    Raises:
        BundleError: There is no such task in this release.
    """
    path = _files().get(task)
    if path is None:
        raise BundleError(f"there is no task {task[:80]!r} in this release of tempo-lalm")
    config = _read(path)
    asked = config["dataset_kwargs"]
    return TaskScoring(
        source=asked["source"],
        rotations=bool(asked.get("rotations")),
        prompt=asked.get("prompt", 1),
        generates=config["output_type"] == "generate_until",
        of_document=_function(config["process_results"]),
        aggregations={
            metric["metric"]: _function(metric["aggregation"]) for metric in config["metric_list"]
        },
    )


@cache
def _files() -> dict[str, Path]:
    return {
        path.stem: path
        for path in task_yamls_dir().rglob("*.yaml")
        if not path.name.startswith("_")
    }


class _Loader(yaml.SafeLoader):
    """YAML of our own files, with `!function` as the name that follows."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))  # type: ignore[arg-type]


def _read(path: Path) -> dict[str, Any]:
    """Return a task file with those that it includes."""
    # The loader is a SafeLoader, and the files are ours.
    found: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    included = found.pop("include", None)
    return {**_read(path.parent / included), **found} if included else found


def _function(name: str) -> Any:
    if name == "mean":
        return _mean
    function = getattr(scoring, name.rpartition(".")[2], None)
    assert callable(function), f"the task files name {name}, which tempo_tasks.scoring has not"
    return function


def _mean(values: Sequence[float]) -> float:
    """Return the mean, as lm-eval aggregates where a task file says "mean"."""
    return math.fsum(values) / len(values)

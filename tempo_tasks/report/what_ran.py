"""What was run, as the results say: model, edit, versions, and the data of each task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import tempo_tasks
from tempo_tasks.report.data_of_runs import results_of
from tempo_tasks.stats.run_files import entry_at
from tempo_tasks.stats.runs import Run

_FACTS = (
    ("model", ("config", "tempo", "pretrained")),
    ("model class", ("config", "model")),
    ("family", ("config", "tempo", "family")),
    ("weights", ("config", "tempo", "weights")),
    ("dtype", ("config", "model_dtype")),
    ("revision", ("config", "model_revision")),
    ("attention edit", ("config", "tempo", "attn_scale")),
    ("generation arguments", ("config", "gen_kwargs")),
    ("limit", ("config", "limit")),
    ("tempo", ("config", "tempo", "version")),
    ("lm_eval", ("lm_eval_version",)),
    ("transformers", ("transformers_version",)),
    ("checks of the audio", ("config", "tempo", "checks")),
)


def what_ran(run: Run) -> dict[str, Any]:
    """Return the facts of a run, and one row for each of its tasks."""
    results = [results_of(run, task) for task in run.tasks]
    facts = []
    for name, keys in _FACTS:
        values = dict.fromkeys(
            _text(value) for result in results if (value := entry_at(result, *keys)) is not None
        )
        if values and [*values] != [""]:
            facts.append((name, " / ".join(values)))
    tasks = [
        {
            "task": task.task,
            "n": len(task.samples),
            "data": _text(entry_at(found, "configs", task.task, "metadata", "data_name")),
            "fingerprint": (task.data or "")[:16],
            "prompt": _text(entry_at(found, "configs", task.task, "metadata", "prompt_version")),
        }
        for task, found in zip(run.tasks, results, strict=True)
    ]
    return {"run": run.label, "facts": facts, "tasks": tasks}


def version_notes(runs: Sequence[Run]) -> list[str]:
    """Say which runs are of another version of tempo, or do not say of which they are."""
    notes = []
    for run in runs:
        versions = {
            entry_at(result, "config", "tempo", "version")
            or entry_at(result, "configs", task.task, "metadata", "tempo_version")
            for task in run.tasks
            for result in [results_of(run, task)]
        }
        other = sorted(str(found) for found in versions if found not in (None, _VERSION))
        if other:
            notes.append(
                f"{run.label}: made by tempo {', '.join(other)}, read by {_VERSION}: answers are "
                "scored by the rules of the version that reads"
            )
        if None in versions:
            notes.append(f"{run.label}: its results do not say which version of tempo made it")
    return notes


_VERSION = tempo_tasks.__version__


def _text(value: Any) -> str:
    if value is None or value in ({}, []):
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

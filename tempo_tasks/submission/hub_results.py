"""Results as the Hub shows them on a model's page: `.eval_results/*.yaml`, one file a variant.

https://huggingface.co/docs/hub/eval-results. They name a data set of the Hub, so rendered scenes,
which are none, give no file unless `--hub-dataset` names one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from tempo_tasks.submission.schema import About


def file_name(about: About) -> str:
    """Return the file's name; one for each edit, so that several stand beside each other."""
    variant = f"attention-{about.attention.fingerprint[:12]}" if about.attention else "plain"
    return f"tempo-lalm-{variant}.yaml"


def eval_results(about: About, accuracy: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the YAML; None where no task's data are on the Hub.

    Args:
        about: The bundle.
        accuracy: The row of accuracy of each task.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = []
    for task, asked in about.tasks.items():
        repo, at, revision = asked.data_name.partition("@")
        # Named by the submitter, or what was read from the Hub; other data have no results there.
        if about.hub_dataset is None or (at and repo != about.hub_dataset):
            continue
        row = accuracy[task]
        entries.append(
            EvalResultEntry(
                dataset_id=about.hub_dataset,
                task_id=task,
                value=round(100 * row["accuracy"], 2),
                dataset_revision=revision or None,
                date=about.date,
                source_url=about.links.results_url,
                source_name="tempo-lalm" if about.links.results_url else None,
                notes=_notes(about, row),
            )
        )
    if not entries:
        return None
    # A dumper of plain data: text of strangers stays text, whatever it looks like.
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=True, allow_unicode=True)


def _notes(about: About, row: Mapping[str, Any]) -> str:
    parts = [f"accuracy %, n={row['n']}"]
    if row["low"] is not None:
        parts.append(f"95 % interval {100 * row['low']:.1f} to {100 * row['high']:.1f}")
    if about.attention:
        parts.append(f"attention edit {about.attention.fingerprint[:12]}")
    return ", ".join(parts)

"""What our tasks ask, by name: from their files alone, before any data are loaded."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lm_eval.tasks import TaskManager

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import Kind


@dataclass(frozen=True)
class Asked:
    """What a task asks, as its file says: nothing is loaded for it.

    Attributes:
        kind: Earliest onset, latest offset or longest duration.
        conditions: How its items are asked; mirror tasks ask about a clip and about its twin.
    """

    kind: Kind
    conditions: frozenset[Condition]


def asked_tasks(
    names: Sequence[str], metadata: Mapping[str, Any] | None = None
) -> dict[str, Asked]:
    """Return what tasks ask, by name; a group gives all its tasks.

    Args:
        names: Tasks or groups of ours.
        metadata: What they are loaded with later, if they are: then files are read only once.

    Raises:
        OptionError: An unknown name.
    """
    index = our_tasks(metadata or {}).task_index
    check_names(names, index)
    found: dict[str, Asked] = {}
    left = list(names)
    while left:
        name = left.pop(0)
        entry = index[name].cfg or {}
        if "dataset_kwargs" in entry:
            kwargs = entry["dataset_kwargs"]
            if "benchmark" in kwargs:
                raise OptionError(
                    f"{name} asks another benchmark's items; expected tasks about earliest onset, "
                    "latest offset or longest duration, such as tempo_synth_eo_aqa"
                )
            condition = Condition(kwargs["condition"])
            both = {condition, Condition.AQA} if condition is Condition.MIRROR else {condition}
            found[name] = Asked(Kind(kwargs["kind"]), frozenset(both))
        else:  # a group; what it holds is a name or an object with one
            members = entry.get("task", [])
            left += [m if isinstance(m, str) else m.get("task", m.get("group")) for m in members]
    return found


def our_tasks(metadata: Mapping[str, Any]) -> TaskManager:
    """Return lm-eval's manager of our tasks alone; its own 14,000 files take seconds to index.

    Args:
        metadata: As lm-eval's `--metadata`.
    """
    return _our_tasks(json.dumps(dict(metadata), sort_keys=True))


@lru_cache(maxsize=4)  # reading our 600 files takes most of a second
def _our_tasks(metadata: str) -> TaskManager:
    return TaskManager(
        include_defaults=False, include_path=task_yamls_dir(), metadata=json.loads(metadata)
    )


def task_index() -> Mapping[str, Any]:
    """Return our tasks and groups by name, as their files have them."""
    index: Mapping[str, Any] = our_tasks({}).task_index
    return index


def check_names(names: Sequence[str], known: Collection[str]) -> None:
    """Check that tasks exist.

    Raises:
        OptionError: One does not, or none is named; the message has the nearest ones.
    """
    if not names:
        raise OptionError("no task is named; expected such as tempo_synth_eo_aqa")
    unknown = [name for name in names if name not in known]
    if unknown:
        near = did_you_mean(unknown[0], sorted(known))
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise OptionError(
            f"unknown task {unknown[0]!r}{more}.{near} `lm_eval ls tasks` lists all of them"
        )

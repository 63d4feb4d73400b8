"""What a leaderboard keeps of an accepted bundle: its scores, and the credit of each item."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tempo_tasks.prompts import CAPTION_WORDING
from tempo_tasks.stats.accuracy import MACRO
from tempo_tasks.stats.names import KINDS
from tempo_tasks.stats.runs import TaskRun
from tempo_tasks.submission.schema import About, Task
from tempo_tasks.submission.validate import Verdict

Column = tuple[str, str]
"""Condition and kind of question, or `MACRO` for the average over kinds."""
_USUAL = {"caption_place": "before", "caption_wording": CAPTION_WORDING}


@dataclass(frozen=True, order=True)
class Board:
    """What entries must have in common to be compared.

    Attributes:
        source: What was asked, as "tempo" or "tempo_synth".
        variant: How it was asked, as "rot"; empty for the default.
        scoring: How answers were found.
        settings: Further settings of the tasks, as JSON, such as fewer scenes.
    """

    source: str
    variant: str
    scoring: str
    settings: str

    @property
    def title(self) -> str:
        """What the page calls it."""
        parts = [self.source, self.variant, self.scoring]
        told = json.loads(self.settings)
        parts += [f"{name} {value}" for name, value in told.items()]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An accepted bundle.

    Attributes:
        id: Name of its page: the start of the SHA-256 of what it says.
        about: Its `bundle.json`.
        scores: Rows of accuracy by board and column.
        credits: Credit of each item by board and column, float32; items by name.
    """

    id: str
    about: About
    scores: Mapping[tuple[Board, Column], Mapping[str, Any]]
    credits: Mapping[tuple[Board, Column], npt.NDArray[np.float32]]


@dataclass
class Items:
    """The items behind the columns, the same for all entries.

    Attributes:
        clusters: Cluster of each item, by board and column.
        names: Name of the data, by board.
        audits: The audit of the data, by board; where a bundle has one.
    """

    clusters: dict[tuple[Board, Column], list[str]] = field(default_factory=dict)
    names: dict[Board, str] = field(default_factory=dict)
    audits: dict[Board, Mapping[str, Any]] = field(default_factory=dict)


def board_of(task: TaskRun, asked: Task) -> Board:
    """Return the board that a task of a bundle is on."""
    told = {
        name: value
        for name, value in asked.settings.items()
        if name != "data_revision" and value != _USUAL.get(name)
    }
    name = task.name
    settings = json.dumps(told, sort_keys=True)
    return Board(name.source, name.variant, name.scoring, settings)


def to_entry(verdict: Verdict, items: Items) -> Entry:
    """Return an accepted bundle's entry; what is not known of its items yet is added.

    Args:
        verdict: What `validate` said of it.
        items: The items behind the columns.
    """
    about, run = verdict.about, verdict.run
    assert about is not None
    assert run is not None
    assert verdict.row is not None
    tasks: dict[tuple[Board, Column], TaskRun] = {}
    for task in run.tasks:
        board = board_of(task, about.tasks[task.task])
        tasks[board, (task.name.condition, task.name.kind)] = task
        items.names.setdefault(board, about.tasks[task.task].data_name)
        if verdict.audit is not None:
            items.audits.setdefault(board, verdict.audit)
    credits: dict[tuple[Board, Column], npt.NDArray[np.float32]] = {}
    scores: dict[tuple[Board, Column], Mapping[str, Any]] = {}
    for key, task in tasks.items():
        ordered = sorted(task.samples, key=lambda sample: sample.key)
        credits[key] = np.array([sample.correct for sample in ordered], dtype=np.float32)
        items.clusters.setdefault(key, [sample.cluster for sample in ordered])
        scores[key] = _score(verdict.row["scores"], task, task.name.kind)
    for board, condition in {(board, condition) for board, (condition, _) in tasks}:
        kinds = [kind for kind in KINDS if (board, (condition, kind)) in tasks]
        if len(kinds) == len(KINDS):
            key = board, (condition, MACRO)
            parts = [(board, (condition, kind)) for kind in kinds]
            credits[key] = np.concatenate([credits[part] for part in parts])
            items.clusters.setdefault(key, [c for part in parts for c in items.clusters[part]])
            scores[key] = _score(verdict.row["scores"], tasks[parts[0]], MACRO)
    return Entry(id=_id(about, credits), about=about, scores=scores, credits=credits)


def _score(rows: Sequence[Mapping[str, Any]], task: TaskRun, kind: str) -> Mapping[str, Any]:
    wanted = ("source", "condition", "variant", "scoring")
    return next(
        row
        for row in rows
        if row["kind"] == kind and all(row[name] == getattr(task.name, name) for name in wanted)
    )


def _id(about: About, credits: Mapping[tuple[Board, Column], npt.NDArray[np.float32]]) -> str:
    digest = hashlib.sha256(json.dumps(about.to_dict(), sort_keys=True).encode())
    for key in sorted(credits):
        digest.update(credits[key].tobytes())
    return digest.hexdigest()[:16]

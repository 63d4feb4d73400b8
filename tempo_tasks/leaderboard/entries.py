"""What a leaderboard keeps of an accepted bundle: its scores, and the credit of each item."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tempo_tasks.leaderboard.accepted import Accepted
from tempo_tasks.prompts import CAPTION_WORDING
from tempo_tasks.stats.accuracy import MACRO
from tempo_tasks.stats.names import KINDS, TaskName, parse_task
from tempo_tasks.submission.asked_documents import AskedData
from tempo_tasks.submission.schema import About, Task

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
        kinds: Kind of each item, by board and column.
        names: Name of the data, by board.
        audits: The audit of the data, by board; where a bundle has one.
    """

    clusters: dict[tuple[Board, Column], list[str]] = field(default_factory=dict)
    kinds: dict[tuple[Board, Column], list[str]] = field(default_factory=dict)
    names: dict[Board, str] = field(default_factory=dict)
    audits: dict[Board, Mapping[str, Any]] = field(default_factory=dict)


def board_of(name: TaskName, asked: Task) -> Board:
    """Return the board that a task of a bundle is on."""
    told = {
        key: value
        for key, value in asked.settings.items()
        if key != "data_revision" and value != _USUAL.get(key)
    }
    settings = json.dumps(told, sort_keys=True)
    return Board(name.source, name.variant, name.scoring, settings)


def to_entry(accepted: Accepted, items: Items, data: AskedData) -> Entry:
    """Return an accepted bundle's entry; what is not known of its items yet is added.

    Args:
        accepted: What is kept of the bundle.
        items: The items behind the columns.
        data: The data that it was asked.
    """
    about = accepted.about
    credits: dict[tuple[Board, Column], npt.NDArray[np.float32]] = {}
    scores: dict[tuple[Board, Column], Mapping[str, Any]] = {}
    names: dict[tuple[Board, Column], TaskName] = {}
    for task, told in about.tasks.items():
        name = parse_task(task)
        assert name is not None  # validation has refused other names
        board = board_of(name, told)
        key = board, (name.condition, name.kind)
        names[key] = name
        credits[key] = np.array(accepted.credits[task], dtype=np.float32)
        scores[key] = _score(accepted.scores, name, name.kind)
        if key not in items.clusters:
            items.clusters[key] = data.clusters(task, told)
            items.kinds[key] = [name.kind] * len(credits[key])
        items.names.setdefault(board, told.data_name)
        if accepted.has_audit and board not in items.audits:
            items.audits[board] = data.audit(about)
    for board, condition in sorted({(board, condition) for board, (condition, _) in credits}):
        parts = [(board, (condition, kind)) for kind in KINDS]
        if all(part in credits for part in parts):
            key = board, (condition, MACRO)
            credits[key] = np.concatenate([credits[part] for part in parts])
            scores[key] = _score(accepted.scores, names[parts[0]], MACRO)
            items.clusters.setdefault(key, [c for part in parts for c in items.clusters[part]])
            items.kinds.setdefault(key, [k for part in parts for k in items.kinds[part]])
    return Entry(id=_id(about, credits), about=about, scores=scores, credits=credits)


def _score(rows: Sequence[Mapping[str, Any]], name: TaskName, kind: str) -> Mapping[str, Any]:
    wanted = ("source", "condition", "variant", "scoring")
    return next(
        row
        for row in rows
        if row["kind"] == kind and all(row[part] == getattr(name, part) for part in wanted)
    )


def _id(about: About, credits: Mapping[tuple[Board, Column], npt.NDArray[np.float32]]) -> str:
    digest = hashlib.sha256(json.dumps(about.to_dict(), sort_keys=True).encode())
    for key in sorted(credits):
        digest.update(credits[key].tobytes())
    return digest.hexdigest()[:16]

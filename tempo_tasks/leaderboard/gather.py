"""From bundles to everything that a leaderboard shows, as plain JSON data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tempo_tasks.leaderboard.accepted import Accepted
from tempo_tasks.leaderboard.check_bundles import Progress, check_bundles
from tempo_tasks.leaderboard.entries import Board, Column, Entry, Items, to_entry
from tempo_tasks.leaderboard.groups import LEVEL, standings
from tempo_tasks.leaderboard.reference_rows import chance_row, published_rows, strategy_rows
from tempo_tasks.stats.accuracy import MACRO
from tempo_tasks.stats.names import CONDITIONS, KINDS
from tempo_tasks.submission.asked_documents import AskedData
from tempo_tasks.submission.schema import ABOUT

FORMAT = 1
_CELL = ("accuracy", "low", "high", "error", "n", "n_clusters", "no_answer")
Data = dict[str, Any]


def found_bundles(paths: Sequence[Path]) -> list[Path]:
    """Return bundles: the paths, and what is in a folder that is none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir() and not (path / ABOUT).exists():
            inner = sorted(p for p in path.iterdir() if p.is_dir() or p.suffix.lower() == ".zip")
            found += inner or [path]
        else:
            found.append(path)
    return found


def gather(
    bundles: Sequence[Path],
    data: AskedData,
    cache: Path | None = None,
    workers: int = 1,
    progress: Progress[Path] = iter,
) -> Data:
    """Validate bundles and return what the site shows.

    Args:
        bundles: Folders or zips.
        data: The data, and where they are; loaded once for all.
        cache: Folder of accepted bundles that are remembered; None to validate all.
        workers: Processes that validate, at most.
        progress: Wraps the bundles, to show how far the work is.

    Returns:
        `boards` with rows, `entries` by id, and `rejected`: each bundle that is on no board, with
        its faults.
    """
    items = Items()
    entries: dict[str, Entry] = {}
    origins: dict[str, str] = {}
    rejected: list[Data] = []
    for bundle, outcome in check_bundles(bundles, data, cache, workers, progress):
        if not isinstance(outcome, Accepted):
            rejected.append({"bundle": bundle.name, "faults": outcome})
            continue
        entry = to_entry(outcome, items, data)
        if entry.id in entries:
            same = f"the same submission as {origins[entry.id]}"
            rejected.append({"bundle": bundle.name, "faults": [same]})
            continue
        entries[entry.id], origins[entry.id] = entry, bundle.name
    boards = sorted({board for entry in entries.values() for board, _ in entry.scores})
    ordered = sorted(entries.values(), key=lambda entry: entry.id)
    return {
        "format": FORMAT,
        "level": LEVEL,
        "boards": [_board(board, ordered, items) for board in boards],
        "entries": {entry.id: _about(entry) for entry in ordered},
        "rejected": rejected,
    }


def _about(entry: Entry) -> Data:
    about = entry.about.to_dict()
    return {"id": entry.id, **{k: v for k, v in about.items() if not k.startswith("schema")}}


def _board(board: Board, entries: Sequence[Entry], items: Items) -> Data:
    here = [entry for entry in entries if any(found == board for found, _ in entry.scores)]
    columns = _columns(column for e in here for found, column in e.scores if found == board)
    cells: dict[str, dict[Column, Data]] = {entry.id: {} for entry in here}
    for column in columns:
        for entry, cell in _column(board, column, here, items):
            cells[entry.id][column] = cell
    rows: list[Data] = [
        {
            "label": entry.about.label,
            "sort": "entry",
            "id": entry.id,
            "family": entry.about.model.family,
            "attention": entry.about.attention.fingerprint if entry.about.attention else None,
            "organization": entry.about.links.organization,
            "cells": cells[entry.id],
        }
        for entry in here
    ]
    rows.sort(key=lambda row: (-_first(row, columns), row["label"], row["id"]))
    reference = [
        chance_row(columns),
        *strategy_rows(board, items, columns),
        *published_rows(board, columns),
    ]
    names = [_name(column) for column in columns]
    for row in [*rows, *reference]:
        row["cells"] = {_name(column): cell for column, cell in row["cells"].items()}
    return {
        "title": board.title,
        "data": items.names[board],
        "source": board.source,
        "variant": board.variant,
        "scoring": board.scoring,
        "settings": board.settings,
        "columns": names,
        "rows": rows,
        "reference": reference,
    }


def _columns(found: Iterable[Column]) -> list[Column]:
    kinds = (MACRO, *KINDS)
    return sorted(set(found), key=lambda c: (CONDITIONS.index(c[0]), kinds.index(c[1])))


def _column(
    board: Board, column: Column, entries: Sequence[Entry], items: Items
) -> list[tuple[Entry, Data]]:
    """Return each entry's cell: its accuracy, and where it stands."""
    key = board, column
    there = [entry for entry in entries if key in entry.scores]
    accuracy = [float(entry.scores[key]["accuracy"]) for entry in there]
    credits = np.stack([entry.credits[key] for entry in there])
    found = []
    for entry, standing in zip(
        there, standings(accuracy, credits, items.clusters[key], items.kinds[key]), strict=True
    ):
        cell: Mapping[str, Any] = {name: entry.scores[key][name] for name in _CELL}
        alike = [there[place].id for place in standing.alike]
        told = {"group": standing.group, "first": standing.first, "last": standing.last}
        found.append((entry, {**cell, **told, "alike": alike}))
    return found


def _name(column: Column) -> str:
    return "_".join(column)


def _first(row: Mapping[str, Any], columns: Sequence[Column]) -> float:
    """Return what rows are sorted by at first: the leftmost column that the row has."""
    cells = row["cells"]
    return next((float(cells[column]["accuracy"]) for column in columns if column in cells), -1.0)

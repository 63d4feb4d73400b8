"""Rows that scores are read against: chance, strategies of the audit, published figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tempo_tasks.leaderboard.entries import Board, Column, Items
from tempo_tasks.stats.accuracy import CHANCE, MACRO
from tempo_tasks.stats.names import GENERATION, KINDS

_SHOWN = 5
"""Strategies of an audit that a board shows: the best ones; the JSON has all of them."""
_HEARD = "aqa"


def chance_row(columns: Sequence[Column]) -> dict[str, Any]:
    """Return the row of a guess."""
    cells = {column: {"accuracy": CHANCE} for column in columns}
    return {"label": "chance", "sort": "baseline", "note": "a guess", "cells": cells}


def strategy_rows(board: Board, items: Items, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return the best strategies that do not do what the questions ask for, best first.

    They hear nothing or know too much, so a score says something of hearing time only as far as it
    is above them. They stand in the columns of questions with audio alone.

    Args:
        board: The board.
        items: Its items, with the audit.
        columns: The board's columns.
    """
    found: dict[str, dict[str, Any]] = {}
    name = items.names[board]
    for part in items.audits.get(board, {}).get("parts", ()):
        column = (_HEARD, str(part["kind"]))
        if column not in columns or not _is_of(part["data"], name, board):
            continue
        for row in part["shortcuts"]:
            strategy = found.setdefault(
                row["strategy"],
                {
                    "label": row["strategy"],
                    "sort": "strategy",
                    "note": row["meaning"],
                    "cells": {},
                },
            )
            kept = ("accuracy", "low", "high", "n")
            strategy["cells"][column] = {key: row[key] for key in kept}
    for strategy in found.values():
        cells = [strategy["cells"].get((_HEARD, kind)) for kind in KINDS]
        if (_HEARD, MACRO) in columns and all(cells):
            mean = sum(cell["accuracy"] for cell in cells if cell) / len(cells)
            strategy["cells"][_HEARD, MACRO] = {"accuracy": mean}
    rows = [row for row in found.values() if row["cells"]]
    return sorted(rows, key=lambda row: (-_mean(row["cells"]), row["label"]))[:_SHOWN]


def _is_of(data: str, name: str, board: Board) -> bool:
    return data in (name, f"{name} ({board.source.removeprefix('tempo_')})")


def _mean(cells: Mapping[Column, Mapping[str, Any]]) -> float:
    return sum(float(cell["accuracy"]) for cell in cells.values()) / len(cells)


def published_rows(board: Board, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return the figures that a paper published for a board; they cannot be verified.

    Args:
        board: The board; only that of the released questions, asked as they are, has some.
        columns: The board's columns.
    """
    told = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    if (board.source, board.variant, board.settings) != (told["board"], "", "{}"):
        return []
    if board.scoring != GENERATION:
        return []
    rows = []
    for row in told["rows"]:
        cells: dict[Column, dict[str, float]] = {}
        for condition, kind in columns:
            given = row.get(condition)
            if given and kind in KINDS:
                cells[condition, kind] = {"accuracy": given[KINDS.index(kind)] / 100}
            elif given and kind == MACRO:
                cells[condition, kind] = {"accuracy": sum(given) / len(given) / 100}
        rows.append(
            {
                "label": row["model"],
                "family": row["family"],
                "sort": "published",
                "note": f"{told['source']}. {told['note']}",
                "url": told["url"],
                "cells": cells,
            }
        )
    return rows

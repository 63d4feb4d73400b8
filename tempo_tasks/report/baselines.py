"""What a score is read against: chance, strategies that hear no time, a detector's ceiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tempo_tasks.audit.assemble import CHANCE, audit
from tempo_tasks.audit.parts import ALL
from tempo_tasks.questions.questions import Kind, fingerprint
from tempo_tasks.report.data_of_runs import DataOfRuns
from tempo_tasks.sources.without_audio import PlainSet
from tempo_tasks.stats.accuracy import MACRO

PRESENCE = "presence only"
SIGMAS = (0.5, 1.0)
"""Timing errors of the detector whose ceiling is drawn, in seconds."""
Audit = Mapping[str, Any]


def baseline_rows(
    data: DataOfRuns | None, audits: Sequence[Audit], sources: Sequence[str]
) -> tuple[list[dict[str, Any]], list[str], list[Audit]]:
    """Return the baselines of every source and kind.

    Args:
        data: The data of the runs, audited here where no audit of the same questions is given;
            None for no audit of them.
        audits: Audits that were given.
        sources: The sources of the runs, as their tasks call them.

    Returns:
        Rows with source, kind, name, accuracy, low, high and n; notes; and all audits.
    """
    rows, notes, used = [], [], list(audits)
    for source in sources:
        rows += [_chance(source, kind) for kind in (*_kinds(), MACRO)]
        plain = None if data is None else _plain(source, data)
        found = _matching(audits, source, plain)
        if found is None and plain is not None:
            made = audit([plain])
            used.append(made)
            found = made, plain.name
        if found is None:
            notes.append(
                f"{source}: no baselines but chance, as neither its data nor an audit of them is "
                "there; give the audit.json of `tempo audit`"
            )
            continue
        rows += _rows_of(found[0], found[1], source)
    return rows, notes, used


def _kinds() -> list[str]:
    return [kind.value for kind in Kind]


def _chance(source: str, kind: str) -> dict[str, Any]:
    return _row(source, kind, "chance", {"accuracy": CHANCE}, None)


def _plain(source: str, data: DataOfRuns) -> PlainSet | None:
    """Return the data of a source as an audit reads them."""
    questions = tuple(
        question
        for kind in _kinds()
        for question in data.questions.get((source, kind), {}).values()
    )
    if not questions:
        return None
    clips = {
        clip_id: known.clip
        for (of, clip_id, twin), known in data.clips.items()
        if of == source and not twin and known.clip is not None and known.clip.events
    }
    captions = {
        clip_id: known.caption
        for (of, clip_id, twin), known in data.clips.items()
        if of == source and not twin and known.caption
    }
    return PlainSet(source, questions, clips=clips, captions=captions)


def _matching(
    audits: Sequence[Audit], source: str, plain: PlainSet | None
) -> tuple[Audit, str] | None:
    """Return the audit of the same questions, and what it calls them."""
    mine = None if plain is None else fingerprint(plain.questions)
    for found in audits:
        for about in found.get("data", ()):
            name = str(about.get("name"))
            if about.get("fingerprint") == mine if mine else name == source:
                return found, name
    return None


def _rows_of(found: Audit, name: str, source: str) -> list[dict[str, Any]]:
    rows = []
    for part in found["parts"]:
        if part.get("data") != name:
            continue
        kind = MACRO if part["kind"] == ALL else part["kind"]
        for shortcut in part["shortcuts"]:
            if shortcut["strategy"] == PRESENCE:
                rows.append(_row(source, kind, "presence oracle", shortcut, part["n"]))
        best = part["verdict"]["best"]
        if best:
            what = f"best without time: {best['strategy']}"
            rows.append(_row(source, kind, what, best, part["n"]))
        for point in (part["ceiling"] or {"points": ()})["points"]:
            if point["sigma"] in SIGMAS:
                what = f"detector, timing error {point['sigma']:g} s"
                rows.append(_row(source, kind, what, point, part["n"]))
    return rows


def _row(
    source: str, kind: str, name: str, found: Mapping[str, Any], n: int | None
) -> dict[str, Any]:
    return {
        "source": source,
        "kind": kind,
        "name": name,
        "accuracy": found["accuracy"],
        "low": found.get("low"),
        "high": found.get("high"),
        "n": n,
    }

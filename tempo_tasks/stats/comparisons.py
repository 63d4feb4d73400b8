"""Pairs on the same items: conditions within a run, and runs against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import combinations
from typing import Any

from tempo_tasks.stats.accuracy import MACRO, StatisticsRow, about, add_holm, known
from tempo_tasks.stats.names import TaskName, kind_order
from tempo_tasks.stats.pairs import Paired, compare
from tempo_tasks.stats.runs import Run, TaskRun

HEARD = "aqa"
OTHERS = ("cqa", "acqa", "silence")

Two = tuple[TaskRun, TaskRun]


def condition_rows(runs: Sequence[Run], level: float = 0.95) -> list[StatisticsRow]:
    """Compare AQA with every other condition within each run, one row a kind and macro average.

    `difference` is AQA minus the other: what the audio (against silence or a caption) brings.
    Holm's correction is over all rows.
    """
    rows = []
    for run in runs:
        by_name = {task.name: task for task in run.tasks}
        for other in OTHERS:
            twos = [
                (by_name[name.but(condition=other)], task)
                for name, task in by_name.items()
                if name.condition == HEARD and name.but(condition=other) in by_name
            ]
            for kind, members in _with_macros(twos):
                name = members[0][1].name
                rows.append(
                    {
                        **about(run, kind, name),
                        "from": other,
                        "to": HEARD,
                        **_compared(members, level),
                    }
                )
                del rows[-1]["condition"]
    add_holm(rows, "p")
    return rows


def run_rows(runs: Sequence[Run], level: float = 0.95) -> list[StatisticsRow]:
    """Compare every two runs on the tasks that both have, one row a kind and macro average.

    `difference` is the later run (`to`) minus the earlier one (`from`), in the order given. Holm's
    correction is over all rows.
    """
    rows = []
    for first, second in combinations(runs, 2):
        theirs = {task.name: task for task in first.tasks}
        twos = [(theirs[task.name], task) for task in second.tasks if task.name in theirs]
        for kind, members in _with_macros(twos):
            head = about(second, kind, members[0][1].name)
            del head["run"]
            compared = _compared(members, level)
            rows.append({**head, "from": first.label, "to": second.label, **compared})
    add_holm(rows, "p")
    return rows


def _with_macros(twos: Sequence[Two]) -> Iterator[tuple[str, list[Two]]]:
    """Yield each pair of tasks by its kind, and after the last of several kinds all of them."""
    families: dict[TaskName, list[Two]] = {}
    for two in twos:
        families.setdefault(two[1].name.but(kind=""), []).append(two)
    for family in families.values():
        ordered = sorted(family, key=lambda two: kind_order(two[1].name.kind))
        for two in ordered:
            yield two[1].name.kind, [two]
        if len(ordered) > 1:
            yield MACRO, ordered


def _compared(twos: Sequence[Two], level: float) -> Mapping[str, Any]:
    """Match the items of tasks and compare them; without a match all figures are None."""
    rows: list[tuple[float, float, str, str]] = []
    counts = {"only_from": 0, "only_to": 0, "other_question": 0}
    for before, after in twos:
        old = {sample.key: sample for sample in before.samples}
        new = {sample.key: sample for sample in after.samples}
        counts["only_from"] += len(old.keys() - new.keys())
        counts["only_to"] += len(new.keys() - old.keys())
        for key in [key for key in old if key in new]:
            if old[key].question != new[key].question:
                counts["other_question"] += 1
                continue
            kind, cluster = after.name.kind, new[key].cluster
            rows.append((old[key].correct, new[key].correct, cluster, kind))
    if len({kind for *_, kind in rows}) < len(twos):
        # An average over kinds needs all of them.
        return dict.fromkeys(_FIGURES) | {"n": len(rows)} | counts
    old_credit, new_credit, clusters, kinds = (list(column) for column in zip(*rows, strict=True))
    found = vars(compare(old_credit, new_credit, clusters, kinds, level=level))
    return {
        name: known(value) if isinstance(value, float) else value for name, value in found.items()
    } | counts


_FIGURES = tuple(field.name for field in fields(Paired))

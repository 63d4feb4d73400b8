"""Accuracy of tasks, of their macro averages, and of their strata: shares with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tempo_attn.statistics import holm
from tempo_tasks.questions.strata import STRATA, bins_of, tests_time
from tempo_tasks.stats.clustered_estimates import ClusterSums, chance_p, effective_n, share_interval
from tempo_tasks.stats.names import TaskName, kind_order
from tempo_tasks.stats.pairs import detectable_accuracy
from tempo_tasks.stats.runs import Run, TaskRun
from tempo_tasks.stats.samples import Sample

CHANCE = 0.25
MACRO = "macro"
StatisticsRow = dict[str, Any]
"""A row of one of the tables that `tempo stats` writes, by column."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of items and how well it is known.

    Attributes:
        n: How many items there are.
        n_clusters: Clusters that they lie in.
        share: The share; over several kinds, the average of theirs.
        error: Standard error, by cluster; None with one cluster.
        low: Low end of the interval; None with one cluster.
        high: High end of the interval; None with one cluster.
    """

    n: int
    n_clusters: int
    share: float
    error: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, sums: ClusterSums, level: float) -> Share:
        """Return the share that sums over clusters give."""
        low, high = share_interval(sums, level)
        return cls(
            n=sums.n,
            n_clusters=sums.n_clusters,
            share=float(sums.mean),
            error=known(sums.error),
            low=known(low),
            high=known(high),
        )


def known(value: Any) -> float | None:
    """Return a number, or None for NaN: what cannot be told is null in JSON."""
    number = float(value)
    return None if number != number else number


def share_of(
    samples: Iterable[tuple[str, Sample]],
    value: Callable[[Sample], float] = lambda sample: sample.correct,
) -> ClusterSums:
    """Sum a value of samples by cluster.

    Args:
        samples: Samples, each with its kind.
        value: Between 0 and 1; default: the credit.
    """
    rows = list(samples)
    return ClusterSums.of(
        [value(sample) for _, sample in rows],
        [sample.cluster for _, sample in rows],
        [kind for kind, _ in rows],
    )


def with_macros(tasks: Sequence[TaskRun]) -> Iterator[tuple[str, list[TaskRun]]]:
    """Yield each task by its kind, and after the last kind of several all of them as `MACRO`."""
    families: dict[TaskName, list[TaskRun]] = {}
    for task in tasks:
        families.setdefault(task.name.but(kind=""), []).append(task)
    for family in families.values():
        ordered = sorted(family, key=lambda task: kind_order(task.name.kind))
        for task in ordered:
            yield task.name.kind, [task]
        if len(ordered) > 1:
            yield MACRO, ordered


def of_kinds(tasks: Iterable[TaskRun]) -> Iterator[tuple[str, Sample]]:
    """Yield the samples of tasks, each with its kind."""
    for task in tasks:
        for sample in task.samples:
            yield task.name.kind, sample


def about(run: Run, kind: str, name: TaskName) -> StatisticsRow:
    """Return the columns that say what a row is about."""
    return {
        "run": run.label,
        "source": name.source,
        "kind": kind,
        "condition": name.condition,
        "variant": name.variant,
        "scoring": name.scoring,
    }


def accuracy_rows(runs: Sequence[Run], level: float = 0.95) -> list[StatisticsRow]:
    """Return accuracy of every task and macro average, one row each.

    Columns: those of `about` and of `Share` (`accuracy` for its share); `chance_corrected`
    (accuracy - c) / (1 - c), c one over the number of options (1/4 in our own tasks);
    `effective_n`; `p_chance` and, corrected over all rows, `p_chance_holm`; `detectable`, the
    smallest accuracy that such items would tell from chance with 80 % power; `no_answer`, the share
    of parse failures and ties.
    """
    rows = []
    for run in runs:
        for kind, tasks in with_macros(run.tasks):
            samples = list(of_kinds(tasks))
            sums = share_of(samples)
            share = Share.of(sums, level)
            worth = float(effective_n(sums))
            # A quarter but for other benchmarks' items, which may have two options, or six.
            chance = float(share_of(samples, _guess).mean)
            rows.append(
                {
                    **about(run, kind, tasks[0].name),
                    **renamed(share, "accuracy"),
                    "chance_corrected": (share.share - chance) / (1 - chance),
                    "effective_n": known(worth),
                    "p_chance": known(chance_p(sums, chance)),
                    "detectable": known(
                        detectable_accuracy(worth, sums.n_clusters, chance=chance, level=level)
                    ),
                    "no_answer": float(share_of(samples, _no_answer).mean),
                }
            )
    add_holm(rows, "p_chance")
    return rows


def _guess(sample: Sample) -> float:
    return 1 / len(sample.options)


def _no_answer(sample: Sample) -> float:
    return float(sample.chosen is None)


def renamed(share: Share, name: str) -> StatisticsRow:
    """Return a share's columns, with its own name for the share."""
    return {name if key == "share" else key: value for key, value in vars(share).items()}


def add_holm(rows: Sequence[StatisticsRow], column: str) -> None:
    """Add Holm's correction of a column of p over all rows, as `<column>_holm`."""
    tested = [row for row in rows if row[column] is not None]
    for row in rows:
        row[f"{column}_holm"] = None
    for row, p in zip(tested, holm([row[column] for row in tested]), strict=True):
        row[f"{column}_holm"] = p


# ---------------------------------------------------------------------- strata

TEMPORAL = "tests time"
_YES, _NO = "2 or more options in the clip", "1 option in the clip"


def strata_rows(runs: Sequence[Run], level: float = 0.95) -> list[StatisticsRow]:
    """Return accuracy by stratum, one row for each bin that has items.

    The strata are those of `questions.strata`, where the documents know them, and `TEMPORAL`:
    its bin with two or more options in the clip is `acc_temporal`. A macro average stands where
    every kind has items in the bin.
    """
    rows = []
    for run in runs:
        for kind, tasks in with_macros(run.tasks):
            for stratum, bins in _binned(of_kinds(tasks)).items():
                for name, samples in bins.items():
                    if kind == MACRO and len({k for k, _ in samples}) < len(tasks):
                        continue
                    share = Share.of(share_of(samples), level)
                    head = {**about(run, kind, tasks[0].name), "stratum": stratum, "bin": name}
                    rows.append({**head, **renamed(share, "accuracy")})
    return rows


def _binned(
    samples: Iterable[tuple[str, Sample]],
) -> Mapping[str, Mapping[str, list[tuple[str, Sample]]]]:
    """Return samples by stratum and bin, the bins in ascending order of what they hold."""
    found: dict[str, dict[str, list[tuple[str, Sample]]]] = {}
    for kind, sample in samples:
        for stratum, name in _bins(sample.doc).items():
            found.setdefault(stratum, {}).setdefault(name, []).append((kind, sample))
    order = [TEMPORAL, *STRATA]
    return {
        stratum: dict(sorted(found[stratum].items(), key=lambda bin: _smallest(stratum, bin[1])))
        for stratum in sorted(found, key=order.index)
    }


def _bins(doc: Mapping[str, Any]) -> dict[str, str]:
    timed = tests_time(doc)
    return ({} if timed is None else {TEMPORAL: _YES if timed else _NO}) | bins_of(doc)


def _smallest(stratum: str, samples: Sequence[tuple[str, Sample]]) -> float:
    field = "n_present" if stratum == TEMPORAL else stratum
    return min(float(sample.doc[field]) for _, sample in samples)

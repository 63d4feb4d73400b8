"""Does the answer depend on what should not matter: scoring, phrasing, order of the options?"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.scoring.bias_by_letter import letter_bias
from tempo_tasks.stats.accuracy import (
    MACRO,
    Share,
    StatisticsRow,
    about,
    of_kinds,
    renamed,
    share_of,
    with_macros,
)
from tempo_tasks.stats.clustered_estimates import ClusterSums
from tempo_tasks.stats.names import TaskName
from tempo_tasks.stats.runs import Run, TaskRun
from tempo_tasks.stats.samples import Sample

ROTATIONS = len(LETTERS)

# ---------------------------------------------------------------------- scoring


def scoring_rows(runs: Sequence[Run], level: float = 0.95) -> list[StatisticsRow]:
    """Compare ways of scoring: tasks of a run that differ in their suffix alone.

    Columns: `disagree`, the share of items with another chosen option (with interval); `kappa`,
    Cohen's, over the four letters and "none"; the accuracies and shares without an answer of both;
    how many items only one of them has. A parse failure and a tie are "none"; two of them agree.
    """
    rows = []
    for run in runs:
        for family in _families(run, scoring="").values():
            for one, other in combinations(family, 2):
                found = _disagreement(one, other, level)
                head = about(run, one.name.kind, one.name)
                del head["scoring"]
                ways = {"first": one.name.scoring, "second": other.name.scoring}
                rows.append({**head, **ways, **found})
    return rows


def _families(run: Run, **blank: Any) -> dict[TaskName, list[TaskRun]]:
    """Return the tasks of a run by what remains of their names."""
    found: dict[TaskName, list[TaskRun]] = defaultdict(list)
    for task in run.tasks:
        found[task.name.but(**blank)].append(task)
    return found


_DISAGREEMENT = (
    *("n", "n_clusters", "disagree", "error", "low", "high", "kappa"),
    *("accuracy_first", "accuracy_second", "no_answer_first", "no_answer_second"),
)


def _disagreement(one: TaskRun, other: TaskRun, level: float) -> StatisticsRow:
    first = {sample.key: sample for sample in one.samples}
    second = {sample.key: sample for sample in other.samples}
    both = [
        (first[key], second[key])
        for key in first
        if key in second and first[key].question == second[key].question
    ]
    counts = {"unmatched": len(first) + len(second) - 2 * len(both)}
    if not both:
        return dict.fromkeys(_DISAGREEMENT) | {"n": 0} | counts
    differ = [float(a.chosen_text != b.chosen_text) for a, b in both]
    share = Share.of(ClusterSums.of(differ, [a.cluster for a, _ in both]), level)
    return {
        **renamed(share, "disagree"),
        "kappa": _kappa([(a.chosen, b.chosen) for a, b in both]),
        "accuracy_first": float(np.mean([a.correct for a, _ in both])),
        "accuracy_second": float(np.mean([b.correct for _, b in both])),
        "no_answer_first": sum(a.chosen is None for a, _ in both) / len(both),
        "no_answer_second": sum(b.chosen is None for _, b in both) / len(both),
    } | counts


def _kappa(chosen: Sequence[tuple[str | None, str | None]]) -> float | None:
    """Return Cohen's kappa; None where both always say the same one thing."""
    from statsmodels.stats.inter_rater import cohens_kappa

    # Other benchmarks' items may have more letters than ours; those never said change nothing.
    said = {letter for pair in chosen for letter in pair if letter is not None}
    names = [*sorted(said.union(LETTERS)), None]
    table = np.zeros((len(names), len(names)))
    for one, other in chosen:
        table[names.index(one), names.index(other)] += 1
    shares = table / table.sum()
    if math.isclose(float(shares.sum(0) @ shares.sum(1)), 1.0):
        return None
    return float(cohens_kappa(table, return_results=False))


# ---------------------------------------------------------------------- prompts


def prompt_rows(runs: Sequence[Run], level: float = 0.95) -> list[StatisticsRow]:
    """Compare phrasings: tasks of a run that differ in their number alone.

    Columns: `prompts`, the numbers compared; mean, smallest and largest accuracy and their
    difference `spread`; `same`, the share of items with one option chosen under all of them (with
    interval; "none" is no option); `p_cochran`, Cochran's Q test of equal accuracies,
    which takes items as independent; `unmatched`, items that not all of them have.
    """
    rows = []
    for run in runs:
        numbered = {
            key: [task for task in family if task.name.prompt is not None]
            for key, family in _families(run, prompt=None).items()
        }
        for key, family in numbered.items():
            if len(family) > 1:
                rows.append({**about(run, key.kind, key), **_across_prompts(family, level)})
    return rows


_PROMPTS = (
    *("mean", "min", "max", "spread", "n", "n_clusters", "same", "error", "low", "high"),
    "p_cochran",
)


def _across_prompts(family: Sequence[TaskRun], level: float) -> StatisticsRow:
    from statsmodels.stats.contingency_tables import cochrans_q

    held = [{sample.key: sample for sample in task.samples} for task in family]
    shared = [key for key in held[0] if all(key in samples for samples in held)]
    sets = [[samples[key] for samples in held] for key in shared]
    sets = [samples for samples in sets if len({sample.question for sample in samples}) == 1]
    row: StatisticsRow = {
        "prompts": ", ".join(str(task.name.prompt) for task in family),
        "unmatched": sum(len(samples) for samples in held) - len(sets) * len(held),
    }
    if not sets:
        return row | dict.fromkeys(_PROMPTS) | {"n": 0}
    credit = np.array([[sample.correct for sample in samples] for samples in sets])
    means = credit.mean(0)
    same = Share.of(_same_choice(sets), level)
    right = (credit == 1).astype(int)
    varied = bool((right != right[:, :1]).any())
    return row | {
        "mean": float(means.mean()),
        "min": float(means.min()),
        "max": float(means.max()),
        "spread": float(means.max() - means.min()),
        **renamed(same, "same"),
        "p_cochran": float(cochrans_q(right).pvalue) if varied else 1.0,
    }


def _same_choice(sets: Iterable[Sequence[Sample]]) -> ClusterSums:
    """Return the share of items whose samples all chose one option; "none" is no option."""
    chosen = [({sample.chosen_text for sample in samples}, samples[0].cluster) for samples in sets]
    same = [float(len(texts) == 1 and None not in texts) for texts, _ in chosen]
    return ClusterSums.of(same, [cluster for _, cluster in chosen])


# ---------------------------------------------------------------------- rotations


def rotation_rows(runs: Sequence[Run], level: float = 0.95) -> list[StatisticsRow]:
    """Say how answers depend on the order of the options (`_rot` tasks).

    Columns: `accuracy` over all rotations (with interval); `worst` and `best`, those of single
    rotations; `consistency`, the share of items with one option chosen under all four (with
    interval), and `acc_all`, with the right one; `chose_a` ... `chose_d`, the share of each
    letter among the answers, and `letter_bias`, the standard deviation of the letters' recalls
    (see `tempo_tasks.scoring.letter_bias`): every letter is right equally often.
    """
    rows = []
    for run in runs:
        rotated = [task for task in run.tasks if task.name.rotated]
        for kind, tasks in with_macros(rotated):
            if kind != MACRO:
                rows.append({**about(run, kind, tasks[0].name), **_over_rotations(tasks[0], level)})
    return rows


def _over_rotations(task: TaskRun, level: float) -> StatisticsRow:
    items: dict[str, list[Sample]] = defaultdict(list)
    by_rotation: dict[int, list[float]] = defaultdict(list)
    for sample in task.samples:
        items[sample.item].append(sample)
        by_rotation[sample.rotation].append(sample.correct)
    whole = [samples for samples in items.values() if len(samples) == ROTATIONS]
    accuracies = [float(np.mean(credit)) for credit in by_rotation.values()]
    row = {
        **renamed(Share.of(share_of(of_kinds([task])), level), "accuracy"),
        "worst": min(accuracies),
        "best": max(accuracies),
        "items": len(whole),
        "unmatched": len(items) - len(whole),
    }
    return row | _consistency(whole, level) | _letters(whole)


def _consistency(whole: Sequence[Sequence[Sample]], level: float) -> StatisticsRow:
    if not whole:
        return dict.fromkeys(("consistency", "consistency_low", "consistency_high", "acc_all"))
    same = Share.of(_same_choice(whole), level)
    return {
        "consistency": same.share,
        "consistency_low": same.low,
        "consistency_high": same.high,
        "acc_all": sum(all(s.correct == 1 for s in samples) for samples in whole) / len(whole),
    }


def _letters(whole: Sequence[Sequence[Sample]]) -> StatisticsRow:
    """Return how often each letter was chosen, over items with all rotations."""
    counts = Counter(s.chosen for samples in whole for s in samples if s.chosen is not None)
    total = counts.total()
    shares = {
        f"chose_{letter.lower()}": counts[letter] / total if total else None for letter in LETTERS
    }
    bias = letter_bias([(s.answer, s.correct) for samples in whole for s in samples])
    return {**shares, "letter_bias": None if isinstance(bias, str) else bias}

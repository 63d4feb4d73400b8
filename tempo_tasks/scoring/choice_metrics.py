"""Metrics of other benchmarks' items: two to eight options, several runs, categories of the data.

Accuracy, its error, parse failures and strata are those of every task (`item_metrics`); here chance
differs from item to item, and an item may be asked in several runs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tempo_tasks.questions.strata import STRATA, tests_time
from tempo_tasks.scoring.answer_parser import (
    most_likely,
    most_likely_by_length,
    only,
    parse_answer,
)
from tempo_tasks.scoring.item_metrics import cluster_of, clustered_stderr, mean_of
from tempo_tasks.scoring.sets_of_items import Answer

ChanceItems = Sequence[tuple[str, float, int]]
"""Cluster, credit and number of options of each item."""


def choice_generation_metrics(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Score one generated answer (`process_results` of other benchmarks' tasks)."""
    letter = parse_answer(results[0], doc["options"])
    failed = float(letter is None)
    return _values(doc, float(letter in doc["right_letters"]), letter) | {
        "parse_failure": failed,
        "parse_failure_stderr": (cluster_of(doc), failed),
    }


def choice_likelihood_metrics(
    doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]
) -> dict[str, Any]:
    """Score the letters' log-probabilities (`process_results` of their `_ll` tasks)."""
    best = most_likely(results)
    return _values(doc, _share(doc, best), only(best))


def choice_text_metrics(
    doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]
) -> dict[str, Any]:
    """Score the options' log-probabilities (`process_results` of their `_text` tasks)."""
    best = most_likely(results)
    by_length = _share(doc, most_likely_by_length(results, doc["options"]))
    return _values(doc, _share(doc, best), only(best)) | {
        "acc_norm": by_length,
        "acc_norm_stderr": (cluster_of(doc), by_length),
    }


def _share(doc: Mapping[str, Any], best: Sequence[str]) -> float:
    """Return the share of the best letters that are right: one, or those of the same text."""
    return sum(letter in doc["right_letters"] for letter in best) / len(best)


def _values(doc: Mapping[str, Any], correct: float, given: str | None) -> dict[str, Any]:
    item = (cluster_of(doc), correct)
    temporal = (*item, tests_time(doc))
    chance = (*item, len(doc["options"]))
    # What was chosen is compared between runs by its text: letters move with the clips' order.
    texts = dict(zip(doc["letters"], doc["options"], strict=True))
    chosen = None if given is None else texts[given]
    run = Answer(doc.get("group") or "", cluster_of(doc), chosen, doc["answer_text"])
    strata = {name: doc[name] for name in STRATA if doc.get(name) is not None}
    categories = {found["name"]: found["value"] for found in doc["categories"]}
    return {
        "acc": correct,
        "acc_stderr": item,
        "acc_temporal": temporal,
        "acc_temporal_stderr": temporal,
        "acc_above_chance": chance,
        "acc_above_chance_stderr": chance,
        "acc_every_run": run,
        "acc_every_run_stderr": run,
        "strata_with_stderr": (*item, strata),
        "categories_with_stderr": (*item, categories),
    }


def acc_above_chance(items: ChanceItems) -> float | str:
    """(acc - c) / (1 - c) with c the mean of one over the number of options: 0 for guesses."""
    accuracy = mean_of([(cluster, correct) for cluster, correct, _ in items])
    chance = _chance(items)
    return accuracy if isinstance(accuracy, str) else (accuracy - chance) / (1 - chance)


def acc_above_chance_stderr(items: ChanceItems) -> float | str:
    """Standard error of `acc_above_chance`, clustered: that of accuracy, on its scale."""
    error = clustered_stderr([(cluster, correct) for cluster, correct, _ in items])
    return error if isinstance(error, str) else error / (1 - _chance(items))


def _chance(items: ChanceItems) -> float:
    return math.fsum(1 / n_options for *_, n_options in items) / len(items)


def _groups(answers: Sequence[Sequence[Any]]) -> list[tuple[str, float]]:
    members: dict[str, list[Answer]] = defaultdict(list)
    # Several processes hand over plain tuples, in the order of their ranks.
    for answer in map(Answer._make, answers):
        if answer.of:
            members[answer.of].append(answer)
    most = max(map(len, members.values()), default=0)
    # What `--limit` cut counts in none.
    return [
        (found[0].cluster, float(all(one.given == one.right for one in found)))
        for found in members.values()
        if len(found) == most
    ]


def acc_every_run(answers: Sequence[Sequence[Any]]) -> float | str:
    """Share of questions answered right in every run; "N/A" in a set that is asked once.

    STAR-Bench's "all correct rate" over three orders of the clips; 1/216 for independent guesses
    among six options.
    """
    return mean_of(_groups(answers))


def acc_every_run_stderr(answers: Sequence[Sequence[Any]]) -> float | str:
    """Standard error of `acc_every_run`, clustered."""
    return clustered_stderr(_groups(answers))


def categories_with_stderr(
    items: Sequence[tuple[str, float, Mapping[str, str]]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Aggregate to `acc`, clustered `stderr`, `n` and `n_clusters` of each category.

    The name ends in `_stderr` because lm-eval's table prints no such metric (as with the strata).
    """
    found: dict[str, dict[str, list[tuple[str, float]]]] = defaultdict(lambda: defaultdict(list))
    for cluster, correct, categories in items:
        for column, value in categories.items():
            found[column][value].append((cluster, correct))
    return {
        column: {
            value: {
                "acc": mean_of(members),
                "stderr": clustered_stderr(members),
                "n": len(members),
                "n_clusters": len({cluster for cluster, _ in members}),
            }
            for value, members in sorted(of_value.items())
        }
        for column, of_value in sorted(found.items())
    }

"""What every task measures: accuracy and its readings, one item at a time, and their means.

lm-eval gathers what these functions return for each document and hands the list of each metric to
its aggregation (`aggregation` in the task files). A metric whose name ends in `_stderr`, given
after the metric it belongs to, takes the place of lm-eval's own error, which knows no clusters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.questions.strata import STRATA, tests_time
from tempo_tasks.scoring.answer_parser import (
    most_likely,
    most_likely_by_length,
    parse_answer,
)
from tempo_tasks.stats.clustered_estimates import clustered_standard_error

CHANCE = 1 / len(LETTERS)


class NotAvailable(str):
    """The text "N/A", whatever is added to it: lm-eval sums and divides a group's values."""

    def _itself(self, other: object) -> NotAvailable:
        return self

    __add__ = __radd__ = __mul__ = __rmul__ = __truediv__ = _itself


NOT_AVAILABLE = NotAvailable("N/A")


# Documents to values


def generation_metrics(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Score one generated answer (`process_results` of the generation tasks)."""
    letter = parse_answer(results[0], doc["options"])
    failed = float(letter is None)
    return item_metrics(doc, float(letter == doc["answer"])) | {
        "parse_failure": failed,
        "parse_failure_stderr": (cluster_of(doc), failed),
    }


def likelihood_metrics(
    doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]
) -> dict[str, Any]:
    """Score the four letters' log-probabilities (`process_results` of the `_ll` tasks)."""
    return item_metrics(doc, share(doc, most_likely(results)))


def text_metrics(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """Score the four options' log-probabilities (`process_results` of the `_text` tasks)."""
    by_length = share(doc, most_likely_by_length(results, doc["options"]))
    return item_metrics(doc, share(doc, most_likely(results))) | {
        "acc_norm": by_length,
        "acc_norm_stderr": (cluster_of(doc), by_length),
    }


def share(doc: Mapping[str, Any], best: Sequence[str]) -> float:
    """Return the right letter's share of the credit, 0 where it is not among the best.

    Letters that tie, as they can in bfloat16, share it: none is picked by its place.
    """
    return (doc["answer"] in best) / len(best)


def item_metrics(doc: Mapping[str, Any], correct: float) -> dict[str, Any]:
    """Return one document's value of each metric that all tasks have."""
    item = (cluster_of(doc), correct)
    temporal = (*item, tests_time(doc))
    by_letter = {f"acc_{name.lower()}": (doc["answer"], correct) for name in LETTERS}
    strata = {name: doc[name] for name in STRATA if doc.get(name) is not None}
    return {
        "acc": correct,
        "acc_stderr": item,
        "acc_temporal": temporal,
        "acc_temporal_stderr": temporal,
        "acc_chance_corrected": correct,
        "acc_chance_corrected_stderr": item,
        **by_letter,
        "strata_with_stderr": (*item, strata),
    }


def cluster_of(doc: Mapping[str, Any]) -> str:
    """Return what a document's errors are clustered by; its clip where it does not say."""
    return str(doc.get("cluster") or doc["clip"])


# Values to a mean and its error


def clustered_stderr(items: Sequence[tuple[str, float]]) -> float | str:
    """Aggregate (cluster, value) pairs to the standard error of their mean, clustered.

    "N/A", as lm-eval writes it, with fewer than two clusters: NaN is not JSON.
    """
    if not items:
        return "N/A"
    clusters, values = zip(*items, strict=True)
    error = clustered_standard_error(values, clusters)
    return "N/A" if math.isnan(error) else error


def mean_of(items: Sequence[tuple[str, float]]) -> float | str:
    """Return the mean of (cluster, value) pairs; "N/A" without any."""
    return math.fsum(value for _, value in items) / len(items) if items else NOT_AVAILABLE


def acc_temporal(items: Sequence[tuple[str, float, bool | None]]) -> float | str:
    """Accuracy on the items that test time: at least two of their options occur in the clip.

    The others can be answered by knowing which sounds occur. "N/A" where it is not known of any
    item how many do, or none tests time.
    """
    return mean_of(_temporal(items))


def acc_temporal_stderr(items: Sequence[tuple[str, float, bool | None]]) -> float | str:
    """Standard error of `acc_temporal`, clustered."""
    return clustered_stderr(_temporal(items))


def _temporal(items: Sequence[tuple[str, float, bool | None]]) -> list[tuple[str, float]]:
    return [(cluster, correct) for cluster, correct, counts in items if counts]


def acc_chance_corrected(values: Sequence[float]) -> float:
    """(acc - 1/4) / (3/4): 0 for guesses, 1 for right answers throughout, below 0 under chance."""
    return (math.fsum(values) / len(values) - CHANCE) / (1 - CHANCE)


def acc_chance_corrected_stderr(items: Sequence[tuple[str, float]]) -> float | str:
    """Standard error of `acc_chance_corrected`: that of accuracy, on its scale."""
    error = clustered_stderr(items)
    return error if isinstance(error, str) else error / (1 - CHANCE)

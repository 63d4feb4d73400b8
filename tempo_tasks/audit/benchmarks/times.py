"""What guessers earn where a time is asked for: the same time whatever is heard."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from tempo_tasks.questions.choice_items import TOLERANCES, ChoiceItem, within
from tempo_tasks.stats.clustered_estimates import (
    ClusterSums,
    clustered_standard_error,
    share_interval,
)


def guessed_times(items: Sequence[ChoiceItem]) -> list[dict[str, Any]]:
    """Return for each guesser its mean absolute error and the share within each tolerance.

    Args:
        items: Items that ask for a time.

    Returns:
        `strategy`, `meaning`, `seconds_error` and its clustered `error`, `n`, `n_clusters`, and by
        tolerance `share`, `low` and `high`.
    """
    own: dict[str, list[float]] = defaultdict(list)
    for item in items:
        own[item.cluster].append(_right(item))
    every = sorted(_right(item) for item in items)

    def median_of_others(item: ChoiceItem) -> float:
        left = list(every)
        for value in own[item.cluster]:
            left.remove(value)
        return statistics.median(left) if left else 0.0

    rows = [
        ("always 0 s", "Answers the start of the clip.", lambda item: 0.0),
        ("median time", "Answers the median right time of the other clusters.", median_of_others),
    ]
    return [_row(name, meaning, items, guess) for name, meaning, guess in rows]


def _right(item: ChoiceItem) -> float:
    return item.seconds if item.seconds is not None else 0.0


def _row(
    name: str, meaning: str, items: Sequence[ChoiceItem], guess: Callable[[ChoiceItem], float]
) -> dict[str, Any]:
    errors = [abs(guess(item) - _right(item)) for item in items]
    clusters = [item.cluster for item in items]
    error = clustered_standard_error(errors, clusters)
    curve = {}
    for tolerance in TOLERANCES:
        sums = ClusterSums.of([within(error, tolerance) for error in errors], clusters)
        ends = share_interval(sums)
        curve[f"{tolerance:g} s"] = {
            "share": float(sums.mean),
            "low": _known(ends.low),
            "high": _known(ends.high),
        }
    return {
        "strategy": name,
        "meaning": meaning,
        "seconds_error": statistics.fmean(errors),
        "error": _known(error),
        "n": len(items),
        "n_clusters": len(set(clusters)),
        "within": curve,
    }


def _known(value: Any) -> float | None:
    number = float(value)
    return number if number == number else None

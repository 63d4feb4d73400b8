"""Accuracy by stratum: options in the clip, margin, overlap, intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tempo_tasks.questions.strata import bins_of
from tempo_tasks.scoring.item_metrics import clustered_stderr, mean_of


def strata_with_stderr(
    items: Sequence[tuple[str, float, Mapping[str, Any]]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Aggregate to `acc`, its clustered `stderr`, `n` and `n_clusters` in each bin of each stratum.

    The name ends in `_stderr` because lm-eval's table prints no such metric: a dictionary in a cell
    would make every row of it a thousand characters wide. The results file has it.

    Args:
        items: Cluster, credit, and the value of each stratum that is known of the item.

    Returns:
        For each stratum that is known of an item, its bins in the order of their values.
    """
    found: dict[str, dict[str, list[tuple[Any, str, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for cluster, correct, values in items:
        for stratum, name in bins_of(values).items():
            found[stratum][name].append((values[stratum], cluster, correct))
    return {
        stratum: {
            name: _bin([(cluster, correct) for _, cluster, correct in bins[name]])
            for name in sorted(bins, key=lambda name: min(value for value, *_ in bins[name]))
        }
        for stratum, bins in found.items()
    }


def _bin(items: Sequence[tuple[str, float]]) -> dict[str, Any]:
    return {
        "acc": mean_of(items),
        "stderr": clustered_stderr(items),
        "n": len(items),
        "n_clusters": len({cluster for cluster, _ in items}),
    }

"""Errors of predictions, with intervals: bootstrap over clusters, as in all experiments.

R2 is 1 - (squared errors) / (squared deviations from the mean of the tested times). Its interval is
over the tested clips, with the probes taken as given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tempo_attn.files.csv_and_json import table_number
from tempo_attn.statistics import (
    Array,
    cluster_sums,
    cluster_weights,
    interval_of_mean,
    percentile_interval,
)

HOW = {"resamples": 2000, "level": 0.95}
EMPTY = dict.fromkeys(("mae", "mae_low", "mae_high", "r2", "r2_low", "r2_high")) | dict.fromkeys(
    ("accuracy", "accuracy_low", "accuracy_high")
)


def time_scores(true: Array, predicted: Array, clusters: Array, seed: int = 0) -> dict[str, Any]:
    """Return mean absolute error and R2 of predicted times, (events,) seconds, as table columns."""
    error = np.abs(predicted - true)
    low, high = interval_of_mean(error[:, None], clusters, seed=seed)[0]
    centred = true - true.mean()
    parts = np.stack([(predicted - true) ** 2, centred**2, centred], 1)
    sums, sizes = cluster_sums(parts, clusters)
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = 1 - sums[:, 0].sum() / sums[:, 1].sum()
        ends = np.full(2, np.nan)
        if len(sizes) > 1:
            weights = cluster_weights(clusters, int(HOW["resamples"]), seed)
            squared, total, shift = (weights @ sums).T
            drawn = 1 - squared / (total - shift**2 / (weights @ sizes))
            ends = percentile_interval(np.where(np.isfinite(drawn), drawn, np.nan), HOW["level"])
    return {
        "n": len(true),
        "n_clusters": len(sizes),
        **EMPTY,
        "mae": table_number(error.mean()),
        "mae_low": table_number(low),
        "mae_high": table_number(high),
        "r2": table_number(r2 if np.isfinite(r2) else np.nan),
        "r2_low": table_number(ends[0]),
        "r2_high": table_number(ends[1]),
    }


def order_scores(
    earlier: Array, predicted: Array, clusters: Array, seed: int = 0
) -> dict[str, Any] | None:
    """Return the accuracy of predicted orders, (pairs,), as table columns; None without pairs."""
    known = np.isfinite(predicted)
    if not known.any():
        return None
    right = ((predicted > 0) == earlier)[known].astype(float)
    low, high = interval_of_mean(right[:, None], clusters[known], seed=seed)[0]
    return {
        "n": len(right),
        "n_clusters": len(np.unique(clusters[known])),
        **EMPTY,
        "accuracy": table_number(right.mean()),
        "accuracy_low": table_number(low),
        "accuracy_high": table_number(high),
    }

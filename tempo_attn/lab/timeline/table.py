"""The table of a timeline: what each probe reads at each layer, and what its baselines do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tempo_attn.lab.timeline.probes import Scaled, predict_order, predict_times
from tempo_attn.lab.timeline.records import TARGETS
from tempo_attn.lab.timeline.rows import EventRows, Folds
from tempo_attn.lab.timeline.scores import order_scores, time_scores
from tempo_attn.statistics import Array

BOTH, CLIPS = "classes and clips", "clips"
"""What is held out."""
RELATIVE = "midpoint / clip"


def baseline_rows(rows: EventRows, folds: Folds, seed: int) -> list[dict[str, Any]]:
    """Return the rows of the mean of the training times, which no layer has a part in."""
    nothing = np.zeros((len(rows.labels), 1))
    predicted = predict_times(Scaled(nothing, folds.both, seed), rows, "mean", seed)
    return [
        _row(None, "mean", "mean", BOTH, target, scores)
        for target, scores in _times(rows, predicted, seed)
    ]


def site_rows(
    layer: int,
    states: dict[str, Array],
    rows: EventRows,
    folds: Folds,
    probes: Sequence[str],
    seed: int,
) -> list[dict[str, Any]]:
    """Return the rows of one layer.

    Args:
        layer: The layer; -1 for what enters the first one.
        states: By source, (events, width).
        rows: The events.
        folds: Their folds.
        probes: Some of `PROBES`.
        seed: Seed of the perceptron and of the shuffling.
    """
    shuffled = _shuffled(rows, seed)
    scaled = {source: Scaled(here, folds.both, seed) for source, here in states.items()}
    found = []
    for probe in probes:
        for source, mine in [("states", rows), ("shuffled", shuffled), *_others(states, rows)]:
            if probe == "mlp" and source not in ("states", "shuffled"):
                continue  # their ridge says it, and perceptrons take most of the time
            here = scaled.get(source, scaled["states"])
            predicted = predict_times(here, mine, probe, seed)
            found += [
                _row(layer, source, probe, BOTH, target, scores)
                for target, scores in _times(mine, predicted, seed)
            ]
            if probe == "mlp" and source == "shuffled":
                continue
            order = predict_order(here, mine, probe, seed)
            clusters = mine.clusters[mine.pairs[:, 0]]
            scores = order_scores(mine.first_is_earlier, order, clusters, seed)
            if scores is not None:
                found.append(_row(layer, source, probe, BOTH, "order", scores))
    if "ridge" in probes:
        alone = Scaled(states["states"], folds.clips_alone, seed)
        predicted = predict_times(alone, rows, "ridge", seed)
        found += [
            _row(layer, "states", "ridge", CLIPS, target, scores)
            for target, scores in _times(rows, predicted, seed)
        ]
        relative = replace(rows, times=rows.times / rows.seconds[:, None])
        predicted = predict_times(scaled["states"], relative, "ridge", seed)
        at = TARGETS.index("midpoint")
        scores = time_scores(relative.times[:, at], predicted[:, at], rows.clusters, seed)
        found.append(_row(layer, "states", "ridge", BOTH, RELATIVE, scores))
    return found


def _others(states: dict[str, Array], rows: EventRows) -> list[tuple[str, EventRows]]:
    return [(source, rows) for source in states if source != "states"]


def _shuffled(rows: EventRows, seed: int) -> EventRows:
    """Return the events with the times of others: nothing of them can be in the states."""
    order = np.random.default_rng(seed).permutation(len(rows.labels))
    return replace(rows, times=rows.times[order])


def _times(rows: EventRows, predicted: Array, seed: int) -> list[tuple[str, dict[str, Any]]]:
    return [
        (target, time_scores(rows.times[:, at], predicted[:, at], rows.clusters, seed))
        for at, target in enumerate(TARGETS)
    ]


def _row(
    layer: int | None, source: str, probe: str, split: str, target: str, scores: dict[str, Any]
) -> dict[str, Any]:
    return {
        "layer": layer,
        "source": source,
        "probe": probe,
        "held_out": split,
        "target": target,
        **scores,
    }

"""Probes on states whose content is known, and on states that hold nothing."""

import numpy as np
import pytest

from tempo_attn.errors import ConfigError
from tempo_attn.lab.timeline.probes import Scaled, predict_order, predict_times
from tempo_attn.lab.timeline.records import EventTimes, TimelineRecord
from tempo_attn.lab.timeline.rows import EventRows, Folds
from tempo_attn.lab.timeline.scores import order_scores, time_scores

CLASSES, WIDTH = 12, 24


def made_up(n_clips=80, seed=0, names=3):
    """Events of clips: `names` classes each, with times that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    records = []
    for clip in range(n_clips):
        events = []
        for option, label in enumerate(rng.choice(CLASSES, names, replace=False)):
            onset = rng.uniform(0, 8)
            length = rng.uniform(0.5, 2)
            events.append(
                EventTimes(
                    option=option,
                    label=f"class {label}",
                    onset=onset,
                    offset=onset + length,
                    duration=length,
                )
            )
        records.append(
            TimelineRecord(
                key=f"{clip:064x}",
                index=clip,
                id=f"clip {clip}",
                cluster=f"clip {clip}",
                kind="eo",
                condition="aqa",
                answer=0,
                plain=[0.0, 1.0],
                events=events,
                seconds=10.0,
                states="0" * 64,
            )
        )
    return EventRows.of(records)


def class_offsets(rows, rng, size=3.0):
    of_class = {label: size * rng.normal(size=WIDTH) for label in np.unique(rows.labels)}
    return np.stack([of_class[label] for label in rows.labels])


def r2(rows, states, splits, probe="ridge", target=0):
    predicted = predict_times(Scaled(states, splits, 0), rows, probe, 0)
    return time_scores(rows.times[:, target], predicted[:, target], rows.clusters)


def test_every_event_is_tested_once_on_an_unseen_class_and_an_unseen_clip():
    rows = made_up()
    folds = Folds.draw(rows.labels, rows.clusters, 4, 0)
    tested = np.zeros(len(rows.labels), int)
    for train, test in folds.both:
        assert not set(rows.labels[train]) & set(rows.labels[test])
        assert not set(rows.clusters[train]) & set(rows.clusters[test])
        tested += test
    assert (tested == 1).all()


@pytest.mark.parametrize(("probe", "least"), [("ridge", 0.95), ("mlp", 0.6)])
def test_an_onset_beside_a_class_offset_is_found(probe, least):
    rows, rng = made_up(300), np.random.default_rng(1)
    direction = rng.normal(size=WIDTH)
    direction /= np.linalg.norm(direction)
    offsets = class_offsets(rows, rng, 1.0)
    offsets -= np.outer(offsets @ direction, direction)  # classes say nothing along it
    states = offsets + np.outer(rows.time("onset"), direction)
    states += 0.05 * rng.normal(size=states.shape)
    folds = Folds.draw(rows.labels, rows.clusters, 4, 0)
    assert r2(rows, states, folds.both, probe)["r2"] > least
    order = predict_order(Scaled(states, folds.both, 0), rows, probe, 0)
    scores = order_scores(rows.first_is_earlier, order, rows.clusters[rows.pairs[:, 0]])
    assert scores["accuracy_low"] > 0.6


def test_a_decoy_of_seen_classes_is_found_by_clips_alone_and_not_over_classes():
    """Each class has a direction of its own for time: it says nothing of another class."""
    rows, rng = made_up(300), np.random.default_rng(2)
    names, number = np.unique(rows.labels, return_inverse=True)
    states = np.zeros((len(number), 2 * len(names)))
    at = np.arange(len(number))
    states[at, number] = rows.time("onset") - rows.time("onset").mean()
    states[at, len(names) + number] = 1.0
    states += 0.05 * rng.normal(size=states.shape)
    folds = Folds.draw(rows.labels, rows.clusters, 4, 0)
    assert r2(rows, states, folds.clips_alone)["r2"] > 0.9
    assert r2(rows, states, folds.both)["r2_low"] < 0.05


def test_where_nothing_is_there_nothing_is_found():
    """R2 is above zero, and the order off chance, no more often than intervals of 95 % allow."""
    above, off = 0, 0
    for seed in range(40):
        rows, rng = made_up(40, seed), np.random.default_rng(1000 + seed)
        states = class_offsets(rows, rng) + rng.normal(size=(len(rows.labels), WIDTH))
        folds = Folds.draw(rows.labels, rows.clusters, 3, seed)
        above += r2(rows, states, folds.both)["r2_low"] > 0
        order = predict_order(Scaled(states, folds.both, 0), rows, "ridge", 0)
        scores = order_scores(rows.first_is_earlier, order, rows.clusters[rows.pairs[:, 0]])
        off += not scores["accuracy_low"] <= 0.5 <= scores["accuracy_high"]
    assert above <= 3
    assert off <= 7  # intervals of some twenty clips are somewhat narrow


def test_too_few_classes_are_refused():
    rows = made_up()
    with pytest.raises(ConfigError, match="of 12 classes; expected at least one for each of"):
        Folds.draw(rows.labels, rows.clusters, 13, 0)

"""Scores of heads: by hand, by scipy, and on a null where nothing must be found."""

import numpy as np
import pytest
from scipy import stats

from tempo_attn.lab.heads.records import HeadRecord
from tempo_attn.lab.heads.scores import (
    correlation_intervals,
    correlations,
    head_rows,
    p_of_correlation,
    stability,
)


def records_of(masses, right, *, clusters=None, kind="eo"):
    """Records of (items, layers, heads) masses on audio, half of that on text."""
    return [
        HeadRecord(
            key=f"{i:064x}", index=i, id=f"q{i}",
            cluster=f"c{i if clusters is None else clusters[i]}",
            kind=kind, condition="aqa", answer=0, plain=[1.0 if right[i] else -1.0, 0.0, 0.0, 0.0],
            audio={"last": masses[i].tolist()}, text={"last": (masses[i] / 2).tolist()},
        )
        for i in range(len(masses))
    ]  # fmt: skip


def made_up(n=80, layers=2, heads=3, seed=0, wired=(1, 2)):
    """Masses that have nothing to do with the answers, but for one head's."""
    rng = np.random.default_rng(seed)
    right = rng.random(n) < 0.6
    masses = rng.random((n, layers, heads))
    if wired:
        masses[:, wired[0], wired[1]] = 0.3 * masses[:, wired[0], wired[1]] + 0.5 * right
    return masses, right


def test_the_scores_are_scipys():
    masses, right = made_up()
    table = head_rows(records_of(masses, right))
    assert {row["target"] for row in table} == {"audio", "text"}
    for row in table:
        column = masses[:, row["layer"], row["head"]] / (2 if row["target"] == "text" else 1)
        r, p = stats.pearsonr(column, right)
        assert row["r"] == pytest.approx(r, abs=1e-6)
        assert row["r"] == pytest.approx(stats.pointbiserialr(right, column)[0], abs=1e-6)
        assert row["p"] == pytest.approx(p, abs=1e-6)
        assert row["spearman"] == pytest.approx(stats.spearmanr(column, right)[0], abs=1e-6)
        assert row["mass"] == pytest.approx(column.mean(), abs=1e-6)
        assert row["low"] < row["r"] < row["high"]
    best = max((row for row in table if row["target"] == "audio"), key=lambda row: row["r"])
    assert (best["layer"], best["head"]) == (1, 2)
    assert best["p_holm"] < 1e-6
    assert best["n"] == best["n_clusters"] == 80


def test_intervals_are_over_clusters():
    """By drawing them one by one; items of a clip that are copies make the interval wider."""
    masses, right = made_up(40)
    values = np.repeat(masses.reshape(40, -1), 3, axis=0)
    answers, clusters = np.repeat(right, 3), np.repeat(np.arange(40), 3)
    how = {"resamples": 3000, "seed": 1, "level": 0.9}
    found = correlation_intervals(values, answers, clusters, **how)
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(3000):
        of = rng.integers(0, 40, 40)
        drawn.append(correlations(masses.reshape(40, -1)[of], right[of]))
    expected = np.nanpercentile(drawn, [5, 95], axis=0)
    assert found == pytest.approx(expected, abs=0.03)
    as_items = correlation_intervals(values, answers, np.arange(120), **how)
    assert (np.ptp(found, axis=0) > 1.4 * np.ptp(as_items, axis=0)).all()


def test_p_counts_clusters_not_items():
    masses, right = made_up(30)
    clusters = np.repeat(np.arange(10), 3)
    (row, *_) = head_rows(records_of(masses, right, clusters=clusters))
    assert row["n_clusters"] == 10
    assert row["p"] == pytest.approx(float(p_of_correlation(np.array([row["r"]]), 10)[0]), abs=1e-5)


def test_nothing_is_found_where_nothing_is():
    """Holm's p is below 0.05 for any of the heads in about 5 % of runs without any relation."""
    found = 0
    for seed in range(200):
        masses, right = made_up(60, 4, 4, seed=seed, wired=None)
        r = correlations(masses.reshape(60, -1), right)
        found += bool(16 * p_of_correlation(r, 60).min() < 0.05)
    assert 2 <= found <= 20  # 10 expected, standard deviation 3


def test_without_right_or_wrong_answers_there_is_no_score():
    masses, _ = made_up(10)
    table = head_rows(records_of(masses, np.ones(10, dtype=bool)))
    assert {(row["r"], row["low"], row["p"], row["p_holm"]) for row in table} == {(None,) * 4}
    assert stability(records_of(masses, np.ones(10, dtype=bool)), "audio", "last", 0) == {
        "halvings": 0, "agreement": None, "lowest": None, "highest": None, "null": None,
    }  # fmt: skip


def test_a_layer_without_attention_has_no_score():
    masses, right = made_up()
    records = records_of(masses, right)
    for record in records:
        record.audio["last"][0] = None
    table = [row for row in head_rows(records) if row["target"] == "audio"]
    assert all((row["r"] is None) == (row["layer"] == 0) for row in table)
    assert all((row["mass"] is None) == (row["layer"] == 0) for row in table)


def test_halves_agree_where_scores_are_real():
    rng = np.random.default_rng(0)
    right = rng.random(300) < 0.5
    strength = np.linspace(-1, 1, 12).reshape(3, 4)
    masses = 0.5 * strength * right[:, None, None] + 0.3 * rng.random((300, 3, 4))
    real = stability(records_of(masses, right), "audio", "last", 0)
    assert real["agreement"] > 0.9
    assert abs(real["null"]) < 0.3
    noise = stability(records_of(*made_up(300, 3, 4, wired=None)), "audio", "last", 0)
    assert abs(noise["agreement"]) < 0.4
    assert stability(records_of(masses, right), "audio", "last", 0) == real


def test_kinds_are_apart():
    masses, right = made_up(20)
    records = records_of(masses, right)
    others = records_of(masses[:, :, ::-1], right, kind="lo")
    table = head_rows(records + others)
    assert [row for row in table if row["kind"] == "eo"] == head_rows(records)

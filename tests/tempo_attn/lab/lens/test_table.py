"""Information scores, critical layers and correlations: by hand, by many draws, by scipy."""

import json
import warnings

import numpy as np
import pytest
from scipy import stats

from tempo_attn.errors import ConfigError
from tempo_attn.lab.lens.critical import (
    correlation_rows,
    critical_layer,
    critical_rows,
    weighted_spearman,
)
from tempo_attn.lab.lens.records import LensRecord
from tempo_attn.lab.lens.table import lens_rows
from tempo_attn.statistics import interval_of_mean


def record(index, right, layers, *, cluster=None, rows="last", candidates="letters", **fields):
    """An item whose lens gives these probabilities to its right candidate, the first, by layer.

    The rest goes to the second candidate, so that the first is the likeliest above 0.5.
    """
    found = None
    if layers is not None:
        found = {rows: [layer if isinstance(layer, list) else of(layer) for layer in layers]}
    values = {
        "key": f"{index:064x}",
        "index": index,
        "id": f"item {index}",
        "cluster": cluster or f"clip {index}",
        "kind": "eo",
        "condition": "aqa",
        "answer": 0,
        "plain": [1.0 if right else -1.0, 0.0, 0.0, 0.0],
        "probabilities": {candidates: found},
    }
    return LensRecord(**(values | fields))


def of(probability):
    return [probability, 1 - probability, 0.0, 0.0]


RECORDS = [
    record(0, True, [0.4, 0.6, 0.9], cluster="a"),
    record(1, True, [0.1, 0.6, 0.8], cluster="a"),
    record(2, True, [0.6, 0.4, 0.7], cluster="b"),
    record(3, False, [0.1, 0.7, 0.2], cluster="b"),
    record(4, False, [0.3, 0.2, 0.1], cluster="c"),
]


def row_of(table, group, layer=None):
    (row,) = [r for r in table if r["group"] == group and layer in (None, r.get("layer"))]
    return row


# ------------------------------------------------------------------------------ information


def test_the_table_by_hand():
    table = lens_rows(RECORDS)
    assert [(row["group"], row["layer"]) for row in table] == [
        (group, layer) for group in ("all", "right", "wrong", "right - wrong") for layer in range(3)
    ]
    expected = {
        "all": ([1 / 5, 3 / 5, 3 / 5], [0.3, 0.5, 0.54], 5, 3),
        "right": ([1 / 3, 2 / 3, 1], [1.1 / 3, 1.6 / 3, 0.8], 3, 2),
        "wrong": ([0, 1 / 2, 0], [0.2, 0.45, 0.15], 2, 2),
        "right - wrong": ([1 / 3, 1 / 6, 1], [1.1 / 3 - 0.2, 1.6 / 3 - 0.45, 0.65], 5, 3),
    }
    for group, (scores, chances, n, n_clusters) in expected.items():
        for layer in range(3):
            row = row_of(table, group, layer)
            assert row["score"] == pytest.approx(scores[layer], abs=1e-6)
            assert row["probability"] == pytest.approx(chances[layer], abs=1e-6)
            assert (row["n"], row["n_clusters"]) == (n, n_clusters)
            assert (row["candidates"], row["rows"], row["n_candidates"]) == ("letters", "last", 4)


def test_a_tie_is_no_answer():
    """Between the first two, and among all; behind the first, it does not matter."""
    layers = [[0.4, 0.4, 0.1, 0.1], [0.25] * 4, [0.4, 0.2, 0.2, 0.2]]
    scores = [row["score"] for row in lens_rows([record(0, True, layers)]) if row["group"] == "all"]
    assert scores == [0, 0, 1]


def test_the_answer_need_not_be_the_first_candidate():
    one = record(0, True, [[0.1, 0.2, 0.6, 0.1]], answer=2, plain=[0.0, 0.0, 1.0, 0.0])
    (row, _) = lens_rows([one])
    assert (row["score"], row["probability"]) == (1, 0.6)


def test_what_a_constant_answer_scores():
    """Three of five items have the second candidate; two of them are right, and no other item."""
    answers = [1, 1, 0, 1, 2]
    records = [
        record(i, False, [0.9], answer=a, plain=[0.0, float(i < 3), float(i == 2), 0.0])
        for i, a in enumerate(answers)
    ]
    table = lens_rows(records)
    assert row_of(table, "all")["constant"] == 0.6
    assert (row_of(table, "right")["n"], row_of(table, "right")["constant"]) == (2, 1)
    assert row_of(table, "wrong")["constant"] == pytest.approx(1 / 3, abs=1e-6)
    assert row_of(table, "right - wrong")["constant"] is None


def test_intervals_are_over_clips():
    table = lens_rows(RECORDS, resamples=500, seed=3, level=0.9)
    hits = np.array([[0, 1, 1], [0, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]])
    clusters = [r.cluster for r in RECORDS]
    ends = interval_of_mean(hits, clusters, resamples=500, seed=3, level=0.9)
    for layer in range(3):
        row = row_of(table, "all", layer)
        assert [row["low"], row["high"]] == pytest.approx(ends[layer], abs=1e-6)
    one = row_of(lens_rows(RECORDS[:2]), "all", 0)
    assert (one["low"], one["high"]) == (None, None)  # one clip has no spread


def many(n_clusters=25, seed=0):
    """Items in threes; right ones know more, and earlier."""
    rng = np.random.default_rng(seed)
    records = []
    for index in range(3 * n_clusters):
        right = bool(rng.random() < 0.6)
        knows = np.array([0.3, 0.5, 0.8, 0.9]) if right else np.array([0.2, 0.3, 0.6, 0.3])
        layers = np.where(rng.random(4) < knows, 0.9, 0.05) + rng.uniform(-0.04, 0.04, 4)
        records.append(record(index, right, layers.tolist(), cluster=f"c{index // 3:03}"))
    return records


def draws(records, number=4000, seed=1):
    """Whole clusters of three, drawn one by one: which items are in each draw."""
    rng = np.random.default_rng(seed)
    n = len(records) // 3
    for _ in range(number):
        yield (3 * rng.integers(0, n, n)[:, None] + np.arange(3)).ravel()


def arrays(records):
    chance = np.array([[layer[0] for layer in r.probabilities["letters"]["last"]] for r in records])
    return chance, chance > 0.5, np.array([r.plain[0] > 0 for r in records])


def by_hand(scores, a=0.2):
    s = [max(0.0, score - (1 + a) / 4) for score in scores]
    return sum(layer * w for layer, w in enumerate(s)) / sum(s) if sum(s) > 0 else float("nan")


def test_intervals_by_many_draws():
    """Of the score's difference, of critical layers, of their difference, of the correlation."""
    records = many()
    chance, hit, right = arrays(records)
    own = np.array([by_hand(chances) for chances in chance])
    assert np.isfinite(own).mean() > 0.9
    gaps, layers, differences, rhos = [], [], [], []
    for items in draws(records):
        h, r = hit[items], right[items]
        gaps.append(h[r, 1].mean() - h[~r, 1].mean())
        layers.append(by_hand(h.mean(0)))
        differences.append(by_hand(h[r].mean(0)) - by_hand(h[~r].mean(0)))
        known = np.isfinite(own[items])
        rhos.append(stats.spearmanr(own[items][known], r[known]).statistic)
    (correlation,) = correlation_rows(records)
    critical = critical_rows(records)
    for row, drawn, within in (
        (row_of(lens_rows(records), "right - wrong", 1), gaps, 0.02),
        (row_of(critical, "all"), layers, 0.02),
        (row_of(critical, "right - wrong"), differences, 0.04),
        (correlation, rhos, 0.03),
    ):
        assert [row["low"], row["high"]] == pytest.approx(
            np.quantile(drawn, [0.025, 0.975]), abs=within
        )


# ------------------------------------------------------------------------------ critical layers


def test_critical_layers_by_hand():
    """Threshold 0.3: weights 0, 0.2 and 0.6 at layers 0, 1 and 2, so (0.2 + 1.2) / 0.8."""
    critical, weights = critical_layer([0.1, 0.5, 0.9], 4)
    assert weights == pytest.approx([0, 0.2, 0.6])
    assert critical == pytest.approx(1.75)
    # a = 1 asks for 0.5: what is just there does not count.
    critical, weights = critical_layer([0.1, 0.5, 0.9], 4, a=1.0)
    assert weights == pytest.approx([0, 0, 0.4])
    assert critical == 2
    assert critical_layer([0.1, 0.5, 0.9], 2, a=0.0)[0] == 2  # of two candidates
    assert critical_layer([1.0, 0, 0], 4)[0] == 0  # layers count from 0


def test_what_is_above_the_threshold_by_rounding_alone_does_not_count():
    """0.1 + 0.2 is above 0.3 by 4e-17."""
    scores = [0.1 + 0.2, 0.3, 0.25]
    assert scores[0] > 1.2 / 4
    critical, weights = critical_layer(scores, 4)
    assert np.isnan(critical)
    assert not weights.any()


def test_critical_rows_by_hand():
    table = critical_rows(RECORDS)
    assert [row["group"] for row in table] == ["all", "right", "wrong", "right - wrong"]
    everything, right, wrong, gap = table
    assert everything["weights"] == [0, 0.3, 0.3]
    assert everything["critical"] == 1.5
    assert right["weights"] == pytest.approx([1 / 30, 11 / 30, 0.7], abs=1e-6)
    assert right["critical"] == pytest.approx((11 / 30 + 1.4) / 1.1, abs=1e-6)
    assert wrong["weights"] == [0, 0.2, 0]
    assert wrong["critical"] == 1
    assert gap["critical"] == pytest.approx(right["critical"] - 1, abs=1e-6)
    assert gap["weights"] is None
    assert {row["threshold"] for row in table} == {0.3}
    assert {row["threshold"] for row in critical_rows(RECORDS, a=1.0)} == {0.5}


def test_without_information_there_is_no_critical_layer():
    records = [record(i, i > 2, [0.1, 0.2]) for i in range(6)]
    for row in critical_rows(records):
        assert (row["critical"], row["low"], row["high"]) == (None, None, None)
        assert row["defined"] == 0
    one = [record(0, False, [0.9, 0.2], cluster="a"), record(1, True, [0.1, 0.9], cluster="b")]
    everything, right, wrong, gap = critical_rows(one)
    assert (right["critical"], wrong["critical"], gap["critical"]) == (1, 0, 1)
    assert right["low"] is None  # one clip
    assert everything["critical"] == 0.5


def test_where_many_draws_have_no_critical_layer_there_is_no_interval():
    """Two clusters, of which one knows: a quarter of the draws have the other one twice."""
    records = [record(0, True, [0.1, 0.9], cluster="a"), record(1, True, [0.1, 0.2], cluster="b")]
    everything = row_of(critical_rows(records, resamples=4000), "all")
    assert everything["defined"] == pytest.approx(0.75, abs=0.03)
    assert (everything["critical"], everything["low"], everything["high"]) == (1, None, None)
    enough = row_of(critical_rows(records, resamples=4000, level=0.7), "all")
    assert (enough["low"], enough["high"]) == (1, 1)


# ------------------------------------------------------------------------------ correlation


def test_correlation_by_hand_and_by_scipy():
    """Own critical layers 1.5, 1.625 and 1.125 of right items, 1 of a wrong one; two have none."""
    records = [*RECORDS, record(5, False, [0.1, 0.2, 0.1], cluster="d")]
    own = [by_hand([layer[0] for layer in r.probabilities["letters"]["last"]]) for r in records]
    known = np.isfinite(own)
    assert known.tolist() == [True, True, True, True, False, False]
    (row,) = correlation_rows(records)
    assert (row["n"], row["n_clusters"], row["n_without"]) == (4, 2, 2)
    expected = stats.spearmanr(np.array(own)[known], [1, 1, 1, 0]).statistic
    assert row["rho"] == pytest.approx(expected, abs=1e-6)


def test_earlier_layers_of_right_items_are_a_negative_correlation():
    early, late = [0.1, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.9]
    records = [record(i, i < 5, early if i < 5 else late) for i in range(10)]
    (row,) = correlation_rows(records)
    assert row["rho"] == row["low"] == row["high"] == -1


def test_ranks_of_repeated_items_are_scipys():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 20).astype(float), rng.integers(0, 2, 20).astype(float)
    weights = rng.multinomial(20, np.full(20, 1 / 20), size=50)
    found = weighted_spearman(x, y, weights)
    for counts, correlation in zip(weights, found, strict=True):
        drawn = np.repeat(np.arange(20), counts)
        assert correlation == pytest.approx(stats.spearmanr(x[drawn], y[drawn]).statistic)


def test_without_variation_there_is_no_correlation():
    alike = [record(i, i > 2, [0.1, 0.9]) for i in range(6)]
    all_right = [record(i, True, [0.1 * i, 0.9]) for i in range(6)]
    none = [record(i, i > 2, [0.1, 0.2]) for i in range(6)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for records, n in ((alike, 6), (all_right, 6), (none, 0)):
            (row,) = correlation_rows(records)
            assert (row["rho"], row["low"], row["high"]) == (None, None, None)
            assert (row["n"], row["n_without"]) == (n, 6 - n)


# ------------------------------------------------------------------------------ which items


def test_items_whose_labels_begin_alike_are_left_out_and_counted():
    records = [
        record(0, True, [0.9], candidates="labels"),
        record(1, True, None, candidates="labels"),
        record(2, False, [0.1], candidates="labels"),
    ]
    for table in (lens_rows(records), critical_rows(records)):
        everything = table[0]
        assert (everything["n"], everything["n_unread"]) == (2, 1)
    assert correlation_rows(records)[0]["n_unread"] == 1
    assert lens_rows(records)[0]["score"] == 0.5
    assert lens_rows([records[1]]) == []


def test_an_item_whose_answer_is_a_tie_is_wrong():
    tied = record(0, True, [0.9], plain=[1.0, 1.0, 0.0, 0.0])
    assert [row["group"] for row in lens_rows([tied])] == ["all", "wrong"]


@pytest.mark.parametrize("right", [True, False])
def test_without_right_or_wrong_items_there_is_no_difference(right):
    records = [record(i, right, [0.9]) for i in range(3)]
    group = "right" if right else "wrong"
    assert [row["group"] for row in lens_rows(records)] == ["all", group]
    assert [row["group"] for row in critical_rows(records)] == ["all", group]


def test_kinds_and_conditions_are_apart_in_any_order():
    records = [
        record(0, True, [0.9], kind="lo"),
        record(1, True, [0.1], kind="eo"),
        record(2, True, [0.1], kind="lo", condition="silence"),
        record(3, True, [0.7], kind="lo"),
    ]
    table = lens_rows(records[::-1])
    found = {(r["condition"], r["kind"]): r["score"] for r in table if r["group"] == "all"}
    assert found == {("aqa", "lo"): 1, ("aqa", "eo"): 0, ("silence", "lo"): 0}
    assert table == lens_rows(records)


def test_items_with_other_numbers_of_candidates_do_not_mix():
    other = record(1, True, [[0.5, 0.3, 0.2]], plain=[1.0, 0.0, 0.0])
    with pytest.raises(ConfigError, match="have 3 and 4 candidates"):
        lens_rows([record(0, True, [0.9]), other])


def test_tables_are_json_and_the_same_every_time():
    records = many(seed=4)
    tables = [f(records) for f in (lens_rows, critical_rows, correlation_rows)]
    again = [f(records[::-1]) for f in (lens_rows, critical_rows, correlation_rows)]
    text = json.dumps(tables, allow_nan=False)
    assert text == json.dumps(again, allow_nan=False)
    assert json.loads(text) == tables
    number = tables[0][0]["score"]
    assert number == round(number, 6)


def test_a_level_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="level is 95"):
        critical_rows(many(), level=95)

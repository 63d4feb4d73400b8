"""Intervals and tests against scipy, statsmodels, simulations and numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tempo_attn import statistics as inference
from tempo_attn.errors import ConfigError
from tempo_attn.statistics import (
    binomial,
    changes,
    cluster_sums,
    cluster_weights,
    holm,
    interval_of_mean,
    mcnemar,
    percentile_interval,
    resampled_means,
)


def clustered(n_clips, per_clip, columns, rng):
    """Standard normal items whose clip makes up half of the variance; the true mean is 0."""
    clips = np.repeat(np.arange(n_clips), per_clip)
    effects = rng.standard_normal((n_clips, columns))[clips]
    return (effects + rng.standard_normal((len(clips), columns))) / np.sqrt(2), clips


def test_each_resample_draws_as_many_clips_as_there_are():
    weights = cluster_weights(["b", "a", "b", "c"], resamples=500, seed=0)
    assert weights.shape == (500, 3)
    assert (weights.sum(1) == 3).all()
    assert weights.mean(0) == pytest.approx([1, 1, 1], abs=0.15)
    assert weights.var() == pytest.approx(3 * 1 / 3 * 2 / 3, rel=0.1)  # multinomial


def test_sums_are_those_of_the_sorted_clips():
    sums, sizes = cluster_sums([[1, 10], [2, 20], [3, 30]], ["b", "a", "b"])
    assert sums.tolist() == [[2, 20], [4, 40]]
    assert sizes.tolist() == [1, 2]


def test_interval_is_scipys_for_the_ratio_of_sums():
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 60, 300)  # of different sizes
    values = rng.standard_normal((300, 2)) + rng.standard_normal((60, 2))[clips] + [0, 5]
    ours = interval_of_mean(values, clips, resamples=20_000, level=0.9)
    sums, sizes = cluster_sums(values, clips)
    for column in range(2):
        theirs = stats.bootstrap(
            (sums[:, column], sizes),
            lambda total, size, axis: total.sum(axis) / size.sum(axis),
            paired=True,
            vectorized=True,
            n_resamples=20_000,
            confidence_level=0.9,
            method="percentile",
            rng=np.random.default_rng(1),
        )
        width = ours[column, 1] - ours[column, 0]
        assert ours[column] == pytest.approx(list(theirs.confidence_interval), abs=0.02 * width)


def test_intervals_cover_the_true_mean_as_often_as_they_say():
    # Every column is a data set of its own.
    values, clips = clustered(n_clips=80, per_clip=3, columns=3000, rng=np.random.default_rng(0))
    low, high = interval_of_mean(values, clips).T
    assert 0.93 < ((low < 0) & (high > 0)).mean() < 0.97
    low, high = interval_of_mean(values, clips, level=0.8).T
    assert 0.77 < ((low < 0) & (high > 0)).mean() < 0.83
    # Taken for independent, the items cover less.
    low, high = interval_of_mean(values, np.arange(len(clips))).T
    assert ((low < 0) & (high > 0)).mean() < 0.9


def test_intervals_do_not_depend_on_how_columns_are_split(monkeypatch):
    values, clips = clustered(20, 2, columns=11, rng=np.random.default_rng(0))
    whole = interval_of_mean(values, clips, resamples=100)
    monkeypatch.setattr(inference, "_CHUNK", 300)
    assert interval_of_mean(values, clips, resamples=100) == pytest.approx(whole, abs=1e-12)


def test_seed_decides_the_interval():
    values, clips = clustered(20, 2, columns=1, rng=np.random.default_rng(0))
    first = interval_of_mean(values, clips, seed=1)
    assert (interval_of_mean(values, clips, seed=1) == first).all()
    assert (interval_of_mean(values, clips, seed=2) != first).any()


def test_one_clip_has_no_interval():
    assert np.isnan(interval_of_mean([[1.0], [2.0]], ["a", "a"])).all()


def test_equal_values_have_an_interval_of_no_width():
    values = np.linspace(-1 / 3, 1 / 7, 20)
    low, high = interval_of_mean(np.tile(values, (30, 1)), np.arange(30) // 4).T
    assert (low == values).all()  # to the last bit
    assert (high == values).all()


def test_no_column_has_no_interval():
    assert interval_of_mean(np.zeros((4, 0)), [1, 2, 3, 4]).shape == (0, 2)


@given(st.permutations(range(8)), st.floats(-10, 10))
def test_intervals_follow_the_values_and_not_their_order(order, shift):
    values = np.array([[0.0], [1], [1], [0], [3], [1], [0], [2]])
    clips = np.array(list("aabbccdd"))
    interval = interval_of_mean(values, clips, resamples=50)
    moved = interval_of_mean((values + shift)[order], clips[order], resamples=50)
    assert moved == pytest.approx(interval + shift, abs=1e-9)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_level_is_a_share(level):
    with pytest.raises(ConfigError, match=rf"level is {level}; expected a number"):
        interval_of_mean([[1.0]], ["a"], level=level)


def test_resamples_are_needed():
    with pytest.raises(ConfigError, match="resamples is 0; expected 1 or more"):
        interval_of_mean([[1.0], [2.0]], ["a", "b"], resamples=0)


def test_mcnemar_is_statsmodels():
    from statsmodels.stats.contingency_tables import mcnemar as reference

    fixed, broken = np.meshgrid(range(0, 40, 3), range(0, 40, 5))
    expected = [
        reference([[9, b], [f, 9]], exact=True).pvalue
        for f, b in zip(fixed.flat, broken.flat, strict=True)
    ]
    assert mcnemar(fixed, broken).ravel() == pytest.approx(expected)
    assert mcnemar(3, 1) == pytest.approx(2 * (1 + 4) / 2**4)
    assert mcnemar(0, 0) == mcnemar(2, 2) == 1


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_binomial_is_scipys(counts):
    for share in (1 / 3, 1 / 2, 0.25):
        expected = stats.binomtest(*counts, share).pvalue
        assert binomial(*counts, share) == pytest.approx(expected, rel=1e-6)


def test_binomial_by_hand():
    # P(0..4) = 16, 32, 24, 8, 1 of 81: as unlikely as 3 are 3 and 4.
    assert binomial(3, 4, 1 / 3) == pytest.approx(9 / 81)


def test_holm_by_hand():
    # Ascending: 0.01 * 4, 0.02 * 3, 0.03 * 2 (raised to 0.06), 0.5 * 1.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([]) == []


def test_holm_is_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(0).random(50) ** 4
    p[10:20] = p[0]
    np.testing.assert_allclose(holm(p.tolist()), multipletests(p, method="holm")[1], rtol=1e-14)


@given(st.lists(st.floats(0, 1), min_size=1))
def test_holm_only_raises_p_and_keeps_its_order(p):
    adjusted = holm(p)
    assert all(raw <= new <= 1 for raw, new in zip(p, adjusted, strict=True))
    assert min(adjusted) == pytest.approx(min(1, min(p) * len(p)))
    by_raw = [new for _, new in sorted(zip(p, adjusted, strict=True))]
    assert by_raw == sorted(by_raw)


def test_changes_by_hand():
    before = np.array([[1, 0], [1, 0], [0, 0], [0, 0], [0, 0]], dtype=bool)
    after = np.array([[0, 0], [1, 0], [1, 0], [1, 0], [0, 0]], dtype=bool)
    first, second = changes(before, after, np.arange(5))
    assert (first.fixed, first.broken, first.change) == (2, 1, 1 / 5)
    assert (first.fix_rate, first.break_rate) == (2 / 3, 1 / 2)
    assert first.p == 1
    assert first.interval[0] < 1 / 5 < first.interval[1]
    assert (second.fix_rate, second.break_rate, second.interval) == (0, None, (0, 0))


# ------------------------------------------------------------------------------ groups of items

CLUSTERS = ["a", "a", "b", "b", "c"]
VALUES = np.array([[1.0], [3.0], [5.0], [7.0], [11.0]])


def test_resampled_means_are_of_the_chosen_items_of_the_drawn_clusters():
    chosen = np.array([True, False, True, True, False])
    found = resampled_means(VALUES, CLUSTERS, chosen, resamples=200, seed=3)
    for mean, counts in zip(found[:, 0], cluster_weights(CLUSTERS, 200, 3), strict=True):
        drawn = [1.0] * counts[0] + [5.0, 7.0] * counts[1]  # nothing of "c" is chosen
        assert np.isnan(mean) if not drawn else mean == pytest.approx(np.mean(drawn))
    assert np.isnan(found).any()
    assert not np.isnan(found).all()


def test_groups_see_the_same_resamples():
    every = np.ones(5, dtype=bool)
    found = resampled_means(np.hstack([VALUES, VALUES + 2]), CLUSTERS, every, resamples=9, seed=0)
    assert found[:, 1] - found[:, 0] == pytest.approx(np.full(9, 2.0))
    ends = interval_of_mean(VALUES, CLUSTERS, resamples=9, seed=0)[0]
    assert percentile_interval(found[:, 0], 0.95) == pytest.approx(ends)


def test_one_cluster_has_no_spread():
    found = resampled_means(VALUES, ["a"] * 5, np.ones(5, dtype=bool), resamples=9, seed=0)
    assert found.shape == (0, 1)
    assert np.isnan(percentile_interval(found, 0.95)).all()


def test_resamples_without_a_value_are_left_out_of_the_interval():
    drawn = np.column_stack([[*range(101), np.nan], [np.nan] * 102])
    low, high = percentile_interval(drawn, 0.9)
    assert (low[0], high[0]) == pytest.approx((5, 95))
    assert np.isnan([low[1], high[1]]).all()


@pytest.mark.parametrize("level", [0, 1, 95, -0.5])
def test_a_level_is_a_share(level):
    with pytest.raises(ConfigError, match=f"level is {level}; expected a number between 0 and 1"):
        percentile_interval(np.zeros((3, 1)), level)

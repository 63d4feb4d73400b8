"""Shares, differences and their intervals against formulas and other implementations."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from tempo_tasks.stats.clustered_estimates import (
    FEW_DISCORDANT,
    ClusterSums,
    chance_p,
    clustered_standard_error,
    difference_error,
    difference_interval,
    effective_n,
    share_interval,
)

RIGHT_OR_WRONG = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from("xyz"), st.sampled_from([0.0, 1.0])),
    min_size=4,
    max_size=60,
)


def sums_of(rows):
    clusters, groups, values = zip(*rows, strict=True)
    return ClusterSums.of(values, clusters, groups)


def singles(values):
    return ClusterSums.of(values, range(len(values)))


def test_the_error_is_that_of_a_regression_clustered_by_clip():
    rng = np.random.default_rng(0)
    values, clips = rng.integers(0, 2, 80).astype(float), rng.integers(0, 30, 80)
    fit = sm.OLS(values, np.ones(80)).fit(cov_type="cluster", cov_kwds={"groups": clips})
    assert float(ClusterSums.of(values, clips.tolist()).error) == pytest.approx(fit.bse[0])


def test_the_macro_average_counts_kinds_alike_whatever_their_size():
    sums = sums_of([(0, "x", 1.0), (1, "x", 1.0), (2, "x", 1.0), (3, "y", 0.0)])
    assert float(sums.mean) == 0.5
    assert (sums.n, sums.n_clusters, sums.n_groups) == (4, 4, 2)


def test_the_macro_average_knows_that_kinds_share_clips():
    values = np.random.default_rng(0).integers(0, 2, 40).astype(float)
    one = float(singles(values).error)
    three_times, clips = np.tile(values, 3), list(range(40)) * 3
    kinds = ["x"] * 40 + ["y"] * 40 + ["z"] * 40
    assert float(ClusterSums.of(three_times, clips, kinds).error) == pytest.approx(one)
    elsewhere = ClusterSums.of(three_times, list(range(120)), kinds)
    assert float(elsewhere.error) == pytest.approx(one / np.sqrt(3), rel=0.02)


def test_the_macro_error_is_that_of_means_over_kinds_on_the_same_clips():
    rng = np.random.default_rng(1)
    kinds = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]] * 25)
    macros, errors = [], []
    for _ in range(1000):
        shared = rng.random(100)
        right = (0.5 * shared[:, None] + 0.5 * rng.random((100, 3))) < (0.4, 0.5, 0.7)
        sums = ClusterSums(kinds.astype(float), (right * kinds).astype(float))
        macros.append(float(sums.mean))
        errors.append(float(sums.error))
    assert np.mean(errors) == pytest.approx(np.std(macros), rel=0.06)


def test_many_clips_with_one_item_have_wilsons_interval():
    values = [1.0] * 900 + [0.0] * 1100
    expected = proportion_confint(900, 2000, method="wilson")
    assert share_interval(singles(values)) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(("value", "end"), [(1.0, 1), (0.0, 0)])
def test_all_alike_has_an_interval_as_wide_as_its_clips_allow(value, end):
    one = share_interval(singles([value] * 20))
    three = share_interval(ClusterSums.of([value] * 60, [i // 3 for i in range(60)]))
    assert three == pytest.approx(one)  # three answers on a clip may be one and the same
    assert one[end] == pytest.approx(value)
    quantile = stats.t.ppf(0.975, 19) ** 2
    assert abs(one[1 - end] - value) == pytest.approx(quantile / (20 + quantile))


def test_copies_of_an_answer_add_nothing_to_what_is_known():
    values = np.random.default_rng(3).integers(0, 2, 50).astype(float)
    thrice = ClusterSums.of(np.repeat(values, 3), np.repeat(np.arange(50), 3).tolist())
    assert float(effective_n(thrice)) == pytest.approx(float(effective_n(singles(values))))


@given(RIGHT_OR_WRONG)
def test_an_interval_of_a_share_holds_the_share_and_stays_within_it(rows):
    sums = sums_of(rows)
    low, high = share_interval(sums)
    if sums.n_clusters < 2:
        assert np.isnan(low)
        assert np.isnan(high)
    else:
        assert 0 <= low <= float(sums.mean) + 1e-9
        assert float(sums.mean) - 1e-9 <= high <= 1
        assert low < high


@given(RIGHT_OR_WRONG)
def test_chance_is_rejected_just_where_the_interval_leaves_it_out(rows):
    sums = sums_of(rows)
    if sums.n_clusters < 2:
        assert np.isnan(chance_p(sums))
        return
    low, high = share_interval(sums)
    p = float(chance_p(sums))
    if abs(p - 0.05) > 1e-9:
        assert (p < 0.05) == (not low <= 0.25 <= high)


def test_a_wider_level_gives_a_wider_interval():
    sums = singles([1.0] * 15 + [0.0] * 25)
    narrow, wide = share_interval(sums, 0.9), share_interval(sums, 0.99)
    assert wide.low < narrow.low < narrow.high < wide.high
    narrow, wide = difference_interval(sums, 0.9), difference_interval(sums, 0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_difference_has_students_interval():
    values = [1.0] * 12 + [-1.0] * 5 + [0.0] * 23
    expected = stats.t.interval(0.95, 39, np.mean(values), stats.sem(values))
    assert difference_interval(singles(values)) == pytest.approx(expected)
    assert float(difference_error(singles(values))) == pytest.approx(stats.sem(values))


@pytest.mark.parametrize(("up", "down"), [(0, 0), (1, 0), (0, 3), (4, FEW_DISCORDANT - 5)])
def test_few_changes_have_half_an_item_more_on_either_side(up, down):
    n = 40
    sums = singles([1.0] * up + [-1.0] * down + [0.0] * (n - up - down))
    mean = (up - down) / (n + 1)
    squares = up + down + 1 - (up - down) ** 2 / (n + 1)
    half = stats.t.ppf(0.975, n - 1) * np.sqrt((n + 1) / n * squares) / (n + 1)
    assert difference_interval(sums) == pytest.approx((mean - half, mean + half))


def test_the_guard_ends_where_enough_clips_differ():
    def width(up):
        low, high = difference_interval(singles([1.0] * up + [0.0] * (100 - up)))
        return high - low

    values = [1.0] * FEW_DISCORDANT + [0.0] * (100 - FEW_DISCORDANT)
    plain = 2 * stats.t.ppf(0.975, 99) * stats.sem(values)
    assert width(FEW_DISCORDANT) == pytest.approx(plain)
    values = [1.0] * (FEW_DISCORDANT - 1) + [0.0] * (101 - FEW_DISCORDANT)
    assert width(FEW_DISCORDANT - 1) > 2 * stats.t.ppf(0.975, 99) * stats.sem(values)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_difference_is_never_more_than_all_items(side):
    low, high = difference_interval(singles([side] * 9 + [-side]))
    assert -1 <= low < high <= 1
    assert side in (low, high)


def test_replicates_run_at_once_as_one_by_one():
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 3, (30, 2)).astype(float)
    drawn = rng.binomial(counts.astype(int), 0.2, (7, 30, 2)) - rng.binomial(
        counts.astype(int), 0.02, (7, 30, 2)
    )
    together = difference_interval(ClusterSums(counts, drawn.astype(float)))
    for number, sums in enumerate(drawn):
        alone = difference_interval(ClusterSums(counts, sums.astype(float)))
        assert alone == pytest.approx((together.low[number], together.high[number]))


# The scalar error that the scores of lm_eval have, without arrays.


def test_one_item_a_cluster_is_the_ordinary_error():
    values = np.random.RandomState(0).randint(0, 2, 50).astype(float)
    assert clustered_standard_error(values, range(50)) == pytest.approx(stats.sem(values))


def test_copies_of_a_clip_add_no_information():
    values = np.random.RandomState(0).randint(0, 2, 50).astype(float)
    thrice, clips = np.repeat(values, 3), np.repeat(np.arange(50), 3)
    assert clustered_standard_error(thrice, clips) == pytest.approx(stats.sem(values))


def test_it_covers_the_spread_of_means_over_resampled_clips():
    rng = np.random.RandomState(1)
    means, errors = [], []
    for _ in range(2000):
        clip_effect = np.repeat(rng.standard_normal(40), 3)
        values = clip_effect + 0.5 * rng.standard_normal(120)
        means.append(values.mean())
        errors.append(clustered_standard_error(values, np.repeat(np.arange(40), 3)))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.05)


@pytest.mark.parametrize(("values", "clusters"), [([], []), ([1.0], ["a"]), ([1, 0], ["a", "a"])])
def test_fewer_than_two_clusters_have_no_error(values, clusters):
    assert math.isnan(clustered_standard_error(values, clusters))


def test_the_error_over_arrays_is_the_same():
    rng = np.random.default_rng(2)
    values, clips = rng.random(60), rng.integers(0, 17, 60)
    expected = clustered_standard_error(values.tolist(), clips.tolist())
    assert float(ClusterSums.of(values, clips.tolist()).error) == pytest.approx(expected)

"""Tests of paired answers against enumeration and against the textbook."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tempo_tasks.stats.clustered_estimates import ClusterSums
from tempo_tasks.stats.pairs import (
    compare,
    detectable_accuracy,
    detectable_difference,
    in_twelfths,
    sign_flip_p,
)


def enumerated(contributions):
    """Mid-p over all sign flips."""
    flips = np.array(list(product((1, -1), repeat=len(contributions))))
    totals, observed = np.abs(flips @ contributions), abs(contributions.sum())
    same = np.isclose(totals, observed)
    return ((totals > observed) & ~same).mean() + same.mean() / 2


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9).filter(any))
def test_sign_flips_are_those_of_an_enumeration(contributions):
    values = np.array(contributions, dtype=float)
    assert sign_flip_p(values) == pytest.approx(enumerated(values))


@given(st.integers(0, 40), st.integers(0, 40))
def test_with_one_item_a_clip_it_is_mcnemars_mid_p(gained, lost):
    # Fagerland, Lydersen & Laake (2013), eq. for the mid-p test.
    changes = gained + lost
    p = sign_flip_p(np.array([12.0] * gained + [-12.0] * lost + [0.0] * 5))
    if not changes:
        assert p == 1
        return
    exact = min(1.0, 2 * stats.binom.cdf(min(gained, lost), changes, 0.5))
    if gained == lost:
        exact = 1.0
    point = stats.binom.pmf(gained, changes, 0.5)
    assert p == pytest.approx(exact - point if gained != lost else 1 - point / 2)


def test_answers_that_are_copies_count_once():
    once = np.array([1.0] * 6 + [-1.0] * 2)
    assert sign_flip_p(3 * once) == pytest.approx(sign_flip_p(once))


def test_kinds_of_unequal_size_are_drawn_and_agree_with_an_enumeration():
    rng = np.random.default_rng(0)
    values = rng.choice([-1.0, 0.7, 0.31, 1.31], 12)
    assert sign_flip_p(values) == pytest.approx(enumerated(values), abs=0.005)
    assert sign_flip_p(values) == sign_flip_p(values)


def test_a_drawn_p_is_never_zero():
    assert 0 < sign_flip_p(np.array([1.1, 0.37, 0.53] * 60), flips=1000) <= 1 / 1000


def test_clusters_weigh_as_in_the_average_over_kinds():
    # Two items of kind x, one of y: an item of y weighs as much as two of x.
    sums = ClusterSums.of([1.0, -1.0, 1.0], [0, 1, 1], ["x", "x", "y"])
    assert in_twelfths(sums).tolist() == [12, 12]


def test_what_a_comparison_says():
    before = [1, 1, 0, 0, 0, 0, 1, 0, 1, 0]
    after = [1, 0, 1, 1, 1, 1, 1, 1, 1, 0]
    found = compare(before, after, range(10))
    assert (found.gained, found.lost, found.n, found.n_clusters) == (5, 1, 10, 10)
    assert (found.before, found.after) == (0.4, 0.8)
    assert found.difference == pytest.approx(0.4)
    assert found.error == pytest.approx(stats.sem(np.subtract(after, before)))
    assert found.low < 0.4 < found.high
    assert found.odds_ratio == 5
    assert found.cohens_g == pytest.approx(5 / 6 - 1 / 2)
    assert found.p_mcnemar == pytest.approx(stats.binomtest(5, 6).pvalue)
    assert found.p == pytest.approx(stats.binomtest(5, 6).pvalue - stats.binom.pmf(5, 6, 0.5))
    assert found.items_needed == np.ceil(10 * (found.detectable / 0.4) ** 2)


def test_the_same_answers_twice_say_nothing_and_how_little_that_is():
    found = compare([1, 0, 1, 0] * 10, [1, 0, 1, 0] * 10, range(40))
    assert (found.difference, found.error, found.p, found.p_mcnemar) == (0, 0, 1, 1)
    assert found.odds_ratio is found.cohens_g is found.items_needed is None
    assert found.low == pytest.approx(-found.high)
    assert 0.03 < found.high < 0.08
    assert found.detectable > 0


def test_exchanged_sets_change_the_sign_alone():
    before, after = [1, 0, 0, 0, 1, 0, 0], [0, 1, 1, 1, 1, 0, 0.5]
    clips = [0, 0, 1, 2, 3, 4, 4]
    one, other = compare(before, after, clips), compare(after, before, clips)
    assert one.difference == pytest.approx(-other.difference)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert (one.gained, one.lost, one.p) == (other.lost, other.gained, pytest.approx(other.p))
    assert (one.gained, one.lost) == (4, 1)


def test_one_clip_alone_has_no_interval():
    found = compare([0, 0], [1, 0], ["a", "a"])
    assert np.isnan([found.error, found.low, found.high, found.detectable]).all()
    assert found.items_needed is None


def test_many_clips_see_a_difference_of_2_8_errors():
    seen = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert detectable_difference(0.01, 5000) == pytest.approx(seen * 0.01, rel=1e-3)
    assert detectable_difference(0.01, 5) > detectable_difference(0.01, 50)
    assert detectable_difference(0.01, 50, level=0.99) > detectable_difference(0.01, 50)
    assert detectable_difference(0.9, 50) == 1


@pytest.mark.parametrize("n_clusters", [4, 20])
def test_few_clips_see_it_by_students_test_in_80_of_100(n_clusters):
    found = detectable_difference(0.01, n_clusters) / 0.01
    bound = stats.t.ppf(0.975, n_clusters - 1)
    above = stats.nct.sf(bound, n_clusters - 1, found)
    assert above + stats.nct.cdf(-bound, n_clusters - 1, found) == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(("n", "share"), [(40, 0.4555), (400, 0.312), (1657, 0.280)])
def test_an_accuracy_that_is_just_told_from_chance_is_told_in_80_of_100(n, share):
    found = detectable_accuracy(n, n)
    assert found == pytest.approx(share, abs=5e-4)
    bound = 0.25 + stats.t.ppf(0.975, n - 1) * np.sqrt(0.25 * 0.75 / n)
    told = stats.norm.sf((bound - found) / np.sqrt(found * (1 - found) / n))
    assert told == pytest.approx(0.8, abs=0.01)


def test_a_handful_of_items_tells_nothing_from_chance():
    assert detectable_accuracy(2, 2) == 1
    assert np.isnan(detectable_accuracy(1, 1))

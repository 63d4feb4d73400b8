"""All pairs at once give what the test of one pair gives."""

from itertools import combinations

import numpy as np
import pytest

from tempo_attn.statistics import holm
from tempo_tasks.stats.all_pairs import all_pairs_p
from tempo_tasks.stats.pairs import compare


def one_by_one(credits, clusters):
    pairs = combinations(range(len(credits)), 2)
    return [compare(credits[a], credits[b], clusters).p for a, b in pairs]


@pytest.mark.parametrize("shares", [(1,), (1, 2), (1, 2, 3, 4)], ids=["whole", "half", "third"])
@pytest.mark.parametrize("per_cluster", [1, 2, 3])
@pytest.mark.parametrize("n_items", [3, 30, 150])
def test_the_test_of_one_pair(shares, per_cluster, n_items):
    rng = np.random.default_rng(n_items * per_cluster)
    skills = rng.uniform(0.1, 0.9, size=(7, 1))
    right = rng.random((7, n_items)) < skills
    credits = right / rng.choice(shares, size=right.shape)
    clusters = [number // per_cluster for number in range(n_items)]
    expected = one_by_one(credits, clusters)
    np.testing.assert_allclose(all_pairs_p(credits, clusters), expected, atol=1e-10)


def test_no_difference_and_one_set():
    same = np.array([[1.0, 0, 1], [1, 0, 1], [1, 0, 0]])
    assert all_pairs_p(same, "abc").tolist()[0] == 1
    np.testing.assert_allclose(all_pairs_p(same, "abc"), one_by_one(same, "abc"))
    assert all_pairs_p(same[:2], "abc").tolist() == [1]
    assert all_pairs_p(same[:1], "abc").tolist() == []


def test_a_bound_in_the_place_of_p_changes_no_decision():
    rng = np.random.default_rng(5)
    credits = (rng.random((40, 120)) < np.linspace(0.2, 0.95, 40)[:, None]).astype(float)
    clusters = [number // 2 for number in range(120)]
    exact = all_pairs_p(credits, clusters)
    bounded = all_pairs_p(credits, clusters, enough=0.05 / len(exact))
    assert (bounded >= exact - 1e-12).all()
    assert (bounded != exact).any()
    assert (np.array(holm(exact.tolist())) < 0.05).tolist() == (
        np.array(holm(bounded.tolist())) < 0.05
    ).tolist()


def kinds_of(sizes):
    """Items of kinds: names of clips, which the kinds share, and of kinds."""
    clusters = [f"clip {number}" for size in sizes for number in range(size)]
    return clusters, [kind for kind, size in enumerate(sizes) for _ in range(size)]


def answers(skills, n_items, seed=0):
    return (np.random.default_rng(seed).random((len(skills), n_items)) < skills).astype(float)


@pytest.mark.parametrize("sizes", [(40, 40, 40), (528, 499, 630), (90, 60, 30), (12, 9, 7)])
def test_averages_over_kinds(sizes):
    """The average that tables show is tested, not all items together."""
    clusters, kinds = kinds_of(sizes)
    credits = answers(np.linspace(0.5, 0.62, 6)[:, None], sum(sizes))
    pairs = list(combinations(range(len(credits)), 2))
    expected = [compare(credits[a], credits[b], clusters, kinds).p for a, b in pairs]
    # Of unequal kinds, `compare` draws 20,000 times.
    np.testing.assert_allclose(all_pairs_p(credits, clusters, kinds), expected, atol=0.012)


@pytest.mark.parametrize(("gained", "within"), [(30, 0.01), (42, 0.1), (50, 0.3)])
def test_averages_over_kinds_in_the_tail(gained, within):
    """The sum of Davies is near the exact one where both can be had: where one kind differs."""
    clusters, kinds = kinds_of((60, 80))
    credits = np.zeros((2, 140))
    credits[0, :gained] = 1
    credits[1, gained:57] = 1
    exact = compare(credits[0, :60], credits[1, :60], clusters[:60]).p
    (found,) = all_pairs_p(credits, clusters, kinds)
    assert found == pytest.approx(exact, rel=within)


def test_pooled_items_and_the_average_disagree_and_the_average_counts():
    clusters = list(range(440))
    kinds = [0] * 400 + [1] * 40
    credits = np.zeros((2, 440))
    credits[0, :60] = 1  # 0.15 of the large kind
    credits[1, 400:] = 1  # all of the small one
    by_average = all_pairs_p(credits, clusters, kinds)
    assert by_average[0] < 1e-6
    assert all_pairs_p(credits, clusters)[0] > 0.03


def test_weighted_pairs_that_are_surely_apart_get_the_bound():
    clusters, kinds = kinds_of((60, 80))
    credits = np.stack([np.zeros(140), np.ones(140), np.ones(140)])
    p = all_pairs_p(credits, clusters, kinds, enough=1e-3)
    assert (p[:2] < 1e-3).all()
    assert p[2] == 1

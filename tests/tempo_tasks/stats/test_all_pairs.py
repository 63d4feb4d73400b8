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

"""Clustered standard errors against what is known of them."""

import math

import numpy as np
import pytest
from scipy import stats

from tempo_tasks.stats import clustered_standard_error
from tempo_tasks.stats.estimates import ClusterSums


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

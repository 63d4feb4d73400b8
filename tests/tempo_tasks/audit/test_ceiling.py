"""The perfect detector against what is known of it exactly."""

import numpy as np
import pytest
from scipy.stats import norm

from tempo_tasks.audit.ceiling import Ceiling, Simulation, pooled, sigma_for
from tempo_tasks.audit.item_arrays import items_of
from tempo_tasks.questions.questions import Kind
from tests.support.audit_sets import items, question, random_set

OPTIONS = ("Dog", "Bell", "Rain", "Wind")


def one(kind, events, right=0, n=1):
    """`n` items on clips that are alike."""
    made = [question(OPTIONS, right, clip=f"{i:03}", kind=kind) for i in range(n)]
    return Simulation.of(items(made, events={f"{i:03}": events for i in range(n)}), 0)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
@pytest.mark.parametrize(
    ("kind", "spread"), [(Kind.EO, 2**0.5), (Kind.LO, 2**0.5), (Kind.LD, 4**0.5)]
)
def test_two_events_of_one_interval_have_the_normal_probability(kind, spread, sigma):
    # The dog starts 1.5 s earlier, ends 0.75 s later, lasts 2.25 s longer.
    events = {"Dog": [(1.0, 9.0)], "Bell": [(2.5, 8.25)]}
    lead = {Kind.EO: 1.5, Kind.LO: 0.75, Kind.LD: 2.25}[kind]
    (point,) = one(kind, events).accuracy([sigma])
    assert point.error < 0.002
    exact = norm.cdf(lead / (spread * sigma))
    assert point.accuracy == pytest.approx(exact, abs=4 * max(point.error, 1e-4))


def test_every_interval_has_its_own_error():
    # Two rivals' starts: right if its one start is before both of them.
    events = {"Dog": [(1.0, 2.0)], "Bell": [(2.0, 3.0), (4.0, 5.0)]}
    (point,) = one(Kind.EO, events).accuracy([1.5])
    grid = np.linspace(-12, 14, 20001)
    exact = np.trapezoid(
        norm.pdf(grid, 1.0, 1.5) * norm.sf(grid, 2.0, 1.5) * norm.sf(grid, 4.0, 1.5), grid
    )
    assert point.accuracy == pytest.approx(exact, abs=4 * point.error)
    # Durations: two boundaries for each interval.
    events = {"Dog": [(0.0, 4.0)], "Bell": [(0.0, 1.0), (2.0, 3.0), (5.0, 6.0)]}
    (point,) = one(Kind.LD, events).accuracy([0.8])
    exact = norm.cdf(1.0 / (0.8 * 8**0.5))
    assert point.accuracy == pytest.approx(exact, abs=4 * point.error)


def test_without_error_it_is_always_right_and_ties_are_shared():
    for kind in Kind:
        assert one(kind, {"Dog": [(1.0, 9.0)], "Bell": [(3.0, 4.0)]}).accuracy([0])[0] == Ceiling(
            0, 1.0, 0.0
        )
    tie = one(Kind.EO, {"Dog": [(1.0, 9.0)], "Bell": [(1.0, 4.0)], "Rain": [(2.0, 3.0)]})
    assert tie.accuracy([0])[0].accuracy == 0.5


@pytest.mark.parametrize(
    ("present", "expected"),
    [(["Dog"], 1.0), (["Bell"], 0.0), (["Bell", "Rain"], 0.0), (["Other"], 0.25)],
)
def test_items_without_a_choice_need_no_simulation(present, expected):
    simulation = one(Kind.EO, {label: [(1.0, 2.0)] for label in present})
    assert simulation.accuracy([0.5, 50.0]) == [Ceiling(s, expected, 0.0) for s in (0.5, 50.0)]


def test_the_standard_error_is_below_a_fifth_of_a_point_and_true():
    wide = {"Dog": [(1.0, 2.0)], "Bell": [(1.5, 2.5)]}
    for n in (1, 40):
        made = one(Kind.EO, wide, n=n)
        assert made.accuracy([1.0])[0].error < 0.002
    exact = norm.cdf(0.5 / 2**0.5)
    misses, errors = [], []
    for seed in range(60):
        made = [question(OPTIONS, 0, clip=f"{i}") for i in range(40)]
        simulation = Simulation.of(items(made, events={f"{i}": wide for i in range(40)}), seed)
        (point,) = simulation.accuracy([1.0])
        misses.append(point.accuracy - exact)
        errors.append(point.error)
    assert np.std(misses) == pytest.approx(np.mean(errors), rel=0.35)
    assert abs(np.mean(misses)) < 4 * np.mean(errors) / 60**0.5


def test_items_do_not_disturb_each_other():
    first = {"Dog": [(1.0, 2.0)], "Bell": [(1.4, 2.5)]}
    second = {"Dog": [(0.0, 2.0)], "Bell": [(9.0, 9.5)], "Rain": [(8.0, 9.5)], "Wind": [(7.0, 8.0)]}
    made = [question(OPTIONS, 0, clip="1"), question(OPTIONS, 0, clip="2")]
    simulation = Simulation.of(items(made, events={"1": first, "2": second}), 0)
    (point,) = simulation.accuracy([0.5])
    exact = (norm.cdf(0.4 / (0.5 * 2**0.5)) + 1) / 2
    assert point.accuracy == pytest.approx(exact, abs=4 * point.error)


def test_the_sigma_of_an_accuracy_is_the_inverse():
    simulation = one(Kind.EO, {"Dog": [(1.0, 9.0)], "Bell": [(2.5, 8.25)]}, n=30)
    for accuracy in (0.9, 0.75, 0.6):
        exact = 1.5 / (2**0.5 * norm.ppf(accuracy))
        assert sigma_for(simulation.curve, accuracy) == pytest.approx(exact, rel=0.05)
    assert sigma_for(simulation.curve, 0.4) is None  # with two events never so low


def test_pooling_counts_items():
    points = [[Ceiling(1.0, 0.8, 0.03)], [Ceiling(1.0, 0.4, 0.04)]]
    (both,) = pooled(points, [30, 10])
    assert both.accuracy == pytest.approx(0.7)
    assert both.error == pytest.approx(((30 * 0.03) ** 2 + (10 * 0.04) ** 2) ** 0.5 / 40)


def test_the_same_seed_gives_the_same_numbers():
    (made,) = items_of(random_set(50))
    one, two, other = (Simulation.of(made, seed).accuracy([1.0]) for seed in (0, 0, 1))
    assert one == two != other

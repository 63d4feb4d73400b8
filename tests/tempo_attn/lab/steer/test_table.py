"""The table of made-up answers, whose flips are known; and a null that nothing is found in."""

import numpy as np
import pytest

from tempo_attn.lab.steer.pushes import Push
from tempo_attn.lab.steer.records import SteerRecord
from tempo_attn.lab.steer.table import NO_ANSWER, answers_of, steer_rows

REAL, RANDOM = Push(layers=(2,), strength=1.0), Push(layers=(2,), strength=1.0, draw=1)


def record(index, pushed, control=(1.0, 0.0, 0.0, 0.0), **fields):
    values = {
        "key": f"{index:064x}",
        "index": index,
        "id": f"item {index}",
        "cluster": f"clip {index // 2}",
        "kind": "eo",
        "condition": "aqa",
        "answer": 0,
        "plain": list(control),
        "engine": "fast",
    }
    return SteerRecord(**(values | fields), control=[list(control)] * 4, pushed=pushed)


def stays(control=(1.0, 0.0, 0.0, 0.0)):
    return [list(control) for _ in range(4)]


def wins(by=2.0, control=(1.0, 0.0, 0.0, 0.0)):
    """Each option pushed gains so much; the others stay."""
    return (np.array([control] * 4) + by * np.eye(4)).tolist()


def test_a_push_that_always_flips():
    rows = steer_rows([record(n, [wins(), stays()]) for n in range(8)], [REAL, RANDOM])
    (row,) = rows
    assert (row["layers"], row["strength"], row["n"], row["n_clusters"]) == ("2", 1.0, 8, 4)
    assert row["pairs"] == 24  # three options that are not the answer
    assert (row["flipped"], row["flipped_low"], row["flipped_high"]) == (1, 1, 1)
    assert (row["random"], row["random_lowest"], row["random_highest"]) == (0, 0, 0)
    assert (row["excess"], row["excess_low"], row["excess_high"]) == (1, 1, 1)
    assert row["p_random"] == 0.5  # one of two directions flips as many
    assert (row["otherwise"], row["lost"], row["control_accuracy"]) == (0, 0, 1)
    assert (row["gain"], row["others_spread"]) == (2, 0)


def test_shares_by_hand():
    """Item 0: option 1 pushed wins, 2 gives the win to 3, 3 changes nothing; its own push ties."""
    pushed = [
        [1.0, 1.0, 0.0, 0.0],  # the answer's own name: a tie, so the answer is lost
        [1.0, 2.0, 0.0, 0.0],
        [1.0, 0.0, 0.0, 4.0],
        [1.0, 0.0, 0.0, 0.5],
    ]
    (row,) = steer_rows([record(0, [pushed]), record(1, [stays()], cluster="clip 1")], [REAL])
    assert row["pairs"] == 6
    assert row["flipped"] == pytest.approx(1 / 6, abs=1e-6)
    assert row["otherwise"] == pytest.approx(1 / 6, abs=1e-6)
    assert row["lost"] == pytest.approx(1 / 2, abs=1e-6)
    # Pairs 1, 2, 3 of item 0: 2, -4/3 and 0.5; the others' changes are 0 but for 0, 0, 4.
    assert row["gain"] == pytest.approx((2 - 4 / 3 + 0.5) / 6, abs=1e-6)
    assert row["others_spread"] == pytest.approx(np.std([0, 0, 4]) / 6, abs=1e-6)
    assert row["random"] is None
    assert row["p_random"] is None


def test_a_tied_control_gives_no_pairs():
    tied = (1.0, 1.0, 0.0, 0.0)
    found = record(0, [wins(control=tied), stays(tied)], control=tied)
    (row,) = steer_rows([found], [REAL, RANDOM])
    assert row["pairs"] == 0
    assert row["flipped"] is None
    assert row["excess_low"] is None
    assert answers_of(np.array([tied, (0, 3, 1, 1)])).tolist() == [NO_ANSWER, 1]


def test_kinds_and_conditions_have_rows_of_their_own():
    records = [
        record(0, [wins()]),
        record(1, [stays()], kind="lo"),
        record(2, [stays()], condition="silence"),
    ]
    rows = steer_rows(records, [REAL])
    assert [(row["condition"], row["kind"], row["flipped"]) for row in rows] == [
        ("aqa", "all", 0.5),
        ("aqa", "eo", 1),
        ("aqa", "lo", 0),
        ("silence", "eo", 0),
    ]


def test_the_order_of_records_does_not_matter():
    records = [record(n, [wins(n / 3), stays()]) for n in range(9)]
    assert steer_rows(records[::-1], [REAL, RANDOM]) == steer_rows(records, [REAL, RANDOM])


def test_nothing_is_found_where_nothing_is():
    """A direction that is one of five alike: the interval of the excess misses 0 at its rate."""
    rng = np.random.default_rng(0)
    pushes = [Push(layers=(2,), strength=1.0, draw=draw) for draw in range(5)]
    missed, p = 0, []
    for _ in range(200):
        records = [
            record(n, (np.array([1.0, 0, 0, 0]) + rng.normal(0, 1, (5, 4, 4))).tolist())
            for n in range(40)
        ]
        (row,) = steer_rows(records, pushes, resamples=200)
        missed += not row["excess_low"] <= 0 <= row["excess_high"]
        p.append(row["p_random"])
    assert missed / 200 < 0.11  # nominally 0.05; clusters are 20, so intervals are a little narrow
    assert 0.1 < np.mean([value <= 0.2 for value in p]) < 0.3

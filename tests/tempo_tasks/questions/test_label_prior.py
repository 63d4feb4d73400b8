"""The label prior on hand-made sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_tasks.questions.label_prior import credit, leave_one_out


def slow_leave_one_out(options):
    """The definition, item by item."""
    earned = []
    for number, item in enumerate(options):
        others = [row for place, row in enumerate(options) if place != number]
        scores = [
            (sum(row[0] == label for row in others) + 0.25)
            / (sum(label in row for row in others) + 1)
            for label in item
        ]
        best = [place for place, score in enumerate(scores) if score >= max(scores) - 1e-9]
        earned.append((0 in best) / len(best))
    return earned


@given(st.lists(st.permutations(range(6)).map(lambda p: p[:4]), min_size=1, max_size=12))
def test_leave_one_out_is_its_definition(items):
    assert leave_one_out(np.array(items)) == pytest.approx(slow_leave_one_out(items))


def test_ties_share_the_credit():
    scores = np.array([[1.0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [2, 2, 2, 2]])
    assert credit(scores).tolist() == [0.5, 0, 1, 0.25]


def test_a_label_that_is_always_right_gives_everything_away():
    options = np.array([[0, 1, 2, 3], [0, 2, 3, 4], [0, 1, 3, 4]])
    assert leave_one_out(options).tolist() == [1, 1, 1]


def test_exact_balance_is_answered_wrongly_throughout():
    # Four labels, each right once: the one left out has the lowest count of all.
    options = np.array([[0, 1, 2, 3], [1, 0, 2, 3], [2, 0, 1, 3], [3, 0, 1, 2]])
    assert leave_one_out(options).tolist() == [0, 0, 0, 0]

"""Ties, generated answers and controls: what is known of a sweep before its effects."""

import numpy as np
import pytest

from tempo_attn.errors import ConfigError
from tempo_attn.lab.sweep.generation_and_control import agreement, largest_control_difference, picks
from tests.support.sweep_results import TIE, edit, logits_of, sweep

EDIT = edit(0.5)


def test_a_pick_is_the_highest_logit_and_a_tie_none():
    assert picks(np.array([[0, 2, 1], [2, 0, 2], [1, 1, 3]])).tolist() == [1, TIE, 2]


def test_logits_of_the_helper_say_what_is_picked():
    assert picks(np.array([logits_of(2), logits_of(TIE)])).tolist() == [2, TIE]


def test_agreement_of_generation_and_logits():
    plain = [0, 1, 2, 3, TIE, TIE, 1]
    generated = [0, 1, 0, -1, -1, 2, None]
    results = sweep({EDIT.control: plain}, generated=generated)
    found = agreement(results)
    assert (found.n, found.n_agree, found.n_unparsed, found.n_ties) == (6, 2, 2, 2)
    assert agreement(sweep({EDIT.control: plain})).n == 0


def test_the_largest_control_difference_is_over_all_controls():
    second = edit(0.5, layers=(9,)).control
    third = edit(0.5, layers=(10,)).control
    picks_of = {EDIT.control: [0, 1, 2], EDIT: [3, 3, 3], second: [0, 0, 2], third: [0, 0, 2]}
    found = largest_control_difference(sweep(picks_of, gaps={second: 1.25, EDIT: 9}))
    assert (found.logits, found.n_changed, found.n) == (1.25, 1, 3)
    found = largest_control_difference(sweep(picks_of, gaps={second: 0.25, third: 0.5}))
    assert found.logits == 1  # downwards, at the candidate that is not chosen any more
    same = largest_control_difference(sweep({second: [0, 1]}))
    assert (same.logits, same.n_changed) == (0, 0)
    with pytest.raises(ConfigError, match="is a control"):
        largest_control_difference(sweep({EDIT: [0]}))

"""The maths of each mode, on blocks of logits."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tempo_attn.attention.mode_formulas import (
    LOGIT_FORMULAS,
    STATE_FORMULAS,
    edit_logits,
    edit_states,
)
from tempo_attn.modes import MODES


def blocks():
    values = st.floats(-20, 20, width=32)
    return arrays("float32", (2, 1, 3, 5), elements=values).map(torch.from_numpy)


def masks():
    return arrays("bool", (2, 1, 3, 5)).map(torch.from_numpy)


@given(blocks(), masks(), st.floats(0, 4))
def test_scaling_keeps_the_other_keys(logits, keys, alpha):
    edited = edit_logits(logits, keys, "scale", alpha)
    torch.testing.assert_close(edited[keys], alpha * logits[keys])
    assert edited[~keys].equal(logits[~keys])


@given(blocks(), masks(), st.floats(0, 4))
def test_preserving_keeps_each_rows_mass(logits, keys, alpha):
    before = logits.double().softmax(-1)
    after = edit_logits(logits.double(), keys, "scale_preserving", alpha).softmax(-1)
    torch.testing.assert_close((after * keys).sum(-1), (before * keys).sum(-1))
    torch.testing.assert_close(after[~keys], before[~keys])


@given(blocks(), masks(), st.floats(0, 4), st.floats(-30, 30))
def test_preserving_does_not_depend_on_a_shift_of_all_logits(logits, keys, alpha, shift):
    """Plain scaling does: this is why the mode exists."""
    logits = logits.double()
    one = edit_logits(logits, keys, "scale_preserving", alpha).softmax(-1)
    two = edit_logits(logits + shift, keys, "scale_preserving", alpha).softmax(-1)
    torch.testing.assert_close(one, two)


@given(blocks(), masks(), st.floats(-3, 3))
def test_upweighting(logits, keys, b):
    edited = edit_logits(logits, keys, "upweight", b)
    torch.testing.assert_close(edited, logits + b * keys)
    edited = edit_logits(logits, keys, "upweight_relative", b)
    torch.testing.assert_close(edited, logits + b * logits.abs() * keys)


def test_a_row_without_keys_is_left_alone():
    logits = torch.randn(1, 2, 3, 4)
    keys = torch.zeros(1, 1, 3, 4, dtype=torch.bool)
    for mode in LOGIT_FORMULAS:
        strength = 2.0 if MODES[mode].has_strength else None
        assert edit_logits(logits, keys, mode, strength).equal(logits)


def test_each_batch_row_has_its_strength():
    logits = torch.randn(2, 2, 1, 4)
    keys = torch.ones(2, 1, 1, 4, dtype=torch.bool)
    edited = edit_logits(logits, keys, "scale", torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(edited, torch.stack([0.5 * logits[0], 2.0 * logits[1]]))


def test_every_mode_has_one_formula_of_its_kind():
    of_states = [mode.name for mode in MODES.values() if mode.edits_states]
    assert list(STATE_FORMULAS) == of_states == ["enrich", "steer"]
    assert list(LOGIT_FORMULAS) == [mode for mode in MODES if mode not in of_states]
    with pytest.raises(ValueError, match="unknown mode 'enrich'"):
        edit_logits(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1, dtype=bool), "enrich", 0.5)
    with pytest.raises(ValueError, match="unknown mode 'scale'; expected one of enrich, steer"):
        edit_states(torch.zeros(1, 2), torch.zeros(1, 2), "scale", 0.5)


def test_bad_modes():
    logits, keys = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1, dtype=torch.bool)
    with pytest.raises(ValueError, match="unknown mode 'louder'"):
        edit_logits(logits, keys, "louder", 1.0)
    with pytest.raises(ValueError, match="needs a strength"):
        edit_logits(logits, keys, "scale", None)

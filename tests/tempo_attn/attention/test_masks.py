"""Masks of every kind against what they mean, position by position."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn.attention.masks import visible_keys
from tempo_attn.attention.row_plan import RowPlan
from tempo_attn.errors import UnsupportedInputError


@st.composite
def calls(draw):
    """(first, queries, keys, window): a full, a sliding or a static cache."""
    first, n_queries = draw(st.integers(0, 6)), draw(st.integers(1, 6))
    total = first + n_queries
    n_keys = draw(st.sampled_from([total, total + 3, max(n_queries, total - 2)]))
    return first, n_queries, n_keys, draw(st.none() | st.integers(1, 8))


def meaning(first, n_queries, n_keys, window, padding=None, is_causal=True):
    """(queries, keys) bool, from the definition of each absolute position."""
    offset = max(0, first + n_queries - n_keys)
    table = torch.zeros(n_queries, n_keys, dtype=torch.bool)
    for q in range(n_queries):
        for k in range(n_keys):
            query, key = first + q, offset + k
            seen = key <= query if is_causal else key < first + n_queries
            if window is not None:
                seen = seen and query - key < window
            if padding is not None:
                seen = seen and bool(padding[k])
            table[q, k] = seen
    return table


@given(calls(), st.booleans())
def test_no_mask(call, is_causal):
    first, n_queries, n_keys, window = call
    rows = torch.arange(n_queries)[None]
    found = visible_keys(None, rows, first, n_queries, n_keys, window, is_causal)
    allowed, bias = found.allowed, found.bias
    assert bias is None
    expected = meaning(first, n_queries, n_keys, window, is_causal=is_causal)
    assert allowed.expand(1, 1, n_queries, n_keys)[0, 0].equal(expected)


@given(calls(), st.data())
def test_padding_and_four_dimensional_masks(call, data):
    first, n_queries, n_keys, window = call
    padding = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n_keys, max_size=n_keys)))
    rows = torch.tensor(
        [data.draw(st.lists(st.integers(0, n_queries - 1), min_size=1, max_size=4))]
    )
    expected = meaning(first, n_queries, n_keys, window, padding)[rows[0]]
    flash = visible_keys(padding[None].long(), rows, first, n_queries, n_keys, window, True)
    flash = flash.allowed
    table = meaning(first, n_queries, n_keys, window, padding)[None, None]
    sdpa = visible_keys(table, rows, first, n_queries, n_keys, window, True).allowed
    additive = torch.zeros(table.shape).masked_fill(~table, torch.finfo(torch.float32).min)
    found = visible_keys(additive, rows, first, n_queries, n_keys, window, True)
    eager, bias = found.allowed, found.bias
    for found in (flash, sdpa, eager):
        assert found[0, 0].equal(expected)
    assert bias[0, 0].equal(additive[0, 0][rows[0]])


def test_block_masks():
    class Block:
        """As flex attention's: a function of batch, head, query and key."""

        @staticmethod
        def mask_mod(b, h, q, k):
            return (k <= q) & (k >= b)

    rows = torch.tensor([[0, 3], [2, 3]])
    allowed = visible_keys(Block(), rows, 0, 4, 4, None, True).allowed
    for b in range(2):
        for j in range(2):
            expected = [(k <= rows[b, j]) and k >= b for k in range(4)]
            assert allowed[b, 0, j].tolist() == [bool(e) for e in expected]


def test_an_unknown_mask_is_refused():
    with pytest.raises(UnsupportedInputError, match="str"):
        visible_keys("causal", torch.zeros(1, 1, dtype=torch.long), 0, 1, 1, None, True)


def test_a_plan_used_again_looks_anew():
    """A sliding cache on a flash base: same mask (none), same number of keys, later positions."""
    keys = torch.tensor([[False, True, True, False, False, False]])
    plan = RowPlan.of(torch.ones(1, 1, dtype=torch.bool), keys, 3, "scale", 2.0, {0: None})
    seen = []
    for first in (3, 4, 5):
        plan.advance(first)
        seen.append(plan.visible(0, 1, None, 1, 3, 3, True).keys[0, 0, 0].tolist())
    assert seen == [[True, True, False], [True, False, False], [False, False, False]]


def test_layers_with_different_masks_do_not_share():
    keys = torch.ones(1, 4, dtype=torch.bool)
    plan = RowPlan.of(torch.tensor([[True]]), keys, 3, "scale", 2.0, {0: None})
    masks = [torch.ones(1, 1, 1, 4, dtype=torch.bool), torch.zeros(1, 1, 1, 4, dtype=torch.bool)]
    seen = [plan.visible(0, 1, mask, 1, 4, None, True).keys.any().item() for mask in masks]
    assert seen == [True, False]

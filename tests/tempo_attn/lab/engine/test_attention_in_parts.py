"""Attention to shared keys and to a variant's own, joined, is attention to all of them."""

import pytest
import torch

from tempo_attn.attention.masks import Visibility
from tempo_attn.lab.engine.attention_in_parts import PartMasks, attend_in_parts

ITEMS, VARIANTS, HEADS, KV, ROWS, SHARED, DIM = 3, 4, 4, 2, 10, 20, 32


def _sight():
    return torch.ones(ITEMS, 1, ROWS, SHARED + ROWS, dtype=torch.bool).tril(SHARED)


def _tensors():
    torch.manual_seed(0)
    # As a model hands its queries on: heads behind rows in memory.
    query = torch.randn(ITEMS * VARIANTS, ROWS, HEADS, DIM).transpose(1, 2)
    shared = torch.randn(2, ITEMS, KV, SHARED, DIM)
    own = torch.randn(2, ITEMS * VARIANTS, KV, ROWS, DIM)
    return query, shared, own


@pytest.mark.parametrize("padding", ["none", "before", "between"])
def test_it_is_the_same_softmax(padding):
    sight = _sight()
    if padding == "before":
        sight[1, ..., :5] = False
    if padding == "between":  # the first rows of an item's own part are padding
        sight[2, ..., SHARED : SHARED + 2] = False
    query, shared, own = _tensors()
    masks = PartMasks.of(Visibility(sight), SHARED, query)
    assert (masks.shared is None, masks.own is None) == (padding != "before", padding != "between")
    whole = torch.cat([shared.repeat_interleave(VARIANTS, 1), own], 3)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query,
        *whole,
        attn_mask=sight.repeat_interleave(VARIANTS, 0),
        scale=0.3,
        enable_gqa=True,
    )
    found = attend_in_parts(query, tuple(shared), tuple(own), masks, 0.3)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


def test_other_masks_are_left_to_one_kernel():
    query = _tensors()[0]
    window = _sight()
    window[..., 5:, :3] = False  # rows differ in what they see of the shared keys
    assert PartMasks.of(Visibility(window), SHARED, query) is None
    blind = _sight()
    blind[0, ..., :SHARED] = False
    assert PartMasks.of(Visibility(blind), SHARED, query) is None
    assert PartMasks.of(Visibility(_sight(), torch.zeros(1)), SHARED, query) is None

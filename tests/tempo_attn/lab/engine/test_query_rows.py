"""Chosen positions as rectangular tensors."""

import torch

from tempo_attn.lab.engine.query_rows import QueryRows

CHOSEN = torch.tensor(
    [
        [False, True, False, True, True],
        [False, False, True, False, False],
    ]
)


def test_shorter_lists_repeat_their_last_position_which_counts_once():
    rows = QueryRows.of(CHOSEN)
    assert rows.index.tolist() == [[1, 3, 4], [2, 2, 2]]
    assert rows.counts.tolist() == [3, 1]
    assert rows.valid.tolist() == [[True] * 3, [True, False, False]]
    assert torch.equal(rows.weights, torch.tensor([[1 / 3] * 3, [1.0, 0.0, 0.0]]))


def test_the_first_of_all_items_is_where_patches_begin():
    assert QueryRows(torch.tensor([[7, 9], [4, 4]]), torch.tensor([2, 1])).first == 4

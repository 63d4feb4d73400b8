"""Heads under tensor parallelism."""

import pytest

from tempo_attn.errors import ConfigError
from tempo_attn.serving.heads_of_rank import heads_of_rank


def test_each_rank_has_its_own_part():
    heads = {0: None, 1: [0, 3, 5], 2: [7]}
    first = heads_of_rank(heads, n_local=4, rank=0, n_ranks=2, n_heads=8)
    second = heads_of_rank(heads, n_local=4, rank=1, n_ranks=2, n_heads=8)
    assert first == {0: None, 1: [0, 3]}
    assert second == {0: None, 1: [1], 2: [3]}


def test_one_rank_has_all():
    assert heads_of_rank({3: [1, 2]}, 4, 0, 1, 4) == {3: [1, 2]}


def test_parts_of_another_size_are_refused():
    with pytest.raises(ConfigError, match="rank 1 of 2 has 3 query heads a layer"):
        heads_of_rank({0: [1]}, 3, 1, 2, 8)

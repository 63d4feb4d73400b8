"""Keys of earlier chunks."""

import pytest
import torch

from tempo_attn.errors import EditNotAppliedError
from tempo_attn.serving.key_store import KeyStore


def test_chunks_come_back_in_one_piece():
    key, value = torch.randn(11, 2, 4), torch.randn(11, 2, 3)
    store = KeyStore(room=4)  # too little: it grows twice
    for start, stop in ((0, 3), (3, 8), (8, 9), (9, 11)):
        keys, values = store.extend(start, key[start:stop], value[start:stop])
        assert torch.equal(keys, key[:stop])
        assert torch.equal(values, value[:stop])


def test_a_prompt_that_begins_again_begins_anew():
    store = KeyStore(room=4)
    store.extend(0, torch.ones(3, 1, 1), torch.ones(3, 1, 1))
    keys, _ = store.extend(0, torch.zeros(2, 1, 1), torch.zeros(2, 1, 1))
    assert torch.equal(keys, torch.zeros(2, 1, 1))


def test_positions_that_were_never_seen_are_an_error():
    store = KeyStore(room=4)
    store.extend(0, torch.ones(3, 1, 1), torch.ones(3, 1, 1))
    with pytest.raises(EditNotAppliedError, match="goes on at position 5"):
        store.extend(5, torch.ones(1, 1, 1), torch.ones(1, 1, 1))

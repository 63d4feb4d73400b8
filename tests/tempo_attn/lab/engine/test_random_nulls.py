"""The draws of the nulls: which text keys stand for audio keys, and whose seed draws them."""

import pytest
import torch

from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.engine.random_nulls import draw_keys_and_signs, item_seeds


@pytest.fixture
def batch(tiny_model, prepared):
    subject = ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer)
    return subject.read(prepared.items)


@pytest.mark.parametrize("n_visible", [1, 3])
def test_keys_are_drawn_up_to_the_last_edited_row(batch, n_visible):
    """Where an edited row sees fewer text keys than there are audio keys, all of them are drawn."""
    text = batch.real & ~batch.audio
    last = torch.stack([row.nonzero().flatten()[n_visible - 1] for row in text])
    keys, _ = draw_keys_and_signs(batch, last, item_seeds(batch.items, 0))
    for item, row in enumerate(text):
        visible = row.clone()
        visible[int(last[item]) + 1 :] = False
        assert int(visible.sum()) == n_visible < int(batch.audio[item].sum())
        assert torch.equal(keys[item], visible)


def test_as_many_text_keys_as_audio_keys_by_the_items_own_seed(batch):
    last = torch.full((len(batch.items),), batch.real.shape[1] - 1)
    keys, signs = draw_keys_and_signs(batch, last, item_seeds(batch.items, 0))
    assert torch.equal(keys.sum(1), batch.audio.sum(1))
    assert not bool((keys & (batch.audio | ~batch.real)).any())
    assert set(signs[batch.audio].tolist()) == {-1.0, 1.0}
    again = draw_keys_and_signs(batch, last, item_seeds(batch.items, 0))
    other = draw_keys_and_signs(batch, last, item_seeds(batch.items, 1))
    assert torch.equal(keys, again[0])
    assert torch.equal(signs, again[1])
    assert not torch.equal(keys, other[0])

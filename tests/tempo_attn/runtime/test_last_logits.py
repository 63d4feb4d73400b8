"""Only the logits that are needed are made, by every model."""

import pytest
import torch
from torch import nn

from tempo_attn.runtime.last_logits import last_logits
from tests.support.tiny_models import FAMILIES


@pytest.mark.parametrize("name", ["qwen2_audio", "voxtral"])
def test_the_last_logits_are_those_of_a_whole_forward(name):
    tiny = FAMILIES[name]()
    unembedded = []
    head = tiny.model.get_output_embeddings()
    head.register_forward_hook(lambda module, args, output: unembedded.append(output.shape[1]))
    with torch.no_grad():
        expected = tiny.model(**tiny.batch).logits
        with last_logits(tiny.model, 2) as only_last:
            found = tiny.model(**tiny.batch, **only_last).logits
        again = tiny.model(**tiny.batch).logits
    assert unembedded == [expected.shape[1], 2, expected.shape[1]]
    torch.testing.assert_close(found, expected[:, -2:], atol=1e-5, rtol=1e-5)
    assert torch.equal(again, expected)


def test_a_model_without_a_head_is_left_alone():
    class Plain(nn.Module):
        def forward(self, input_ids):
            return input_ids

    with last_logits(Plain(), 3) as only_last:
        assert only_last == {}

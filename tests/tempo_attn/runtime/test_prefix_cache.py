"""Beginnings that prompts share: the same logits as prompts run as a whole."""

import pytest
import torch
from torch import nn
from transformers import DynamicCache

from tempo_attn import AttnScaleConfig, apply_attn_scale
from tempo_attn.errors import UnsupportedInputError, UnsupportedModelError
from tempo_attn.runtime.prefix_cache import (
    Prefix,
    cache_keyword,
    compute_prefixes,
    join_prefixes,
    left_padded,
    positions_of,
)
from tests.support.tiny_models import FAMILIES

TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture
def tiny():
    return FAMILIES["qwen2_audio"]()


def split(tiny):
    """The batch's two prompts, cut behind the audio: beginnings, questions, whole prompts' mask."""
    inputs = tiny.batch
    ids, real = inputs["input_ids"], inputs["attention_mask"].bool()
    audio = tiny.batch_spans["audio"]
    ends = [int(row.nonzero().max()) + 1 for row in audio]
    first = [ids[n][: ends[n]][real[n][: ends[n]]] for n in range(2)]
    rest = [ids[n][ends[n] :] for n in range(2)]
    more = {k: v for k, v in inputs.items() if k not in ("input_ids", "attention_mask")}
    beginnings = {
        "input_ids": left_padded(first, 0),
        "attention_mask": left_padded([torch.ones_like(row) for row in first], 0),
        **more,
    }
    ones = [torch.ones_like(row) for row in rest]
    return beginnings, left_padded(rest, 0), left_padded(ones, 0)


def whole(tiny, prefixes, ids, mask):
    """The arguments of a call that goes on from the beginnings, and those of the whole prompts."""
    before = left_padded([torch.ones_like(p.ids) for p in prefixes], 0)
    full_mask = torch.cat([before, mask], 1)
    full_ids = torch.cat([left_padded([p.ids for p in prefixes], 0), ids], 1)
    cache = {cache_keyword(tiny.model): join_prefixes([[p] for p in prefixes], before.shape[1])}
    full = {"input_ids": full_ids, "attention_mask": full_mask, **cache}
    rest = {"position_ids": positions_of(full_mask)[:, before.shape[1] :], "input_ids": ids}
    return full, {**full, **rest}


def test_beginnings_and_questions_give_the_logits_of_whole_prompts(tiny):
    beginnings, ids, mask = split(tiny)
    with torch.no_grad():
        prefixes = compute_prefixes(tiny.model, beginnings)
        assert [prefix.n_tokens for prefix in prefixes] == beginnings["attention_mask"].sum(
            1
        ).tolist()
        (block,) = prefixes[0].blocks  # keys and values of all layers, one after the other
        n_layers = tiny.model.config.get_text_config().num_hidden_layers
        assert block.shape[0] == 2 * n_layers
        assert prefixes[0].n_bytes == block.nbytes
        _, rest = whole(tiny, prefixes, ids, mask)
        logits = tiny.model(**rest).logits[:, -1]
    torch.testing.assert_close(logits, tiny.logits(tiny.batch)[:, -1], **TOLERANCE)
    # One beginning in several rows, and what is kept is not changed by going on from it.
    twice = [prefixes[0], prefixes[0]]
    with torch.no_grad():
        _, rest = whole(tiny, twice, ids[:1].repeat(2, 1), mask[:1].repeat(2, 1))
        again = tiny.model(**rest).logits[:, -1]
    torch.testing.assert_close(again, logits[:1].repeat(2, 1), **TOLERANCE)


@pytest.mark.parametrize("queries", [["last"], ["all_text"]])
def test_an_edit_acts_on_the_questions_as_in_whole_prompts(tiny, queries):
    config = AttnScaleConfig(strength=4.0, layers="all", queries=queries)
    model = apply_attn_scale(tiny.model, config)
    beginnings, ids, mask = split(tiny)
    with torch.no_grad():
        expected = model(**tiny.batch).logits[:, -1]
        with model.disable_adapter():
            plain = model(**tiny.batch).logits[:, -1]
            prefixes = compute_prefixes(model.base_model, beginnings)
        full, rest = whole(tiny, prefixes, ids, mask)
        with model.going_on(full):
            logits = model(**rest).logits[:, -1]
    torch.testing.assert_close(logits, expected, **TOLERANCE)
    assert not torch.allclose(logits, plain, atol=1e-3)
    model.unload()


def test_an_edit_within_the_cache_is_refused(tiny):
    config = AttnScaleConfig(strength=4.0, layers="all", queries=["last"])
    model = apply_attn_scale(tiny.model, config)
    with torch.no_grad(), model.disable_adapter():
        prefixes = compute_prefixes(model.base_model, split(tiny)[0])
    full, _ = whole(tiny, prefixes, torch.zeros(2, 0).long(), torch.zeros(2, 0).long())
    rows = torch.zeros_like(full["input_ids"]).bool()
    rows[:, -1] = True  # an audio position, which the cache holds
    with (
        model.positions(query_mask=rows),
        pytest.raises(UnsupportedInputError, match="holds already"),
        model.going_on(full),
    ):
        pass
    model.unload()


def test_models_that_cannot_are_refused():
    class Plain(nn.Module):
        def forward(self, input_ids):
            return input_ids

    with pytest.raises(UnsupportedModelError, match=r"Plain\.forward takes no key/value cache"):
        cache_keyword(Plain())


def test_a_beginning_in_parts_is_the_same(tiny):
    beginnings, ids, mask = split(tiny)
    with torch.no_grad():
        prefixes = compute_prefixes(tiny.model, beginnings)
        _, rest = whole(tiny, prefixes, ids, mask)
        expected = tiny.model(**rest).logits[:, -1]
        parts = []
        for prefix in prefixes:
            blocks = [(block[:, :, :3], block[:, :, 3:]) for block in prefix.blocks]
            first, second = zip(*blocks, strict=True)
            parts.append([Prefix(prefix.ids[:3], first), Prefix(prefix.ids[3:], second)])
        name = cache_keyword(tiny.model)
        n_before = rest["attention_mask"].shape[1] - ids.shape[1]
        rest[name] = join_prefixes(parts, n_before)
        torch.testing.assert_close(tiny.model(**rest).logits[:, -1], expected, **TOLERANCE)


@pytest.mark.parametrize("room", [0, 2, 5])
def test_a_cache_grows_within_its_room_and_beyond(room):
    """Two tokens, then one at a time; rows that someone reorders in between stay right."""
    prefix = Prefix(torch.arange(3), [torch.randn(2, 1, 3, 4)])
    cache, plain = join_prefixes([[prefix], []], 3, room), DynamicCache()
    plain.update(cache.layers[0].keys.clone(), cache.layers[0].values.clone(), 0)
    assert not cache.layers[0].keys[1].any()
    for n_tokens in (2, 1, 1):
        new = torch.randn(2, 1, n_tokens, 4)
        found, expected = (some.update(new, 2 * new, 0) for some in (cache, plain))
        torch.testing.assert_close(found, expected)
        assert cache.get_seq_length() == plain.get_seq_length()
        for some in (cache, plain):
            some.reorder_cache(torch.tensor([1, 0]))
    assert prefix.blocks[0].shape[2] == 3

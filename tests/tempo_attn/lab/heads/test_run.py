"""Attention of single heads, against the eager weights of the plain model."""

import copy

import pytest
import torch

from tempo_attn.errors import ConfigError
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.heads.run import HeadMeter
from tests.support.prompts import SCENES, build_case

ROWS = [("last",), ("last", "keyword")]


def meter(tiny_model, prepared, **more):
    subject = ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer)
    return HeadMeter(subject, ROWS, **more)


def test_masses_are_the_eager_attention_weights(tiny_model, tiny_processor, prepared):
    """Of every layer and head: the mean over rows of the softmax on audio, event and text."""
    case = build_case(tiny_processor, SCENES)
    twin = copy.deepcopy(tiny_model)
    twin.set_attn_implementation({"text_config": "eager"})
    with torch.no_grad():
        output = twin(**prepared.inputs, output_attentions=True)
    spans = {prepared.items[1].key: [(2.0, 3.5), (6.0, 7.0)]}
    found = meter(tiny_model, prepared, spans=spans)
    records = found.run_batch(prepared.items)
    assert records[0].event is None
    for row, record in enumerate(records):
        audio, real = case.audio[row], case.real[row]
        n_text = int((real & ~audio).sum()) - 1  # but the first
        assert n_text > 0
        for names in ROWS:
            rows = torch.stack([case.rows[name][row] for name in names]).any(0)
            for layer, weights in enumerate(output.attentions):
                mine = weights[row][:, rows].mean(1)  # (heads, keys)
                name = "+".join(names)
                expected = mine[:, audio].sum(-1).tolist()
                assert record.audio[name][layer] == pytest.approx(expected, abs=2e-5)
                if n_text <= int(audio.sum()):  # then all text but the first token is taken
                    text = real & ~audio
                    text[int(real.int().argmax())] = False
                    expected = mine[:, text].sum(-1).tolist()
                    assert record.text[name][layer] == pytest.approx(expected, abs=2e-5)
                if record.event is not None:
                    event = audio.nonzero().flatten()[[2, 3, 6]]
                    expected = mine[:, event].sum(-1).tolist()
                    assert record.event[name][layer] == pytest.approx(expected, abs=2e-5)


def test_text_positions_are_as_many_as_audio_ones_and_the_same_every_time(tiny_model, prepared):
    """And depend on the item and the seed alone, not on its batch."""
    one = meter(tiny_model, prepared)
    batch = one.subject.read(prepared.items)
    targets = one._targets(batch)
    for row in range(len(prepared.items)):
        audio, _, text = targets[row].bool().unbind(-1)
        others = batch.real[row] & ~batch.audio[row]
        assert int(text.sum()) == min(int(audio.sum()), int(others.sum()) - 1)
        assert not bool((text & ~others).any())
    assert torch.equal(targets, meter(tiny_model, prepared)._targets(batch))


def test_rows_are_needed(tiny_model, prepared):
    subject = ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer)
    with pytest.raises(ConfigError, match="rows are missing"):
        HeadMeter(subject, [])
    with pytest.raises(ConfigError, match="firts"):
        HeadMeter(subject, [("firts",)])

"""Kimi-Audio as a model that reads, against its class called as its package calls it.

The class is a stand-in here, loaded as remote code from the checkpoint's folder; the original was
run by hand: docs/families.md says what agreed.
"""

import sys

import pytest
import torch
from transformers import AutoModelForCausalLM

from tempo_attn import Adaptive, AttnScaleConfig, apply_attn_scale
from tempo_attn.errors import OptionError, UnsupportedModelError
from tempo_attn.families.kimi import kernel
from tempo_attn.families.kimi import tokenizer as names
from tempo_attn.families.kimi.repair import repair_for_transformers_5
from tests.support.tiny_processors import noise

WAVES = noise(9000, 21000)


@pytest.fixture(scope="module")
def plain(folder):
    """The class as `from_pretrained` gives it, both heads there."""
    with kernel.importable():
        loaded = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, trust_remote_code=True
        )
    kernel.use_torch_attention(loaded)
    repair_for_transformers_5(loaded)
    return loaded.eval()


@pytest.fixture(scope="module")
def inputs(family, processor):
    messages = [{"role": "user", "content": "<audio>or<audio>which is last?"}]
    return family.process(processor, [family.chat(processor, messages)], WAVES)


def as_the_package_calls_it(model, inputs):
    """The arguments of the remote class: tokens in the audio stream, features of each clip."""
    given = [inputs[n] for n in ("whisper_features", "window_positions")]
    given += [inputs[n] for n in ("speech_features", "speech_mask")]
    tokens, features = model._heard(*given, None)
    ids = inputs["input_ids"].clone()
    ids[inputs["is_continuous_mask"]] = tokens
    clips = features.split(inputs["window_positions"].tolist())
    return {
        "input_ids": ids,
        "text_input_ids": inputs["text_input_ids"],
        "whisper_input_feature": [clip[None] for clip in clips],
        "is_continuous_mask": inputs["is_continuous_mask"],
    }


@torch.no_grad()
def test_logits_are_the_text_heads(model, plain, inputs):
    called = as_the_package_calls_it(model, inputs)
    spoken, text, _ = plain(**called, return_dict=False)
    found = model(**inputs).logits
    assert torch.allclose(found, text, atol=1e-5)
    assert not torch.allclose(found, spoken, atol=1e-2)
    kept = model(**inputs, logits_to_keep=1).logits
    assert kept.shape[1] == 1
    assert torch.allclose(kept, found[:, -1:], atol=1e-5)
    with_given = {k: v for k, v in called.items() if k != "text_input_ids"}
    assert torch.allclose(
        model(**with_given, text_input_ids=inputs["text_input_ids"]).logits, text, atol=1e-5
    )


@torch.no_grad()
def test_generation_is_the_packages_loop_for_text(model, plain, inputs, processor):
    """Greedy, the audio stream blank behind the prompt, the cache a list of pairs."""
    blank, end = processor.tokenizer.convert_tokens_to_ids([names.BLANK, names.TEXT_END])
    step = as_the_package_calls_it(model, inputs)
    length, past, expected = inputs["input_ids"].shape[1], None, []
    positions = torch.arange(length)[None]
    for number in range(6):
        _, text, past = plain(
            **step,
            position_ids=positions,
            past_key_values=past,
            use_cache=True,
            return_dict=False,
        )
        expected.append(int(text[0, -1].argmax()))
        step = {
            "input_ids": torch.tensor([[blank]]),
            "text_input_ids": torch.tensor([expected[-1:]]),
        }
        positions = torch.tensor([[length + number]])
    assert end not in expected
    for cached in (True, False):
        found = model.generate(**inputs, max_new_tokens=6, do_sample=False, use_cache=cached)
        assert found[0, length:].tolist() == expected
    # What ends a text here is its own token: the first one generated, for once.
    model.generation_config.eos_token_id = expected[0]
    try:
        found = model.generate(**inputs, max_new_tokens=6, do_sample=False)
    finally:
        model.generation_config.eos_token_id = end
    assert found[0, length:].tolist() == expected[:1]


@torch.no_grad()
def test_ids_without_a_second_stream_are_text(model, processor):
    ids = torch.tensor([processor.tokenizer("which is last?")["input_ids"]])
    blank = processor.tokenizer.convert_tokens_to_ids(names.BLANK)
    both = model(input_ids=torch.full_like(ids, blank), text_input_ids=ids).logits
    assert torch.equal(model(ids).logits, both)
    assert model.generate(ids, max_new_tokens=2, do_sample=False).shape == (1, ids.shape[1] + 2)


@torch.no_grad()
def test_an_edit_is_told_its_audio_and_decodes(model, inputs):
    before = model(**inputs).logits
    wrapped = apply_attn_scale(model, AttnScaleConfig(strength=3.0, phase="all"))
    try:
        edited = wrapped(**inputs).logits
        assert torch.equal(edited[:, :-1], before[:, :-1])
        assert (edited[:, -1] - before[:, -1]).abs().max() > 1e-2
        assert wrapped.status().audio_tokens == (8 + 17,)
        options = {"max_new_tokens": 4, "do_sample": False, "output_logits": True}
        options |= {"return_dict_in_generate": True}
        cached = wrapped.generate(**inputs, **options)
        whole = wrapped.generate(**inputs, **options, use_cache=False)
        for one, other in zip(cached.logits, whole.logits, strict=True):
            assert torch.allclose(one, other, atol=1e-5)
        assert torch.allclose(cached.logits[0], edited[:, -1], atol=1e-5)
    finally:
        wrapped.unload()
    assert torch.equal(model(**inputs).logits, before)


def test_an_adaptive_edit_reads_the_text_head(model, inputs):
    adaptive = Adaptive(threshold=0.5, low=0.5, high=2.0)
    wrapped = apply_attn_scale(model, AttnScaleConfig(adaptive=adaptive))
    try:
        found = wrapped.generate(**inputs, max_new_tokens=2, do_sample=False)
    finally:
        wrapped.unload()
    assert found.shape[1] == inputs["input_ids"].shape[1] + 2


def test_the_head_that_speaks_is_not_kept(model, plain):
    speaking = [name for name in plain.state_dict() if "mimo" in name and "mimo_norm" not in name]
    assert speaking
    assert not set(speaking) & set(model.state_dict())
    assert {name for name in plain.state_dict() if name not in speaking} <= set(model.state_dict())


def test_types_are_the_packages_by_default(load):
    model = load(dtype="auto")
    assert model.dtype == model.whisper.conv1.weight.dtype == torch.bfloat16
    assert model.speech_tokenizer.codebook.weight.dtype == torch.float32


def test_nothing_is_left_of_the_placeholder(model):
    assert "flash_attn" not in sys.modules or kernel.has_flash_attention()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trust_remote_code": False}, "pass trust_remote_code=True"),
        ({"trust_remote_code": None}, "pass trust_remote_code=True"),
        ({"load_in_4bit": True}, "takes no load_in_4bit"),
        ({"attn_implementation": "eager"}, "takes no attn_implementation"),
        ({"device_map": "auto"}, "runs on one device"),
        ({"device_map": {"model": "cpu", "lm_head": "meta"}}, "runs on one device"),
    ],
)
def test_what_cannot_be_is_refused_before_weights(load, arguments, message, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("weights are loaded")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
    with pytest.raises(OptionError, match=message):
        load(**arguments)


def test_a_model_of_another_kind_is_refused(family):
    layer = torch.nn.Module()
    layer.self_attn = torch.nn.Linear(2, 2)
    decoder = torch.nn.Module()
    decoder.layers = torch.nn.ModuleList([layer])
    decoder.get_decoder = lambda: decoder
    with pytest.raises(UnsupportedModelError, match="MoonshotAttention"):
        family.check_model(decoder)

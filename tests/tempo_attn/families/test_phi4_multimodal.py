"""Phi-4-multimodal: its processor without images, its encoder in batches, its LoRA for audio."""

import logging

import pytest
import torch
import transformers as tf

from tempo_attn.errors import MissingExtraError, UnsupportedModelError
from tempo_attn.families import get_family
from tests.support.tiny_models import FAMILIES
from tests.support.tiny_processors import TEMPLATE, noise, phi4_multimodal


@pytest.fixture
def tiny():
    return FAMILIES["phi4_multimodal"]()


@pytest.fixture
def family(tiny):
    return get_family(tiny.config)


def prompts_of(family, *contents):
    processor = phi4_multimodal()
    return [family.chat(processor, [{"role": "user", "content": text}]) for text in contents]


@pytest.mark.parametrize("n_samples", [1600, 9000, 48037])
def test_a_single_clip_is_as_the_real_processor_has_it(family, n_samples):
    processor = phi4_multimodal()
    prompts, waves = prompts_of(family, "<audio>which is last?"), noise(n_samples)
    ours = family.process(processor, prompts, waves)
    theirs = processor(text=prompts, audio=waves, return_tensors="pt")
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_clips_of_a_batch_do_not_hear_each_others_padding(tiny, family):
    """The model alone would: its attention only adds 1 where there is no padding."""
    processor, waves = phi4_multimodal(), noise(5000, 21000, 12000)
    prompts = prompts_of(family, "<audio>which?", "<audio>which is last?", "what<audio>?")
    single = [
        tiny.logits(dict(family.process(processor, [prompt], [wave])))[0, -1]
        for prompt, wave in zip(prompts, waves, strict=True)
    ]
    batch = dict(family.process(processor, prompts, waves))
    theirs = processor(
        text=prompts,
        audio=waves,
        text_kwargs={"padding": True, "padding_side": "left"},
        return_tensors="pt",
    )
    assert float((tiny.logits(dict(theirs))[0, -1] - single[0]).abs().max()) > 1e-4
    assert tiny.logits(batch)[:, -1].isnan().any(1).tolist() == [True, False, True]
    family.prepare(tiny.model)
    for row, expected in zip(tiny.logits(batch)[:, -1], single, strict=True):
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=0)


def test_longer_audio_than_the_encoders_window_is_heard(tiny, family):
    """Windows of 500 positions, 40 s."""
    processor, waves = phi4_multimodal(), noise(16000 * 41, 9000)
    prompts = prompts_of(family, "<audio>which?", "<audio>which is last?")
    family.prepare(tiny.model)
    inputs = dict(family.process(processor, prompts, waves))
    found = family.audio_mask(tiny.config, inputs).sum(1).tolist()
    assert found == [family.n_audio_tokens(processor, len(wave)) for wave in waves]
    assert found[0] > 500
    tiny.model.config.max_position_embeddings = 1024
    assert torch.isfinite(tiny.logits(inputs)).all()


def test_a_template_of_parts_is_given_parts(family):
    processor = phi4_multimodal()
    message = [{"role": "user", "content": "<audio>which?"}]
    processor.chat_template = TEMPLATE.replace("AUDIO", "<a>")
    assert family.chat(processor, message) == "user: <a>which?assistant: "


def test_its_authors_own_code_is_refused_with_the_revision_that_is_not():
    class Config:
        model_type = "phi4mm"

    with pytest.raises(UnsupportedModelError, match="revision=refs/pr/70"):
        get_family(Config())


# ------------------------------------------------------------------------------ the LoRA


@pytest.fixture
def folder(tiny, tmp_path, any_peft):
    """A checkpoint as released: the base, and the LoRA in a folder of its own."""
    tiny.model.save_pretrained(tmp_path)
    torch.manual_seed(1)
    lora = any_peft.LoraConfig(
        target_modules=["qkv_proj", "o_proj"], r=2, init_lora_weights=False, lora_dropout=0.5
    )
    tuned = FAMILIES["phi4_multimodal"]().model
    tuned.add_adapter(lora)
    tuned.save_pretrained(tmp_path / "speech-lora")  # of a model with an adapter: that alone
    return tmp_path


def load(folder):
    return tf.Phi4MultimodalForCausalLM.from_pretrained(folder).eval()


def test_the_lora_is_loaded_from_its_folder_and_switched_by_audio(folder, tiny, family, caplog):
    model = load(folder)
    audio = tiny.inputs
    text = {name: audio[name][:, :5] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        base = model(**audio).logits
        torch.testing.assert_close(base, tiny.logits())
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        caplog.clear()
        family.prepare(model)
        family.prepare(model)
        assert "MISSING" not in caplog.text
        after = {n.replace(".base_layer", ""): w for n, w in model.state_dict().items()}
        assert all(torch.equal(weight, after[name]) for name, weight in before.items())
        heard = model(**audio).logits
        assert float((heard - base).abs().max()) > 1e-3
        assert torch.equal(model(**audio).logits, heard)  # and no dropout
        torch.testing.assert_close(model(**text).logits, tiny.model(**text).logits)
        assert torch.equal(model(**audio).logits, heard)


def test_a_checkpoint_with_a_lora_needs_peft(folder, family, monkeypatch):
    config = tf.AutoConfig.from_pretrained(folder)
    family.check(config, phi4_multimodal())
    monkeypatch.setattr("tempo_attn.families.shared.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"speech-lora.*tempo-lalm\[phi4\]"):
        family.check(config, phi4_multimodal())


def test_a_checkpoint_without_a_lora_is_told(tiny, family, tmp_path, caplog):
    tiny.model.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        family.prepare(load(tmp_path))
    assert "has no folder speech-lora" in caplog.text

"""Granite Speech's processor without torchaudio, its encoder in batches, its LoRA for audio."""

import copy

import numpy as np
import pytest
import torch
import transformers as tf
from transformers.models.granite_speech import feature_extraction_granite_speech as original
from transformers.utils.peft_utils import check_peft_version

from tempo_attn.errors import MissingExtraError, UnsupportedInputError
from tempo_attn.families import get_family
from tempo_attn.families.granite_mel import GraniteSpeechFeatureExtractor
from tests.support.tiny_models import FAMILIES
from tests.support.tiny_processors import granite_speech, noise

RATE = 16000


@pytest.fixture
def tiny():
    return FAMILIES["granite_speech"]()


@pytest.fixture
def family(tiny):
    return get_family(tiny.config)


def tone():
    """A second of 440 Hz."""
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


# ------------------------------------------------------------------------------ the mel


def by_definition(wave, bands):
    """Power in HTK mel bands, (frames, bands): frames centred by reflection, a Hann window of 400
    samples in the middle of a transform of 512, triangles from mel to mel in Hz."""
    padded = np.pad(wave.astype(np.float64), 256, mode="reflect")
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    starts = range(0, len(padded) - 511, 160)
    power = np.abs([np.fft.rfft(padded[start : start + 512] * window) for start in starts]) ** 2
    corners = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), bands + 2) / 2595) - 1)
    hertz = np.arange(257) * RATE / 512
    triangles = [
        np.clip(np.minimum((hertz - low) / (mid - low), (high - hertz) / (high - mid)), 0, None)
        for low, mid, high in zip(corners, corners[1:], corners[2:], strict=False)
    ]
    return power @ np.array(triangles).T


@pytest.mark.parametrize("bands", [80, 8])
def test_the_spectrogram_is_that_of_its_definition(bands):
    (wave,) = noise(9137)
    ours = GraniteSpeechFeatureExtractor(n_mels=bands).spectrogram(torch.from_numpy(wave)[None])
    expected = by_definition(wave, bands).T
    assert ours.shape == (1, *expected.shape)
    np.testing.assert_allclose(ours[0].numpy(), expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_features_are_torchaudios():
    """Written down from transformers' own extractor with torchaudio 2.11."""
    extractor = GraniteSpeechFeatureExtractor()
    spectrogram = extractor.spectrogram(torch.from_numpy(tone())[None])[0]
    assert spectrogram[[10, 11, 12], 50].tolist() == pytest.approx(
        [1.3394e-02, 3.6205e-01, 7.9657e00], rel=1e-3
    )
    features = extractor(tone())["input_features"]
    assert features.shape == (1, 50, 160)
    assert features[0, 25, [10, 11, 12, 40, 91]].tolist() == pytest.approx(
        [0.5317, 0.8897, 1.2253, -0.1665, 0.8894], abs=2e-4
    )


def test_features_are_transformers_where_torchaudio_is_installed():
    pytest.importorskip("torchaudio")
    theirs, ours = original.GraniteSpeechFeatureExtractor(), GraniteSpeechFeatureExtractor()
    for wave in noise(1600, 9000, 48037):
        one, other = theirs(wave), ours(wave)
        assert one.keys() == other.keys()
        assert one["audio_embed_sizes"] == other["audio_embed_sizes"]
        assert torch.equal(one["input_features_mask"], other["input_features_mask"])
        torch.testing.assert_close(
            one["input_features"], other["input_features"], atol=1e-5, rtol=0
        )


def test_settings_of_a_checkpoint_are_read(tmp_path):
    """As transformers writes them: the bands are called `feature_size`."""
    GraniteSpeechFeatureExtractor(n_mels=24, projector_window_size=12).save_pretrained(tmp_path)
    again = GraniteSpeechFeatureExtractor.from_pretrained(tmp_path)
    assert again.mel_filters.shape == (257, 24)
    assert again.projector_window_size == 12


# ------------------------------------------------------------------------------ inputs


def test_a_single_clip_is_as_the_real_processor_has_it(family):
    processor = granite_speech()
    (wave,) = noise(9000)
    prompt = family.chat(processor, [{"role": "user", "content": "<audio>which is last?"}])
    ours, theirs = family.process(processor, [prompt], [wave]), processor([prompt], [wave])
    theirs = theirs.convert_to_tensors("pt")
    assert set(ours) == {*theirs} - {"audio_embed_sizes"}
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_clips_of_a_batch_do_not_hear_each_others_padding(tiny, family):
    """The model alone would: its encoder has no mask."""
    processor, waves = granite_speech(), noise(5000, 21000, 12000)
    contents = ["<audio>which?", "<audio>which is last?", "what<audio>?"]
    prompts = [family.chat(processor, [{"role": "user", "content": text}]) for text in contents]
    single = [
        tiny.logits(dict(family.process(processor, [prompt], [wave])))[0, -1]
        for prompt, wave in zip(prompts, waves, strict=True)
    ]
    batch = dict(family.process(processor, prompts, waves))
    assert tiny.logits(batch)[:, -1].isnan().any(1).tolist() == [True, False, True]
    zeros = {**batch, "input_features": batch["input_features"].nan_to_num(0.0)}
    assert float((tiny.logits(zeros)[0, -1] - single[0]).abs().max()) > 1e-3
    family.prepare(tiny.model)
    family.prepare(tiny.model)
    for row, expected in zip(tiny.logits(batch)[:, -1], single, strict=True):
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=0)
    # Two clips of one prompt are two of a batch, too.
    both = family.chat(processor, [{"role": "user", "content": "<audio>or<audio>?"}])
    (one, two), counts = waves[:2], [family.n_audio_tokens(processor, len(w)) for w in waves[:2]]
    inputs = dict(family.process(processor, [both], [one, two]))
    assert int(family.audio_mask(tiny.config, inputs).sum()) == sum(counts)
    assert torch.isfinite(tiny.logits(inputs)).all()
    with pytest.raises(UnsupportedInputError, match="2 audio markers"):
        family.process(processor, [both], [one])


def test_a_prepared_models_copy_hears_with_its_own_encoder(tiny, family):
    family.prepare(tiny.model)
    twin = copy.deepcopy(tiny.model)
    inputs = dict(family.process(granite_speech(), ["a<|audio|>", "b<|audio|>"], noise(5000, 9000)))
    with torch.no_grad():
        for parameter in tiny.model.model.encoder.parameters():
            parameter.zero_()
        assert not torch.equal(tiny.model(**inputs).logits, twin(**inputs).logits)


def test_the_prompt_is_the_same_on_every_day(family):
    processor = granite_speech()
    processor.chat_template = "{{ strftime_now('%B %d, %Y') }}: {{ messages[0]['content'] }}"
    message = [{"role": "user", "content": "<audio>?"}]
    assert family.chat(processor, message) == "December 19, 2024: <|audio|>?"


# ------------------------------------------------------------------------------ the LoRA


@pytest.fixture
def with_adapter(tmp_path, any_peft):
    """A checkpoint as released: base and LoRA in one folder, which transformers loads at once."""
    peft = any_peft
    tiny = FAMILIES["granite_speech"]()
    torch.manual_seed(1)
    lora = peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=2, init_lora_weights=False)
    tiny.model.config.has_lora_adapter = True
    tiny.model.save_pretrained(tmp_path)
    tiny.model.add_adapter(lora)
    tf.PreTrainedModel.save_pretrained(tiny.model, tmp_path)  # the adapter alone
    model = tf.GraniteSpeechForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert any("lora" in name for name, _ in model.named_parameters())
    return model


def test_a_prompt_with_audio_has_the_lora_and_a_text_has_not(with_adapter, tiny, family):
    """Also after `generate` has switched it; the base model's numbers are `tiny`'s."""
    audio = tiny.inputs
    text = {
        "input_ids": audio["input_ids"][:, :5],
        "attention_mask": audio["attention_mask"][:, :5],
    }
    with torch.no_grad():
        with_adapter.enable_adapters()
        heard = with_adapter(**audio).logits
        base = tiny.model(**text).logits
        assert not torch.allclose(heard, tiny.model(**audio).logits, atol=1e-3)
        assert not torch.allclose(with_adapter(**text).logits, base, atol=1e-3)
        family.prepare(with_adapter)
        family.prepare(with_adapter)
        assert torch.equal(with_adapter(**audio).logits, heard)
        torch.testing.assert_close(with_adapter(**text).logits, base)
        with_adapter.generate(**text, max_new_tokens=2, do_sample=False)
        assert torch.equal(with_adapter(**audio).logits, heard)
        with_adapter.generate(**audio, max_new_tokens=2, do_sample=False)
        torch.testing.assert_close(with_adapter(**text).logits, base)


def test_decoding_goes_on_with_the_lora_of_its_prompt(with_adapter, tiny, family):
    family.prepare(with_adapter)
    step = torch.tensor([[20]])
    with torch.no_grad():
        out = with_adapter(**tiny.inputs, use_cache=True)
        name = "cache" if "cache" in out else "past_key_values"
        stepped = with_adapter(input_ids=step, **{name: out[name]}).logits[:, -1]
        longer = {
            **tiny.inputs,
            "input_ids": torch.cat([tiny.inputs["input_ids"], step], 1),
            "attention_mask": torch.nn.functional.pad(
                tiny.inputs["attention_mask"], (0, 1), value=1
            ),
        }
        torch.testing.assert_close(stepped, with_adapter(**longer).logits[:, -1], atol=1e-4, rtol=0)


def test_a_checkpoint_with_a_lora_needs_peft(tiny, family, monkeypatch, any_peft):
    processor = granite_speech()
    family.check(tiny.config, processor)
    tiny.config.has_lora_adapter = True
    family.check(tiny.config, processor)
    monkeypatch.setattr("tempo_attn.families.shared.speech_adapter.MIN_PEFT_VERSION", "99.0")
    monkeypatch.setattr(
        "tempo_attn.families.shared.speech_adapter.check_peft_version", check_peft_version
    )
    with pytest.raises(MissingExtraError, match=r"needs peft 99\.0 or newer with transformers"):
        family.check(tiny.config, processor)
    monkeypatch.setattr("tempo_attn.families.shared.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"tempo-lalm\[granite\]"):
        family.check(tiny.config, processor)


def test_an_edit_counts_the_layers_inside_the_lora(with_adapter, family):
    assert len(family.attentions(with_adapter)) == 3
    assert all(hasattr(attention, "q_proj") for attention in family.attentions(with_adapter))

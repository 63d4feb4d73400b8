"""Voxtral: what mistral-common makes of a file, made of a waveform in memory."""

import numpy as np
import pytest
import soundfile
import torch

from tempo_attn.errors import MissingExtraError, NoAudioTokenError, UnsupportedInputError
from tempo_attn.families import get_family
from tempo_attn.families.shared import extras
from tests.support.tiny_checkpoints import save, voxtral


@pytest.fixture(scope="module")
def checkpoint():
    return voxtral()


def noise(n_samples):
    return (0.1 * np.random.default_rng(0).standard_normal(n_samples)).astype(np.float32)


def prompt(family, processor, content, begun=None):
    messages = [{"role": "user", "content": content}]
    messages += [{"role": "assistant", "content": begun}] if begun else []
    return family.chat(processor, messages, add_generation_prompt=begun is None)


def test_inputs_are_those_of_the_checkpoints_own_way(checkpoint, tmp_path):
    """With a file of 16-bit samples, which is how mistral-common would read it."""
    model, processor = checkpoint
    family = get_family(model.config)
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(20000), 16000)
    wave, _ = soundfile.read(path, dtype="float32")
    ours = family.process(
        processor,
        [prompt(family, processor, text) for text in ("<audio>Which?", "Hear: <audio>And this?")],
        [wave, wave],
    )
    audio = {"type": "audio", "path": str(path)}
    chats = [
        [audio, {"type": "text", "text": "Which?"}],
        [{"type": "text", "text": "Hear: "}, audio, {"type": "text", "text": "And this?"}],
    ]
    theirs = processor.apply_chat_template([[{"role": "user", "content": c}] for c in chats])
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-5)
    assert ours["attention_mask"][0, 0] == 0  # padded on the left


def test_samples_are_not_rounded(checkpoint):
    model, processor = checkpoint
    family = get_family(model.config)
    quiet = noise(8000) * 1e-4  # nothing of it would be left in 16 bits but the sign
    inputs = family.process(processor, [prompt(family, processor, "<audio>?")], [quiet])
    expected = processor.feature_extractor(quiet, sampling_rate=16000, return_tensors="pt")
    assert torch.equal(inputs["input_features"], expected["input_features"])


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.1, 375), (29.99, 375), (30, 375), (30.01, 750), (61, 1125)]
)
def test_whole_windows_are_filled(checkpoint, seconds, expected):
    model, processor = checkpoint
    family = get_family(model.config)
    wave = noise(int(seconds * 16000))
    inputs = family.process(processor, [prompt(family, processor, "<audio>?")], [wave])
    assert family.audio_mask(model.config, inputs).sum() == expected
    assert family.n_audio_tokens(processor, len(wave)) == expected
    assert len(inputs["input_features"]) == expected // 375


def test_an_answer_that_has_begun_is_gone_on_with(checkpoint):
    model, processor = checkpoint
    family = get_family(model.config)
    plain, begun = (
        family.process(processor, [prompt(family, processor, "<audio>?", text)], [noise(8000)])
        for text in (None, "It is")
    )
    added = processor.tokenizer.encode("It is", add_special_tokens=False)
    assert begun["input_ids"][0].tolist() == plain["input_ids"][0].tolist() + added


def test_what_mistral_common_refuses_is_told(checkpoint):
    model, processor = checkpoint
    family = get_family(model.config)
    messages = [{"role": "system", "content": "Listen."}, {"role": "user", "content": "<audio>?"}]
    with pytest.raises(UnsupportedInputError, match="system messages"):
        family.process(processor, [family.chat(processor, messages)], [noise(8000)])
    mixed = [prompt(family, processor, "<audio>?", text) for text in (None, "It is")]
    with pytest.raises(UnsupportedInputError, match="batches of one kind"):
        family.process(processor, mixed, [noise(8000)] * 2)


def test_a_text_models_tokenizer_is_refused(checkpoint):
    config = checkpoint[0].config
    with pytest.raises(NoAudioTokenError, match="cannot encode audio"):
        get_family(config).check(config, voxtral(audio=False)[1])


def test_a_configuration_with_another_audio_token_is_refused(checkpoint):
    model, processor = checkpoint
    other = type(model.config)(audio_token_id=95)
    with pytest.raises(NoAudioTokenError, match="24 in the tokenizer and 95 in the configuration"):
        get_family(other).check(other, processor)


@pytest.mark.parametrize("there", [False, True])
def test_a_missing_package_names_the_extra(checkpoint, tmp_path, monkeypatch, there):
    folder = save("voxtral", tmp_path)
    if there:
        monkeypatch.setattr(
            "tempo_attn.families.voxtral.is_mistral_common_available", lambda: False
        )
    else:
        monkeypatch.setattr(extras, "find_spec", lambda name: None)
    found = "too old" if there else "it is missing"
    with pytest.raises(MissingExtraError, match=found) as error:
        get_family(checkpoint[0].config).load_processor(str(folder))
    assert 'pip install "tempo-lalm[voxtral]"' in str(error.value)

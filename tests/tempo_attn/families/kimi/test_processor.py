"""Two streams of ids, as Kimi-Audio's package lays them out: written down here by hand."""

import numpy as np
import pytest
import torch

from tempo_attn.errors import NoAudioTokenError, OptionError, UnsupportedModelError
from tempo_attn.families.kimi import tokenizer as names
from tests.support.tiny_processors import noise

SHORT, LONG = noise(2000, 2561)  # 2 and 3 positions of 1,280 samples


def streams(family, processor, messages, waves=(), **more):
    """Both streams of one prompt as words: names of special tokens, `#` for a speech token."""
    inputs = family.process(processor, [family.chat(processor, messages, **more)], list(waves))
    words = processor.tokenizer.convert_ids_to_tokens
    audio = [
        "#" if id_ == processor.token_offset else words(id_)
        for id_ in inputs["input_ids"][0].tolist()
    ]
    assert inputs["is_continuous_mask"][0].tolist() == [word == "#" for word in audio]
    text = words(inputs["text_input_ids"][0].tolist())
    assert len(audio) == len(text)
    assert bool(inputs["attention_mask"].all())
    pairs = zip(audio, text, strict=True)
    assert all(names.BLANK in pair for pair in pairs)
    return [
        spoken if written == names.BLANK else written
        for spoken, written in zip(audio, text, strict=True)
    ]


USER, ASSISTANT, END = names.USER, names.ASSISTANT, names.MESSAGE_END
TWO = [names.MEDIA_BEGIN, "#", "#", names.MEDIA_END]
THREE = [names.MEDIA_BEGIN, "#", "#", "#", names.MEDIA_END]


def test_audio_then_text(family, processor):
    messages = [{"role": "user", "content": "<audio>ab"}]
    found = streams(family, processor, messages, [SHORT])
    assert found == [USER, *TWO, "a", "b", END, ASSISTANT]


def test_a_turn_that_ends_with_audio_asks_for_text(family, processor):
    messages = [{"role": "user", "content": "a<audio>b<audio>"}]
    found = streams(family, processor, messages, [SHORT, LONG])
    assert found == [USER, "a", *TWO, "b", *THREE, names.ANSWER_IN_TEXT, END, ASSISTANT]


def test_turns_and_an_answer_that_has_begun(family, processor):
    messages = [
        {"role": "user", "content": "<audio>a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    ]
    found = streams(family, processor, messages, [SHORT], add_generation_prompt=False)
    whole = [USER, *TWO, "a", END, ASSISTANT, "b", END, USER, "c", END, ASSISTANT, "d"]
    assert found == whole
    begun = family.chat(processor, messages[:3]) + "d"
    inputs = family.process(processor, [begun], [SHORT])
    again = family.process(
        processor, [family.chat(processor, messages, add_generation_prompt=False)], [SHORT]
    )
    assert torch.equal(inputs["text_input_ids"], again["text_input_ids"])
    assert torch.equal(inputs["input_ids"], again["input_ids"])


def test_neighbouring_messages_of_a_role_are_one_turn(family, processor):
    parts = [{"role": "user", "content": content} for content in ("a", "<audio>", "b")]
    one = [{"role": "user", "content": "a<audio>b"}]
    assert streams(family, processor, parts, [SHORT]) == streams(family, processor, one, [SHORT])


def test_windows_of_thirty_seconds(family, processor):
    waves = noise(480_000 + 1300, 700)
    prompt = family.chat(processor, [{"role": "user", "content": "<audio>and<audio>"}])
    inputs = family.process(processor, [prompt], waves)
    assert inputs["window_positions"].tolist() == [375, 2, 1]
    assert inputs["whisper_features"].shape[0] == 3
    assert [len(features) for features in inputs["speech_features"]] == [2, 1]
    # Windows of one clip are padded together, by whole positions of eight frames.
    assert [mask.shape[1] for mask in inputs["speech_mask"]] == [3000, 8]
    assert [mask.sum(1).tolist() for mask in inputs["speech_mask"]] == [[3000, 9], [5]]
    counts = [family.n_audio_tokens(processor, len(wave)) for wave in waves]
    assert counts == [377, 1]
    assert int(inputs["is_continuous_mask"].sum()) == 378


def test_batches_are_padded_on_the_left(family, processor):
    chats = [
        family.chat(processor, [{"role": "user", "content": text}]) for text in ("<audio>a", "abc")
    ]
    inputs = family.process(processor, chats, [LONG])
    n_padding = int((~inputs["attention_mask"].bool())[1].sum())
    assert n_padding == 3
    assert inputs["attention_mask"][1].tolist() == [0] * 3 + [1] * 6
    blank = processor.tokenizer.convert_tokens_to_ids(names.BLANK)
    assert inputs["input_ids"][1, :3].tolist() == [blank] * 3
    longer = family.append(inputs, torch.tensor([[5, 6], [7, 0]]), torch.tensor([[1, 1], [1, 0]]))
    assert longer["text_input_ids"][:, -2:].tolist() == [[5, 6], [7, 0]]
    assert longer["input_ids"][:, -2:].tolist() == [[blank] * 2] * 2
    assert longer["attention_mask"][:, -2:].tolist() == [[1, 1], [1, 0]]
    assert not longer["is_continuous_mask"][:, -2:].any()
    assert longer["whisper_features"] is inputs["whisper_features"]


def test_a_system_message_is_refused(family, processor):
    with pytest.raises(OptionError, match="leave --system_instruction out"):
        family.chat(processor, [{"role": "system", "content": "a"}])


def test_another_processor_is_refused(family, config):
    with pytest.raises(UnsupportedModelError, match="leave processor out"):
        family.check(config, object())


def test_a_tokenizer_of_another_checkpoint_is_refused(family, config, processor, monkeypatch):
    family.check(config, processor)
    monkeypatch.setattr(config, "kimia_media_end", 7)
    with pytest.raises(NoAudioTokenError, match="belongs together"):
        family.check(config, processor)


def test_whispers_mel_is_the_packages(processor):
    """By the formulas of the package: log10, no more than 8 below the largest, then (x + 4) / 4."""
    wave = np.pad(noise(16_000)[0], (0, 480_000 - 16_000))
    extractor = processor.feature_extractor
    window = torch.hann_window(400)
    spectrum = torch.stft(torch.from_numpy(wave), 400, 160, window=window, return_complex=True)
    filters = torch.from_numpy(extractor.mel_filters).float()
    mel = (filters.T @ spectrum[:, :-1].abs() ** 2).clamp(min=1e-10).log10()
    expected = (mel.maximum(mel.max() - 8) + 4) / 4
    found = processor._features([noise(16_000)[0]])["whisper_features"][0]
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-4)

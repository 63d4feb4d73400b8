"""DeSTA2.5: prepared inputs in the place of messages and files; the package is a stand-in here.

The package itself was run by hand: docs/families.md says what agreed.
"""

import sys

import numpy as np
import pytest
import torch
from transformers import AutoConfig

from tempo_attn import AttnScaleConfig, apply_attn_scale
from tempo_attn.errors import (
    MissingExtraError,
    NoAudioTokenError,
    OptionError,
    TranscriptMissingError,
    UnsupportedInputError,
    UnsupportedModelError,
)
from tempo_attn.families import get_family
from tempo_attn.families.desta.in_harness import SYSTEM
from tempo_attn.families.desta.model import DestaLoader
from tempo_attn.families.desta.transcripts import Transcripts, clip_hash
from tests.support.stand_in_desta import POSITIONS
from tests.support.tiny_checkpoints import save


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save("desta25", tmp_path_factory.mktemp("desta"))


@pytest.fixture(scope="module")
def config(folder):
    return AutoConfig.from_pretrained(folder)


@pytest.fixture(scope="module")
def family(config):
    return get_family(config)


@pytest.fixture
def processor(family, folder):
    return family.load_processor(str(folder))


@pytest.fixture(scope="module")
def model(family, config, folder):
    return family.model_class(config).from_pretrained(str(folder), dtype=torch.float32)


def noise(n_samples, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(n_samples)).astype(np.float32)


ONE, TWO = noise(9000), noise(21000, 1)
SAID = Transcripts({clip_hash(ONE): "hello", clip_hash(TWO): ""})


def prompt(family, processor, content):
    return family.chat(processor, [{"role": "user", "content": content}])


def test_each_audio_gets_its_positions_and_those_of_its_transcript(family, config, processor):
    processor.transcripts = SAID
    prompts = [prompt(family, processor, text) for text in ("<audio>a<audio>b?", "<audio>c?")]
    inputs = family.process(processor, prompts, [TWO, ONE, ONE])
    ids, mask = inputs["input_ids"], inputs["attention_mask"].bool()
    spans = family.spans(config, inputs)
    assert spans["audio"].sum(1).tolist() == [2 * POSITIONS, POSITIONS]
    assert spans["transcript"].sum(1).tolist() == [len(" ") + len("hello"), len("hello")]
    blank = processor.tokenizer.convert_tokens_to_ids(processor.placeholder)
    assert torch.equal(ids == blank, spans["audio"] | spans["transcript"])
    texts = [processor.tokenizer.decode(row[real]) for row, real in zip(ids, mask, strict=True)]
    places = ["<start_audio>" + processor.placeholder * n + "<end_audio>" for n in (7, 11)]
    start = f"system: {SYSTEM}\nuser: "
    assert texts[0] == f"{start}{places[0]}\na{places[1]}\nb?\nassistant: "
    assert texts[1] == f"{start}{places[1]}\nc?\nassistant: "
    assert not mask[1, 0]  # padded on the left
    said = [processor.tokenizer.decode(row[0]) for row in inputs["batch_transcription_ids"]]
    assert said == [" ", "hello", "hello"]
    assert inputs["batch_features"].shape == (3, 16, 3000)


def test_a_system_message_of_the_users_own_stays(family, processor):
    own = [{"role": "system", "content": "Listen."}, {"role": "user", "content": "<audio>\nWhich?"}]
    assert family.chat(processor, own) == "system: Listen.\nuser: <|AUDIO|>\nWhich?\nassistant: "
    assert prompt(family, processor, "Which?") == "user: Which?\nassistant: "


def test_a_clip_without_a_transcript_is_an_error_unless_it_is_silent(family, processor):
    text = prompt(family, processor, "<audio>?")
    processor.transcripts = Transcripts({clip_hash(ONE): "hello"})
    with pytest.raises(TranscriptMissingError, match=clip_hash(TWO)):
        family.process(processor, [text], [TWO])
    family.process(processor, [text], [0 * TWO])
    processor.transcripts = Transcripts({"*": "noise"})
    (said,) = family.process(processor, [text], [TWO])["batch_transcription_ids"]
    assert processor.tokenizer.decode(said[0]) == "noise"


def test_only_what_is_heard_counts_in_a_clips_hash():
    long = noise(31 * 16000)
    assert clip_hash(long) == clip_hash(long[: 30 * 16000]) != clip_hash(long[: 29 * 16000])


def test_texts_that_would_be_audio_are_refused(family, processor):
    with pytest.raises(UnsupportedInputError, match="fills audio positions"):
        family.process(processor, [prompt(family, processor, processor.placeholder)], [])
    with pytest.raises(UnsupportedInputError, match="1 markers"):
        family.process(processor, [prompt(family, processor, "<audio>?")], [ONE, TWO])


def test_generation_is_that_of_the_embedded_prompt(family, processor, model):
    processor.transcripts = SAID
    prompts = [prompt(family, processor, text) for text in ("<audio>Which is last?", "<audio>?")]
    inputs = family.process(processor, prompts, [ONE, TWO])
    kwargs = {"max_new_tokens": 5, "do_sample": False, "pad_token_id": 0}
    found = model.generate(**inputs, **kwargs)
    n_prompt = inputs["input_ids"].shape[1]
    assert torch.equal(found[:, :n_prompt], inputs["input_ids"])
    with torch.no_grad():
        embeds = model._prepare_inputs_for_llm(**inputs)
    mask = inputs["attention_mask"]
    new = model.llm_model.generate(inputs_embeds=embeds, attention_mask=mask, **kwargs)
    assert torch.equal(found[:, n_prompt:], new)


def test_padding_moves_no_position(family, processor, model):
    """In 16 bits another position is rounded otherwise, and a batch would differ from one clip."""
    prompts = [prompt(family, processor, text) for text in ("<audio>Which is last?", "<audio>?")]
    inputs = family.process(processor, prompts, [ONE, TWO])
    seen = []
    hook = model.llm_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["position_ids"]), with_kwargs=True
    )
    with torch.no_grad():
        model(**inputs)
    hook.remove()
    for row, real in zip(seen[0], inputs["attention_mask"].bool(), strict=True):
        assert row[real].tolist() == list(range(int(real.sum())))


def test_plain_text_is_the_language_models(processor, model):
    ids = processor.tokenizer("hello there", return_tensors="pt")["input_ids"]
    kwargs = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    with torch.no_grad():
        assert torch.equal(model(ids).logits, model.llm_model(ids).logits)
    assert torch.equal(model.generate(ids, **kwargs), model.llm_model.generate(ids, **kwargs))


def test_an_edit_reaches_forward_and_generation(family, processor, model):
    processor.transcripts = SAID
    inputs = family.process(processor, [prompt(family, processor, "<audio>Which?")], [ONE])
    with torch.no_grad():
        plain = model(**inputs).logits
    for keys, count in (("audio", POSITIONS), ("transcript", 5)):
        wrapped = apply_attn_scale(model, AttnScaleConfig(strength=4.0, keys=keys, phase="all"))
        with torch.no_grad():
            edited = wrapped(**inputs).logits
        assert (edited[:, -1] - plain[:, -1]).abs().max() > 1e-3
        assert torch.equal(edited[:, :-1], plain[:, :-1])
        assert wrapped.status().audio_tokens == (count,)
        wrapped.generate(**inputs, max_new_tokens=3, do_sample=False, pad_token_id=0)
        assert set(wrapped.status().steps.values()) == {2}
        wrapped.unload()
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, plain)


def test_the_package_decides_about_types_unless_asked(family, folder):
    model = DestaLoader.from_pretrained(str(folder))
    assert model.llm_model.dtype == torch.bfloat16
    assert family.feature_dtype(model) == torch.float32
    assert not model.training
    assert len(model.state_dict()) > 90  # all weights, for the fingerprint
    half = DestaLoader.from_pretrained(str(folder), dtype=torch.bfloat16, device_map={"": "cpu"})
    assert family.feature_dtype(half) == torch.bfloat16


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"quantization_config": object()}, "quantization_config"),
        ({"load_in_8bit": True}, "load_in_8bit"),
        ({"device_map": "auto"}, "one device"),
    ],
)
def test_what_the_package_cannot_take_is_refused_before_it_loads(given, message):
    with pytest.raises(OptionError, match=message):
        DestaLoader.from_pretrained("nowhere", **given)


def test_without_the_package_two_commands_are_named(family, folder, monkeypatch):
    monkeypatch.delitem(sys.modules, "desta")
    with pytest.raises(MissingExtraError, match=r"tempo-lalm\[desta\].*--no-deps .*DeSTA2.5-Audio"):
        family.load_processor(str(folder))


def test_parts_that_do_not_belong_together_are_refused(family, config, processor):
    with pytest.raises(UnsupportedModelError, match="DestaProcessor"):
        family.check(config, processor.tokenizer)
    family.check(config, processor)
    processor.prompt_size += 1
    with pytest.raises(NoAudioTokenError, match="6 positions in the configuration and 7"):
        family.check(config, processor)

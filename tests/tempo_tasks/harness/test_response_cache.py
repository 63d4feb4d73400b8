"""`--use_cache`: a response cache serves one model with one set of settings, and says why not."""

import json
import shutil

import lm_eval
import pytest
import torch
from safetensors.torch import load_file, save_file

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import AudioNotDeliveredError
from tempo_tasks.errors import CacheMismatchError
from tempo_tasks.harness import response_cache
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.response_cache import claim, files_fingerprint, identity_of


@pytest.fixture(scope="module")
def manager():
    from lm_eval.tasks import TaskManager

    from tempo_tasks.paths import task_yamls_dir

    return TaskManager(
        include_defaults=False, include_path=task_yamls_dir(), metadata={"synth_scenes": 4}
    )


@pytest.fixture
def folder(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "model")


def changed_file(folder, name, change):
    path = folder / name
    data = json.loads(path.read_text())
    path.write_text(json.dumps(change(data) or data))


def other_weights(folder):
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: w.flip(0) for name, w in weights.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )


def one_weight(folder):
    """One element that the sample of the loaded weights does not look at."""
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("embed_tokens.weight"))
    weights[name][1, 1] += 1.0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def a_lora(folder, seed=0):
    peft = pytest.importorskip("peft")
    from transformers import Qwen2AudioForConditionalGeneration

    torch.manual_seed(seed)
    model = Qwen2AudioForConditionalGeneration.from_pretrained(folder)
    lora = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    peft.get_peft_model(model, lora).save_pretrained(folder.parent / "lora")
    return str(folder.parent / "lora")


def other_template(folder):
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(template.replace("helpful", "musical"))


CHANGES = {
    "weights": (other_weights, {}),
    "files.pretrained": (one_weight, {}),
    "generation.repetition_penalty": (
        lambda folder: changed_file(
            folder, "generation_config.json", lambda data: {**data, "repetition_penalty": 5.0}
        ),
        {},
    ),
    "processor": (other_template, {}),
    "arguments.think_end_token": (None, {"think_end_token": "B"}),
    "arguments.enable_thinking": (None, {"enable_thinking": False}),
    "arguments.chat_template_args": (None, {"chat_template_args": {"enable_thinking": True}}),
    "arguments.softmax_dtype": (None, {"softmax_dtype": "float64"}),
    "arguments.long_audio": (None, {"long_audio": "truncate"}),
    "environment.dtype": (None, {"dtype": "bfloat16"}),
    "attn_scale": (None, {"attn_scale": AttnScaleConfig(strength=2.0, layers=[1])}),
}


def taken(model, cache=None, **arguments):
    """A cache that a model has claimed, of this one or of an earlier model."""
    cache = {} if cache is None else cache
    claim(cache, identity_of(LALM(str(model), **arguments)))
    return cache


@pytest.mark.parametrize("what", CHANGES)
def test_what_answers_depend_on_is_told_and_refused(folder, what):
    change, arguments = CHANGES[what]
    cache = taken(folder)
    taken(folder, cache)  # the same again
    taken(folder, cache, batch_size=3)  # which changes no answer
    if change is not None:
        change(folder)
    with pytest.raises(CacheMismatchError, match=rf"\n  {what}[\w.]*: the cache"):
        taken(folder, cache, **arguments)


def test_another_lora_of_the_same_name_is_told(folder):
    cache = taken(folder, peft=a_lora(folder))
    taken(folder, cache, peft=a_lora(folder))
    with pytest.raises(CacheMismatchError, match="weights"):
        taken(folder, cache, peft=a_lora(folder, seed=1))


def test_another_processor_is_told(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    cache = taken(folder, processor=str(other))
    changed_file(other, "tokenizer_config.json", lambda data: {**data, "pad_token": "<|im_start|>"})
    with pytest.raises(CacheMismatchError, match="processor"):
        taken(folder, cache, processor=str(other))


def test_a_token_is_neither_kept_nor_told(lalm, monkeypatch):
    monkeypatch.setattr(
        lalm, "arguments", {**lalm.arguments, "token": "hf_secret", "device": "cpu"}
    )
    assert "hf_secret" not in json.dumps(identity_of(lalm))


def test_answers_of_an_unknown_model_are_refused():
    with pytest.raises(CacheMismatchError, match="does not say which"):
        claim({"0f" * 32: "B"}, {"model": "me/x"})


def test_an_identity_is_json_without_addresses(lalm):
    text = json.dumps(identity_of(lalm))
    assert "object at 0x" not in text
    assert identity_of(lalm) == identity_of(lalm)


def test_large_files_are_read_in_blocks_and_by_their_time(tmp_path, monkeypatch):
    monkeypatch.setattr(response_cache, "_WHOLE", 1000)
    monkeypatch.setattr(response_cache, "_BLOCK", 8)
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(range(256)) * 40)
    first = files_fingerprint(tmp_path)
    assert files_fingerprint(tmp_path) == first
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert files_fingerprint(tmp_path) != first


# ------------------------------------------------------------------------------ through lm_eval


def evaluate(model, manager, cache, task="tempo_synth_eo_aqa"):
    return lm_eval.simple_evaluate(
        model=model, tasks=[task], task_manager=manager, use_cache=str(cache), bootstrap_iters=1
    )


def test_other_weights_in_the_same_folder_are_refused(folder, manager, tmp_path):
    """lm-eval's key of an answer is its prompt alone: the old score would come back."""
    evaluate(LALM(str(folder)), manager, tmp_path / "cache")
    other_weights(folder)
    with pytest.raises(CacheMismatchError, match="weights"):
        evaluate(LALM(str(folder)), manager, tmp_path / "cache")


def test_hearing_is_proved_though_all_answers_are_cached(folder, manager, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = evaluate(LALM(str(folder)), manager, cache)
    info = first["config"]["tempo"]["checks"]
    assert info["first_clip_logit_change_by_silence"] > 0
    assert info["noise_logit_change_by_silence"] is None
    again = evaluate(LALM(str(folder)), manager, cache)
    info = again["config"]["tempo"]["checks"]
    assert info["first_clip_logit_change_by_silence"] is None  # no clip was asked for
    assert info["noise_logit_change_by_silence"] > 0
    assert again["results"] == first["results"]
    deaf = LALM(str(folder))
    forward = deaf.model.forward
    monkeypatch.setattr(
        deaf.model,
        "forward",
        lambda **kw: forward(**{**kw, "input_features": kw["input_features"] * 0}),
    )
    with pytest.raises(AudioNotDeliveredError):
        evaluate(deaf, manager, cache)


def test_weights_are_fingerprinted_once_a_run(folder, manager, tmp_path, monkeypatch):
    """Once for the cache and the results together; again for the next run, for they may change."""
    calls = []
    work_out = response_cache.weights_of
    monkeypatch.setattr(
        response_cache, "weights_of", lambda model: calls.append(1) or work_out(model)
    )
    model = LALM(str(folder))
    weights = set()
    for runs, cache in ((1, "a"), (2, "b")):
        found = evaluate(model, manager, tmp_path / cache, "tempo_synth_eo_cqa")
        weights.add(found["config"]["tempo"]["weights"])
        assert len(calls) == runs
    assert weights == {work_out(model.model)}


def test_a_cache_of_text_asks_for_no_audio(folder, manager, tmp_path):
    for _ in range(2):
        info = evaluate(LALM(str(folder)), manager, tmp_path / "cache", "tempo_synth_eo_cqa")
        assert info["config"]["tempo"]["checks"]["noise_logit_change_by_silence"] is None


def test_a_processor_is_the_same_after_it_was_used(lalm):
    before = response_cache.processor_fingerprint(lalm.processor)
    for padding in (True, False):
        lalm.tokenizer(["a", "a longer text"], padding=padding)
        assert response_cache.processor_fingerprint(lalm.processor) == before

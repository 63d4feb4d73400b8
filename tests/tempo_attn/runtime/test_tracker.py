"""Calls within calls, caches with a history, copies: no state leaks, nothing is silently lost."""

import copy
import inspect
import io
from types import SimpleNamespace

import pytest
import torch
from transformers import DynamicCache, GenerationConfig, LogitsProcessor

from tempo_attn import Adaptive, AttnScaleConfig, apply_attn_scale
from tempo_attn.errors import (
    AdapterError,
    ConfigError,
    EditNotAppliedError,
    PositionError,
    UnsupportedModelError,
)
from tempo_attn.runtime.key_value_cache import CACHE_NAMES, cache_in, cache_name, cache_of
from tests.support.prompts import build_case
from tests.support.reference import FullMatrix, difference, full_matrix

CONFIG = AttnScaleConfig(strength=4.0, layers=[2])
WORDS = ("earliest onset", "latest offset")
GREEDY = {
    "max_new_tokens": 4,
    "min_new_tokens": 4,
    "do_sample": False,
    "output_logits": True,
    "return_dict_in_generate": True,
}


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture
def wrapped(model):
    return apply_attn_scale(model, CONFIG)


def longer(case, n_more, value=7):
    """A case's inputs with `n_more` tokens behind the prompt."""
    ids = case.inputs["input_ids"]
    inputs = {
        **case.inputs,
        "input_ids": torch.cat([ids, ids.new_full((len(ids), n_more), value)], 1),
    }
    inputs["attention_mask"] = torch.nn.functional.pad(
        case.inputs["attention_mask"], (0, n_more), value=1
    )
    return inputs


# ---------------------------------------------------------------------- switching


def test_switching_adapters_while_disabled(wrapped, one):
    wrapped.add_adapter("b", AttnScaleConfig(strength=0.0, layers=[2]))
    first = wrapped(**one.inputs).logits
    with wrapped.disable_adapter():
        plain = wrapped(**one.inputs).logits
        wrapped.set_adapter("b")
        assert wrapped(**one.inputs).logits.equal(plain)
        with wrapped.disable_adapter():
            pass
        assert wrapped(**one.inputs).logits.equal(plain)
    second = wrapped(**one.inputs).logits
    assert wrapped.active_adapter == "b"
    assert not second.equal(first)
    assert not second.equal(plain)
    with wrapped.disable_adapter():
        wrapped.unload()
    assert not wrapped.status().enabled


def test_an_unloaded_wrapper_stays_unloaded(model, wrapped, one):
    wrapped.add_adapter("b", CONFIG)
    assert wrapped.unload() is model
    assert wrapped.unload() is model
    with pytest.raises(AdapterError, match="unloaded"):
        wrapped.set_adapter("b")
    assert "generate" not in model.__dict__
    apply_attn_scale(model, CONFIG)(**one.inputs)


def test_a_copy_is_a_wrapper_of_its_own(model, wrapped, one):
    wrapped.add_adapter("b", AttnScaleConfig(strength=0.0, layers=[1]))
    expected = wrapped(**one.inputs).logits
    twin = copy.deepcopy(wrapped)
    assert twin.base_model is not model
    assert twin(**one.inputs).logits.equal(expected)
    twin.set_adapter("b")
    assert not twin(**one.inputs).logits.equal(expected)
    twin.unload()
    assert wrapped(**one.inputs).logits.equal(expected)
    with pytest.raises(AdapterError, match="unload"):
        copy.deepcopy(model)  # the copy would be edited for ever
    with pytest.raises(AdapterError, match="unload"):
        torch.save(model, io.BytesIO())
    plain = copy.deepcopy(wrapped.unload())
    assert not plain(**one.inputs).logits.equal(expected)


def test_the_generation_config_is_the_models(model, wrapped, one):
    wrapped.generation_config = GenerationConfig(
        max_new_tokens=3, eos_token_id=None, pad_token_id=0
    )
    assert model.generation_config.max_new_tokens == 3
    assert wrapped.generate(**one.inputs).shape[1] == one.inputs["input_ids"].shape[1] + 3


# ---------------------------------------------------------------------- generate within generate


class Meanwhile(LogitsProcessor):
    """Does something with the model at every step."""

    def __init__(self, do):
        self.do = do
        self.results = []

    def __call__(self, input_ids, scores):
        self.results.append(self.do())
        return scores


def test_calls_on_other_prompts_during_a_generation(wrapped, processor, one):
    other = build_case(processor, [("Which event has the earliest onset?", list("abcd"), 0.8)])
    alone = wrapped(**other.inputs).logits
    expected = wrapped.generate(**one.inputs, **GREEDY)
    meanwhile = Meanwhile(lambda: wrapped(**other.inputs).logits)
    found = wrapped.generate(**one.inputs, **GREEDY, logits_processor=[meanwhile])
    assert found.sequences.equal(expected.sequences)
    assert len(meanwhile.results) == 4
    assert all(logits.equal(alone) for logits in meanwhile.results)
    text = dict(processor(text=["Which is latest?"], return_tensors="pt"))
    with pytest.raises(PositionError, match="no audio"):
        wrapped.generate(
            **one.inputs, **GREEDY, logits_processor=[Meanwhile(lambda: wrapped(**text))]
        )


def test_another_cache_during_a_generation(model, processor, one):
    """Decoding another prompt meanwhile: its own audio, not that of the generation's prompt."""
    other = build_case(processor, [("Which event has the earliest onset?", list("abcd"), 0.3)])
    wrapped = apply_attn_scale(model, AttnScaleConfig(strength=4.0, layers=[2], phase="all"))
    token = torch.tensor([[5]])

    def decode():
        cache = wrapped(**other.inputs, use_cache=True).past_key_values
        return wrapped(input_ids=token, past_key_values=cache).logits

    alone = decode()
    meanwhile = Meanwhile(decode)
    wrapped.generate(**one.inputs, **GREEDY, logits_processor=[meanwhile])
    assert all(logits.equal(alone) for logits in meanwhile.results)


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_generation_within_a_generation(wrapped, processor, one, use_cache):
    other = build_case(processor, [("Which event has the earliest onset?", list("abcd"), 0.8)])
    expected = wrapped.generate(**one.inputs, **GREEDY, use_cache=use_cache)
    meanwhile = Meanwhile(lambda: wrapped.generate(**other.inputs, max_new_tokens=2))
    found = wrapped.generate(
        **one.inputs, **GREEDY, use_cache=use_cache, logits_processor=[meanwhile]
    )
    for ours, theirs in zip(found.logits, expected.logits, strict=True):
        assert difference(ours, theirs) < 1e-5


@pytest.mark.parametrize("how", [{}, {"use_cache": False}, {"prompt_lookup_num_tokens": 4}])
@pytest.mark.parametrize("phase", ["prefill", "all"])
def test_the_models_own_generate_is_edited_alike(model, one, phase, how):
    wrapped = apply_attn_scale(model, AttnScaleConfig(strength=4.0, layers=[2], phase=phase))
    kwargs = {"max_new_tokens": 8, "do_sample": False, **how}
    expected = wrapped.generate(**one.inputs, max_new_tokens=8, do_sample=False)
    assert model.generate(**one.inputs, **kwargs).equal(expected)
    assert wrapped.generate(
        one.inputs["input_ids"],
        **{k: v for k, v in {**one.inputs, **kwargs}.items() if k != "input_ids"},
    ).equal(expected)


def test_a_generation_is_not_compiled(model, wrapped, one, monkeypatch):
    seen = {}
    prepare = model._prepare_generation_config

    def note(*args, **kwargs):
        seen.update(kwargs)
        return prepare(*args, **kwargs)

    monkeypatch.setattr(model, "_prepare_generation_config", note)
    wrapped.generate(**one.inputs, max_new_tokens=1)
    assert seen["disable_compile"] is True


# ---------------------------------------------------------------------- caches with a history


def test_a_prefix_that_was_filled_without_the_edit(wrapped, processor, one):
    with wrapped.disable_adapter():
        prefix = wrapped(**one.inputs, use_cache=True).past_key_values
    inputs = longer(one, 3)
    with pytest.raises(PositionError, match="filled without the edit"):
        wrapped.generate(**inputs, past_key_values=copy.deepcopy(prefix), max_new_tokens=2)
    # Partly: the edited call's positions are known, those that came behind it are not.
    cache = wrapped(**one.inputs, use_cache=True).past_key_values
    token = torch.tensor([[5]])
    with wrapped.disable_adapter():
        wrapped(input_ids=token, past_key_values=cache)
    with pytest.raises(PositionError, match=r"\b1 of the \d+ positions"):
        wrapped(input_ids=token, past_key_values=cache)


def test_generating_on_from_an_earlier_turn(model, processor, one):
    wrapped = apply_attn_scale(
        model, AttnScaleConfig(strength=4.0, layers=[2], phase="all"), tokenizer=processor
    )
    cache = DynamicCache()
    first = wrapped.generate(**one.inputs, **GREEDY, past_key_values=cache)
    turn = processor.tokenizer("<|im_end|>\nReally?", return_tensors="pt").input_ids
    ids = torch.cat([first.sequences, turn], 1)
    # Its audio is in the cache already: transformers takes the features no second time.
    again = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    found = wrapped.generate(**again, **GREEDY, past_key_values=cache)
    rows = torch.zeros_like(ids, dtype=torch.bool)
    n_prompt = one.inputs["input_ids"].shape[1]
    # What was edited: the first prompt's last row, each decoded row that ran, the new last row.
    rows[:, n_prompt - 1 : first.sequences.shape[1] - 1] = True
    rows[:, -1] = True
    with wrapped.positions(query_mask=rows):
        expected = wrapped(**{**one.inputs, **again}).logits[:, -1]
    assert difference(found.logits[0], expected) < 1e-5


def test_a_prefix_whose_keyword_was_edited(model, processor, one):
    """The prompt lies in the cache but for its last token: nothing is left to edit."""
    config = AttnScaleConfig(strength=4.0, layers=[2], queries=["keyword"])
    wrapped = apply_attn_scale(model, config, tokenizer=processor)
    expected = wrapped.generate(**one.inputs, **GREEDY)
    cache = wrapped(**one.inputs, use_cache=True).past_key_values
    cache.crop(-1)
    text = {k: one.inputs[k] for k in ("input_ids", "attention_mask")}
    found = wrapped.generate(**text, **GREEDY, past_key_values=cache)
    for ours, theirs in zip(found.logits, expected.logits, strict=True):
        assert difference(ours, theirs) < 1e-5


def test_keyword_rows_of_a_later_turn(model, processor, one):
    """A question on a cache: its own keyword, found behind the cached positions."""
    config = AttnScaleConfig(strength=4.0, layers=[2], queries=["keyword", "all_text"])
    keyword = AttnScaleConfig(strength=4.0, layers=[2], queries=["keyword"])
    for cfg in (config, keyword):
        wrapped = apply_attn_scale(model, cfg, tokenizer=processor)
        text = "\nListen again. " * 8 + "\nWhich event has the earliest onset?\nA. Bell\nB. Horn"
        turn = processor.tokenizer(text, return_tensors="pt").input_ids
        cache = wrapped(**one.inputs, use_cache=True).past_key_values
        n_before = cache.get_seq_length()
        found = wrapped(input_ids=turn, past_key_values=cache).logits
        at = torch.zeros(1, n_before + turn.shape[1], dtype=torch.bool)
        if cfg is keyword:
            at[:, :n_before] = one.rows["keyword"]
            begin = text.index("earliest")
            offsets = processor.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
            for i, (left, right) in enumerate(offsets):
                at[0, n_before + i] = left < begin + len("earliest") and right > begin
        else:
            at[:, :n_before] = one.rows["all_text"]
            at[:, n_before:] = True
        whole = longer(one, turn.shape[1])
        whole["input_ids"][:, n_before:] = turn
        with wrapped.positions(query_mask=at):
            expected = wrapped(**whole).logits[:, n_before:]
        assert difference(found, expected) < 1e-5
        wrapped.unload()


def test_a_stated_prompt_length_on_a_cached_turn(wrapped, one):
    cache = wrapped(**one.inputs, use_cache=True).past_key_values
    n_before = cache.get_seq_length()
    turn = torch.tensor([[9, 11, 13, 15]])
    with wrapped.positions(prompt_length=2):
        found = wrapped(input_ids=turn, past_key_values=cache).logits
    whole = longer(one, 4)
    whole["input_ids"][:, n_before:] = turn
    rows = torch.zeros_like(whole["input_ids"], dtype=torch.bool)
    rows[0, [n_before - 1, n_before + 1]] = True
    with wrapped.positions(query_mask=rows):
        expected = wrapped(**whole).logits[:, n_before:]
    assert difference(found, expected) < 1e-5


# ---------------------------------------------------------------------- beams, strengths


@pytest.mark.parametrize("adaptive", [False, True])
def test_keyword_rows_and_strengths_follow_their_beams(model, processor, batch, adaptive):
    confidence = model(**batch.inputs).logits[:, -1].softmax(-1).amax(-1)
    threshold = float(confidence.mean())
    strengths = (
        [0.2 if value < threshold else 4.0 for value in confidence] if adaptive else [4.0] * 2
    )
    what = {"adaptive": Adaptive(threshold, 0.2, 4.0)} if adaptive else {"strength": 4.0}
    config = AttnScaleConfig(layers=[1, 3], queries=["keyword", "last"], phase="all", **what)
    edit = FullMatrix(
        "scale", strengths, [1, 3], batch.rows["keyword"] | batch.rows["last"], batch.audio
    )
    edit.rows, edit.keys = (t.repeat_interleave(3, 0) for t in (edit.rows, edit.keys))
    edit.strength = [s for s in strengths for _ in range(3)]
    edit.decode_rows = True
    kwargs = {"max_new_tokens": 4, "num_beams": 3, "num_return_sequences": 3, "do_sample": False}
    with full_matrix(model, model.model.language_model, edit):
        expected = model.generate(**batch.inputs, **kwargs)
    wrapped = apply_attn_scale(model, config, tokenizer=processor)
    assert wrapped.generate(**batch.inputs, **kwargs).equal(expected)


@pytest.mark.parametrize("stated", ["questions", "query_mask"])
def test_what_is_stated_follows_the_beams(model, processor, batch, stated):
    config = AttnScaleConfig(strength=4.0, layers=[1, 3], queries=["keyword"])
    wrapped = apply_attn_scale(model, config, tokenizer=processor)
    kwargs = {"max_new_tokens": 3, "num_beams": 2, "num_return_sequences": 2, "do_sample": False}
    expected = wrapped.generate(**batch.inputs, **kwargs)
    if stated == "questions":
        given = {"questions": [f"Which event has the {w}?" for w in WORDS]}
    else:
        given = {"query_mask": batch.rows["keyword"]}
    with wrapped.positions(**given):
        assert wrapped.generate(**batch.inputs, **kwargs).equal(expected)


def test_a_cache_repeated_by_hand(model, batch):
    """Several continuations of each prompt: rows and chosen strengths are repeated with them."""
    confidence = model(**batch.inputs).logits[:, -1].softmax(-1).amax(-1)
    rule = Adaptive(float(confidence.mean()), 0.2, 4.0)
    wrapped = apply_attn_scale(model, AttnScaleConfig(adaptive=rule, layers=[2, 4], phase="all"))
    cache = wrapped(**batch.inputs, use_cache=True).past_key_values
    tokens = torch.tensor([[5], [6]])
    mask = torch.nn.functional.pad(batch.inputs["attention_mask"], (0, 1), value=1)
    repeated = copy.deepcopy(cache)
    repeated.batch_repeat_interleave(3)
    one = wrapped(input_ids=tokens, attention_mask=mask, past_key_values=cache).logits
    three = wrapped(
        input_ids=tokens.repeat_interleave(3, 0),
        attention_mask=mask.repeat_interleave(3, 0),
        past_key_values=repeated,
    ).logits
    assert difference(three, one.repeat_interleave(3, 0)) < 1e-5
    assert cache._tempo_note.strength.tolist() == pytest.approx(
        [0.2 if value < confidence.mean() else 4.0 for value in confidence]
    )


def adaptive_config(model, case, **kwargs):
    confidence = float(model(**case.inputs).logits[:, -1].softmax(-1).amax(-1)[0])
    return AttnScaleConfig(
        adaptive=Adaptive(confidence * 1.001, 0.2, 4.0), layers=[1, 4], **kwargs
    ), AttnScaleConfig(strength=0.2, layers=[1, 4], **kwargs)


def test_the_confidence_is_that_of_the_prompt(model, processor, one):
    """Not of an answer behind it, and not of padding; an empty cache and a later turn are fine."""
    adaptive, fixed = adaptive_config(model, one, phase="all")
    n_prompt = one.inputs["input_ids"].shape[1]
    results = []
    for config in (adaptive, fixed):
        wrapped = apply_attn_scale(model, config)
        logits = []
        for value in (3, 200):
            with wrapped.positions(prompt_length=n_prompt):
                logits.append(wrapped(**longer(one, 2, value)).logits[:, n_prompt - 1])
        padded = longer(one, 3, processor.tokenizer.pad_token_id)
        padded["attention_mask"][:, n_prompt:] = 0
        rest = {k: v for k, v in padded.items() if k != "input_ids"}
        logits.append(wrapped(padded["input_ids"], **rest).logits[:, n_prompt - 1])
        logits.append(wrapped(**one.inputs, return_dict=False)[0][:, -1])
        step = wrapped(
            **one.inputs, past_key_values=DynamicCache(), use_cache=True, logits_to_keep=1
        )
        logits.append(step.logits[:, -1])
        token = torch.tensor([[5]])
        logits.append(wrapped(input_ids=token, past_key_values=step.past_key_values).logits[:, -1])
        cache = DynamicCache()
        logits.append(wrapped.generate(**one.inputs, **GREEDY, past_key_values=cache).logits[-1])
        results.append(logits)
        wrapped.unload()
    for ours, theirs in zip(*results, strict=True):
        assert difference(ours, theirs) < 1e-5
    assert difference(results[0][0], results[0][1]) < 1e-5  # whatever follows


def test_an_adaptive_edit_of_a_later_turn_decides_again(model, one):
    adaptive, _ = adaptive_config(model, one)
    wrapped = apply_attn_scale(model, adaptive)
    cache = wrapped(**one.inputs, use_cache=True).past_key_values
    turn = torch.tensor([[9, 11, 13]])
    with wrapped.disable_adapter():
        plain = wrapped(input_ids=turn, past_key_values=copy.deepcopy(cache)).logits[:, -1]
    sure = float(plain.softmax(-1).amax()) >= adaptive.adaptive.threshold
    found = wrapped(input_ids=turn, past_key_values=copy.deepcopy(cache)).logits
    note = cache._tempo_note
    assert note.strength.tolist() == pytest.approx([0.2])
    wrapped.add_adapter("fixed", AttnScaleConfig(strength=4.0 if sure else 0.2, layers=[1, 4]))
    wrapped.set_adapter("fixed")
    assert difference(found, wrapped(input_ids=turn, past_key_values=cache).logits) < 1e-5


# ---------------------------------------------------------------------- what callers state


def test_stated_texts_must_fit_the_batch(model, processor, batch):
    config = AttnScaleConfig(strength=2.0, layers=[1], queries=["keyword"])
    wrapped = apply_attn_scale(model, config, tokenizer=processor)
    question = "Which event has the latest offset?"
    for wrong in ([question], [question] * 3, question):
        with pytest.raises(PositionError, match=r"questions must be a list.*2 batch rows"):  # noqa: SIM117
            with wrapped.positions(questions=wrong):
                wrapped(**batch.inputs)


def test_stated_rows_that_would_do_nothing_or_see_nothing(model, one):
    none = torch.zeros_like(one.audio)
    wrapped = apply_attn_scale(model, CONFIG)
    with pytest.raises(PositionError, match="no query rows"), wrapped.positions(query_mask=none):
        wrapped(**one.inputs)
    wrapped.unload()
    wrapped = apply_attn_scale(model, AttnScaleConfig(mode="knockout", layers=[2]))
    with pytest.raises(PositionError, match="edited keys"), wrapped.positions(query_mask=one.audio):
        wrapped(**one.inputs)


def test_strengths_that_overflow_are_refused():
    for strength in (1e300, -1e5):
        with pytest.raises(ConfigError, match="10000"):
            AttnScaleConfig(mode="upweight", strength=strength)


@pytest.mark.parametrize("lowest", [-1e9, torch.finfo(torch.float32).min, -torch.inf])
def test_masks_of_every_making_hide_alike(model, one, lowest):
    """Hidden audio does not count in the mass; a user's mask may hide by -1e9."""
    half = one.audio & (one.audio.cumsum(1) > 10)
    visible = torch.ones(one.audio.shape[1], one.audio.shape[1]).tril().bool()[None, None]
    visible = visible & ~half[:, None, None, :]
    visible |= torch.eye(one.audio.shape[1], dtype=torch.bool)
    config = AttnScaleConfig(mode="scale_preserving", strength=4.0, layers=[2])
    wrapped = apply_attn_scale(model, config)
    inner = model.model.language_model
    embeds = model.model.get_input_embeddings()(one.inputs["input_ids"])
    additive = torch.zeros(visible.shape).masked_fill(~visible, lowest)
    results = []
    with wrapped.positions(audio_mask=one.audio):
        for mask in (visible, additive):
            results.append(inner(inputs_embeds=embeds, attention_mask=mask).last_hidden_state)
    assert difference(results[1][:, -1], results[0][:, -1]) < 1e-5


# ---------------------------------------------------------------------- weights, unusual kernels


def test_weights_of_an_eager_base_in_decoding(model, one):
    """What is returned as attention is what was used, also where all rows are edited."""
    model.set_attn_implementation({"text_config": "eager"})
    wrapped = apply_attn_scale(model, AttnScaleConfig(mode="knockout", layers=[2], phase="all"))
    out = wrapped.generate(**one.inputs, **GREEDY, output_attentions=True)
    for step in out.attentions:
        last = step[2][0, :, -1]
        width = one.audio.shape[1]
        assert last[:, :width][:, one.audio[0]].abs().max() == 0
        torch.testing.assert_close(last.sum(-1), torch.ones(len(last)))


def test_gradients_through_eager_weights(model, one):
    model.set_attn_implementation({"text_config": "eager"})
    wrapped = apply_attn_scale(model, AttnScaleConfig(strength=2.0, layers="all"))
    with torch.enable_grad():
        out = wrapped(**one.inputs, output_attentions=True)
        (out.attentions[1].square().sum() + out.logits.sum()).backward()
    assert model.model.language_model.layers[0].self_attn.k_proj.weight.grad.abs().max() > 0


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_decoding_without_padding(model, one, cache):
    """No mask, and with a static cache the same number of keys at every step."""
    config = AttnScaleConfig(mode="scale_preserving", strength=3.0, layers="all", phase="all")
    edit = FullMatrix("scale_preserving", 3.0, range(6), one.rows["last"], one.audio)
    edit.decode_rows = True
    how = {"cache_implementation": "static"} if cache == "static" else {}
    inputs = {k: v for k, v in one.inputs.items() if k != "attention_mask"}
    with full_matrix(model, model.model.language_model, edit):
        expected = model.generate(**inputs, **GREEDY, **how)
    wrapped = apply_attn_scale(model, config)
    found = wrapped.generate(**inputs, **GREEDY, **how)
    for ours, theirs in zip(found.logits, expected.logits, strict=True):
        assert difference(ours, theirs) < 1e-5


def test_a_kernel_that_returns_something_else(model, one, monkeypatch):
    """Flex attention gives (output, log-sum-exp): it must be passed on, not taken for weights."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    sdpa = ALL_ATTENTION_FUNCTIONS["sdpa"]
    expected = apply_attn_scale(model, CONFIG)(**one.inputs).logits
    extra = []

    def like_flex(module, query, *args, **kwargs):
        out, _ = sdpa(module, query, *args, **kwargs)
        extra.append(query.new_zeros(query.shape[:3]))
        return out, extra[-1]

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._local_mapping, "sdpa", like_flex)
    assert model(**one.inputs).logits.equal(expected)
    assert all(not tensor.any() for tensor in extra)


def test_the_forward_of_the_base_cannot_adapt(model, one):
    adaptive, _ = adaptive_config(model, one)
    apply_attn_scale(model, adaptive)
    with pytest.raises(EditNotAppliedError, match="plain run"):
        model(**one.inputs)
    model.generate(**one.inputs, max_new_tokens=1)


# ---------------------------------------------------------------------- compiled models


def compiled_in_place(module):
    module.compile()


@pytest.mark.parametrize("part", ["", "model.language_model", "model.language_model.layers.2"])
def test_compiled_attention_is_refused(model, part):
    compiled_in_place(model.get_submodule(part))
    with pytest.raises(UnsupportedModelError, match=f"{part or 'the model'} is compiled"):
        apply_attn_scale(model, CONFIG)
    assert "generate" not in model.__dict__


def test_a_compiled_model_is_refused(model, one):
    with pytest.raises(UnsupportedModelError, match="Wrap the model that is not compiled"):
        apply_attn_scale(torch.compile(model), CONFIG)
    model.model.audio_tower.compile(backend="eager")  # no edit is there
    apply_attn_scale(model, CONFIG)(**one.inputs)


# ---------------------------------------------------------------------- the cache's name


@pytest.mark.parametrize("name", CACHE_NAMES)
def test_a_cache_is_found_under_both_of_its_names(name):
    cache = DynamicCache()
    assert cache_name({"input_ids": None, name: cache}) == name
    assert cache_in({**dict.fromkeys(CACHE_NAMES), name: cache}) is cache
    assert cache_of(SimpleNamespace(**{name: cache})) is cache
    assert cache_in(dict.fromkeys(CACHE_NAMES)) is None


@pytest.mark.parametrize("name", CACHE_NAMES)
def test_decoding_is_edited_under_both_names_of_the_cache(model, one, name):
    wrapped = apply_attn_scale(model, AttnScaleConfig(strength=4.0, layers=[2], phase="all"))
    own = next(n for n in CACHE_NAMES if n in inspect.signature(type(model).forward).parameters)
    cache = cache_of(wrapped(**one.inputs, use_cache=True))
    token = torch.tensor([[7]])
    expected = wrapped(input_ids=token, **{own: copy.deepcopy(cache)}).logits

    def rename(module, args, kwargs):
        return args, {own if key == name else key: value for key, value in kwargs.items()}

    # The wrapper's hook reads the call first; then it gets the name that this version takes.
    model.register_forward_pre_hook(rename, with_kwargs=True)
    found = wrapped(input_ids=token, **{name: copy.deepcopy(cache)}).logits
    assert found.equal(expected)
    assert wrapped.status().steps == {2: 2}


def test_a_cache_under_an_unknown_name_is_refused(wrapped, one):
    cache = cache_of(wrapped(**one.inputs, use_cache=True))
    with pytest.raises(UnsupportedModelError, match="named 'kv_store'; expected cache or"):
        wrapped(input_ids=torch.tensor([[7]]), kv_store=cache)


def test_a_decoder_whose_cache_has_another_name_is_refused(model, monkeypatch):
    """Its decoding steps would all be taken for prompts."""

    def forward(self, input_ids=None, kv_store=None, **kwargs):
        raise AssertionError

    monkeypatch.setattr(type(model.get_decoder()), "forward", forward)
    with pytest.raises(UnsupportedModelError, match="takes none of cache and past_key_values"):
        apply_attn_scale(model, CONFIG, on_missing="warn")

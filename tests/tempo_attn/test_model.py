"""The wrapper as a user meets it: adapters, calls of every shape, and never a silent no-op."""

import copy
import warnings

import pytest
import torch
from transformers import DynamicCache

from tempo_attn import AttnScaleConfig, AttnScaleModel, apply_attn_scale
from tempo_attn.errors import (
    AdapterError,
    ConfigError,
    EditNotAppliedError,
    PositionError,
    UnknownFamilyError,
    UnsupportedInputError,
)
from tests.support.enriched_by_hand import (
    ATTENTION,
    SORTS,
    STATES,
    STEERED,
    edited_by_hand,
)
from tests.support.prompts import build_case
from tests.support.reference import FullMatrix, difference, full_matrix

CONFIG = ATTENTION


@pytest.fixture(params=SORTS.values(), ids=SORTS)
def config(request):
    """An edit of attention and one of states: what is tested here holds for both."""
    return request.param


only_attention = pytest.mark.parametrize("config", [ATTENTION], ids=["attention"])


@pytest.fixture
def wrapped(model, config):
    wrapper = apply_attn_scale(model, config)
    with torch.no_grad():
        yield wrapper
    wrapper.unload()


def without_audio(processor, text="Which sound has the earliest onset?\nA. Bell\nB. Horn"):
    return dict(processor(text=[text], return_tensors="pt"))


# ---------------------------------------------------------------------- passing through


def test_it_looks_like_the_model(model, wrapped, one):
    assert wrapped.config is model.config
    assert wrapped.device == model.device
    assert wrapped.dtype == model.dtype
    assert wrapped.generation_config is model.generation_config
    assert wrapped.get_input_embeddings() is model.get_input_embeddings()
    assert not wrapped.eval().training
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = wrapped.no_such_thing
    ids = one.inputs["input_ids"]
    rest = {k: v for k, v in one.inputs.items() if k != "input_ids"}
    assert wrapped(ids, **rest).logits.equal(wrapped(**one.inputs).logits)


@only_attention
def test_every_entry_is_edited(model, wrapped, one):
    """Calls below the top class, or of the model itself, are edited as well."""
    edited = wrapped(**one.inputs).logits
    assert model(**one.inputs).logits.equal(edited)
    assert model.lm_head(model.model(**one.inputs).last_hidden_state).equal(edited)
    features = model.model.get_input_embeddings()(one.inputs["input_ids"])
    with wrapped.positions(audio_mask=one.audio):
        inner = model.model.language_model(inputs_embeds=features).last_hidden_state
    with wrapped.disable_adapter():
        plain = model.model.language_model(inputs_embeds=features).last_hidden_state
    assert (inner != plain).any(-1).equal(one.rows["last"])


def test_the_tokenizer_is_found_by_the_models_name(model, processor, one, tmp_path):
    processor.save_pretrained(tmp_path)
    config = AttnScaleConfig(strength=4.0, layers=[2], queries=["keyword"])
    with pytest.raises(ConfigError, match="tokenizer="):
        apply_attn_scale(model, config)
    model.config._name_or_path = str(tmp_path)
    try:
        wrapped = apply_attn_scale(model, config)
        with torch.no_grad():
            wrapped(**one.inputs)
        rows = wrapped.status().rows
        wrapped.unload()
    finally:
        model.config._name_or_path = ""
    assert rows == (int(one.rows["keyword"].sum()),)


# ---------------------------------------------------------------------- adapters


def test_adapters_by_name(model, wrapped, one):
    wrapped.add_adapter("late", AttnScaleConfig(strength=0.0, layers=[-1], phase="all"))
    assert wrapped.active_adapter == "default"
    early = wrapped(**one.inputs).logits
    wrapped.set_adapter("late")
    late = wrapped(**one.inputs).logits
    assert wrapped.status().layers == (5,)
    assert not late.equal(early)
    wrapped.set_adapter("default")
    assert wrapped(**one.inputs).logits.equal(early)
    assert sorted(wrapped.attn_scale_config) == ["default", "late"]
    with pytest.raises(AdapterError, match="active"):
        wrapped.delete_adapter("default")
    wrapped.delete_adapter("late")
    with pytest.raises(AdapterError, match=r"'late'.*\['default'\]"):
        wrapped.set_adapter("late")
    with pytest.raises(AdapterError, match="already"):
        wrapped.add_adapter("default", CONFIG)
    with pytest.raises(AdapterError):
        wrapped.add_adapter("../escape", CONFIG)
    with pytest.raises(ConfigError, match="dict"):
        wrapped.add_adapter("other", {"mode": "scale"})


def test_a_later_change_of_the_callers_config_does_not_reach_the_model(model, one):
    config = AttnScaleConfig(strength=4.0, layers=[2])
    wrapped = apply_attn_scale(model, config)
    with torch.no_grad():
        before = wrapped(**one.inputs).logits
        config.strength = 0.0
        config.layers.append(3)
        after = wrapped(**one.inputs).logits
    wrapped.unload()
    assert after.equal(before)


def test_only_one_wrapper_at_a_time(model, wrapped):
    with pytest.raises(AdapterError, match="unload"):
        apply_attn_scale(model, CONFIG)
    with pytest.raises(AdapterError, match="add_adapter"):
        apply_attn_scale(wrapped, CONFIG)


@pytest.mark.parametrize(
    ("config", "error", "match"),
    [
        (AttnScaleConfig(strength=2.0, layers=[6]), ConfigError, "6"),
        (AttnScaleConfig(strength=2.0, layers=[-7]), ConfigError, "-7"),
        (AttnScaleConfig(strength=2.0, layers=[1], heads=[4]), ConfigError, "4"),
        (AttnScaleConfig(strength=2.0, keys="transcript"), ConfigError, "transcript"),
    ],
)
def test_a_config_that_does_not_fit_leaves_the_model_untouched(model, config, error, match):
    with pytest.raises(error, match=match):
        apply_attn_scale(model, config)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_config_for_another_model_warns(model):
    config = AttnScaleConfig(strength=2.0, layers=[1], base_model_name_or_path="them/their-model")
    model.config._name_or_path = "us/our-model"
    try:
        with pytest.warns(UserWarning, match=r"them/their-model.*us/our-model"):
            apply_attn_scale(model, config).unload()
    finally:
        model.config._name_or_path = ""


@pytest.mark.parametrize("lora", [False, True])
def test_of_where_the_base_model_lies_nothing_is_saved(model, lora, tmp_path):
    peft = pytest.importorskip("peft")
    model.config._name_or_path = "../models/x"
    try:
        config = peft.LoraConfig(r=2, target_modules=["q_proj"])
        wrapped = apply_attn_scale(peft.get_peft_model(model, config) if lora else model, CONFIG)
        wrapped.add_adapter("other", CONFIG)
        wrapped.save_pretrained(tmp_path)
        for file in tmp_path.rglob("*.*"):
            assert "../" not in file.read_text().replace("https://", "")
        for name in (None, "other"):
            saved = AttnScaleConfig.from_pretrained(tmp_path, subfolder=name)
            assert saved.base_model_name_or_path == "x"
    finally:
        model.config._name_or_path = ""


def test_a_text_model_is_refused():
    with pytest.raises(UnknownFamilyError, match="none"):
        apply_attn_scale(torch.nn.Linear(2, 2), CONFIG)


# ---------------------------------------------------------------------- never silently nothing


def test_text_only_prompts_raise_unless_disabled(wrapped, processor):
    inputs = without_audio(processor)
    with pytest.raises(PositionError, match=r"no audio positions.*batch row\(s\) \[0\]"):
        wrapped(**inputs)
    with pytest.raises(PositionError, match="disable_adapter"):
        wrapped.generate(**inputs, max_new_tokens=1)
    with wrapped.disable_adapter():
        wrapped(**inputs)


def test_a_row_without_audio_in_a_batch(model, wrapped, config, processor, one):
    text = without_audio(processor)["input_ids"]
    width = one.inputs["input_ids"].shape[1] - text.shape[1]
    batch = dict(one.inputs)
    pad = torch.nn.functional.pad
    batch["input_ids"] = torch.cat(
        [one.inputs["input_ids"], pad(text, (width, 0), value=processor.tokenizer.pad_token_id)]
    )
    batch["attention_mask"] = torch.cat(
        [one.inputs["attention_mask"], pad(torch.ones_like(text), (width, 0))]
    )
    with pytest.raises(PositionError, match=r"\[1\]"):
        wrapped(**batch)
    wrapped.unload()
    lenient = apply_attn_scale(model, config, on_missing="warn")
    with lenient.disable_adapter():
        plain = lenient(**batch).logits
    with pytest.warns(UserWarning, match="no audio positions"):
        edited = lenient(**batch).logits
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        lenient(**batch)
    lenient.unload()
    assert edited[1].equal(plain[1])
    assert not edited[0].equal(plain[0])


def test_a_prompt_without_keyword(model, processor, one):
    config = AttnScaleConfig(
        strength=3.0, layers=[1], queries=["keyword", "last"], keywords=["loudest"]
    )
    wrapped = apply_attn_scale(model, config, tokenizer=processor)
    with torch.no_grad(), pytest.raises(PositionError, match=r"batch row 0.*loudest"):
        wrapped(**one.inputs)
    wrapped.unload()
    wrapped = apply_attn_scale(model, config, tokenizer=processor, on_missing="warn")
    with torch.no_grad(), pytest.warns(UserWarning, match="loudest"):
        wrapped(**one.inputs)
    assert wrapped.status().rows == (1,)
    wrapped.unload()
    with pytest.raises(ConfigError, match="on_missing"):
        apply_attn_scale(model, config, on_missing="ignore")


@only_attention
def test_attention_that_went_another_way_raises(model, wrapped, one):
    """Somebody puts the original configuration back: the edit would silently be lost."""
    attention = model.model.language_model.layers[2].self_attn
    redirected, attention.config = attention.config, model.model.language_model.config
    with pytest.raises(EditNotAppliedError, match=r"layer\(s\) \[2\]"):
        wrapped(**one.inputs)
    with pytest.raises(EditNotAppliedError):
        wrapped.generate(**one.inputs, max_new_tokens=1)
    attention.config = redirected
    wrapped(**one.inputs)


@pytest.mark.parametrize(
    ("config", "number"),
    [(ATTENTION, 2), (STATES, 1), (STATES, 3)],
    ids=["edited", "source", "enriched"],
)
def test_a_single_layer_cannot_be_run_alone(model, wrapped, number):
    hidden = torch.zeros(1, 4, model.config.text_config.hidden_size)
    rotary = model.model.language_model.rotary_emb(hidden, torch.arange(4)[None])
    layer = model.model.language_model.layers[number]
    with pytest.raises(EditNotAppliedError, match="outside a forward call"):
        layer(hidden, position_embeddings=rotary)
    with wrapped.disable_adapter():
        layer(hidden, position_embeddings=rotary)


def test_unexpanded_audio_is_refused(model, wrapped, processor, one):
    """The legacy in-forward expansion moves all positions."""
    ids = one.inputs["input_ids"][0]
    keep = ~one.audio[0]
    keep[int(one.audio[0].nonzero()[0])] = True
    short = {**one.inputs, "input_ids": ids[keep][None]}
    short["attention_mask"] = torch.ones_like(short["input_ids"])
    with pytest.raises(UnsupportedInputError, match="processor"):
        wrapped(**short)


@only_attention
def test_queries_before_the_audio_raise(wrapped, one):
    rows = torch.zeros_like(one.audio)
    rows[0, 1] = True
    with (
        pytest.raises(PositionError, match="no edited query sees"),
        wrapped.positions(query_mask=rows),
    ):
        wrapped(**one.inputs)


def test_an_interrupted_call_leaves_no_trace(model, wrapped, batch, one):
    expected = wrapped(**one.inputs).logits
    for error in (KeyboardInterrupt, RuntimeError):

        def fail(*args, error=error):
            raise error

        hook = model.model.language_model.layers[3].register_forward_pre_hook(fail)
        with pytest.raises(error):
            wrapped(**batch.inputs)
        hook.remove()
        assert wrapped(**one.inputs).logits.equal(expected)


def test_gradient_checkpointing_is_refused_in_the_backward_pass(model, one):
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    wrapped = apply_attn_scale(model, CONFIG)
    try:
        with torch.enable_grad(), pytest.raises(EditNotAppliedError, match="checkpointing"):
            wrapped(**one.inputs, use_cache=False).logits.sum().backward()
    finally:
        wrapped.unload()
        model.gradient_checkpointing_disable()
        model.eval()
        model.zero_grad()


# ---------------------------------------------------------------------- caches and generation


def steps_by_hand(wrapped, inputs, n_steps, cache=None):
    output = wrapped(**inputs, past_key_values=cache, use_cache=True)
    logits = [output.logits[:, -1]]
    mask = inputs["attention_mask"]
    for _ in range(n_steps):
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        output = wrapped(
            input_ids=logits[-1].argmax(-1, keepdim=True),
            attention_mask=mask,
            past_key_values=output.past_key_values,
            use_cache=True,
        )
        logits.append(output.logits[:, -1])
    return logits, output.past_key_values


def test_decoding_by_hand_equals_generate(model, batch):
    wrapped = apply_attn_scale(model, AttnScaleConfig(strength=3.0, layers="all", phase="all"))
    with torch.no_grad():
        by_hand, cache = steps_by_hand(wrapped, batch.inputs, 3)
        generated = wrapped.generate(
            **batch.inputs,
            max_new_tokens=4,
            min_new_tokens=4,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        ).logits
        for ours, theirs in zip(by_hand, generated, strict=True):
            assert difference(ours, theirs) < 1e-5
        # A copied and a cropped cache know their audio positions too.
        copied, tokens = copy.deepcopy(cache), by_hand[2].argmax(-1, keepdim=True)
        copied.crop(-1)
        mask = torch.nn.functional.pad(batch.inputs["attention_mask"], (0, 3), value=1)
        again = wrapped(input_ids=tokens, attention_mask=mask, past_key_values=copied)
        assert difference(again.logits[:, -1], by_hand[3]) < 1e-5
    wrapped.unload()


def test_a_cache_filled_without_the_edit_is_refused(wrapped, one):
    with wrapped.disable_adapter():
        cache = wrapped(**one.inputs, use_cache=True).past_key_values
    token = torch.tensor([[5]])
    with pytest.raises(PositionError, match="filled without the edit"):
        wrapped(input_ids=token, past_key_values=cache)
    with wrapped.disable_adapter():
        wrapped(input_ids=token, past_key_values=cache)


@pytest.mark.parametrize(
    "config",
    [
        AttnScaleConfig(strength=3.0, layers=[1, 3]),
        AttnScaleConfig(strength=3.0, layers=[1, 3], phase="all"),
        AttnScaleConfig(mode="enrich", strength=0.9, layers=[3], source=1),
        STEERED,
    ],
    ids=["prefill", "all", "states", "steered"],
)
def test_beams_and_several_sequences(model, batch, config):
    """Each beam is edited as its prompt is."""
    rows, audio = (t.repeat_interleave(3, 0) for t in (batch.rows["last"], batch.audio))
    kwargs = {"max_new_tokens": 4, "num_beams": 3, "num_return_sequences": 2, "do_sample": False}
    plain = model.generate(**batch.inputs, **kwargs)
    with edited_by_hand(model, config, rows, audio, decode_rows=config.phase == "all"):
        expected = model.generate(**batch.inputs, **kwargs)
    wrapped = apply_attn_scale(model, config)
    found = wrapped.generate(**batch.inputs, **kwargs)
    wrapped.unload()
    assert found.equal(expected)
    assert not found.equal(plain)


def test_a_prompt_prefilled_in_pieces(model, processor, batch):
    config = AttnScaleConfig(strength=3.0, layers=[1, 3], queries=["keyword", "last"])
    wrapped = apply_attn_scale(model, config, tokenizer=processor)
    kwargs = {"max_new_tokens": 3, "do_sample": False}
    whole = wrapped.generate(
        **batch.inputs, **kwargs, output_logits=True, return_dict_in_generate=True
    )
    audio_end = int(batch.audio.nonzero()[:, 1].max()) + 1
    with torch.no_grad(), wrapped._tracker.generating(batch.inputs):
        first = {
            **batch.inputs,
            "input_ids": batch.inputs["input_ids"][:, :audio_end],
            "attention_mask": batch.inputs["attention_mask"][:, :audio_end],
        }
        cache = wrapped(**first, use_cache=True).past_key_values
        rest = wrapped(
            input_ids=batch.inputs["input_ids"][:, audio_end:],
            attention_mask=batch.inputs["attention_mask"],
            past_key_values=cache,
        )
    wrapped.unload()
    assert difference(rest.logits[:, -1], whole.logits[0]) < 1e-5


@pytest.mark.parametrize(
    "config",
    [
        AttnScaleConfig(strength=5.0, layers=[2]),
        AttnScaleConfig(mode="enrich", strength=0.7, layers=[2, 4], source=0),
        STEERED,
    ],
    ids=SORTS,
)
def test_a_second_turn_on_the_same_cache(model, wrapped, config, processor, one):
    """New text without audio of its own: its last row is edited, on the first turn's audio."""
    turn = processor.tokenizer("<|im_end|>\nAnd now?", return_tensors="pt").input_ids
    cache = wrapped(**one.inputs, past_key_values=DynamicCache(), use_cache=True).past_key_values
    n_before = cache.get_seq_length()
    logits = wrapped(input_ids=turn, past_key_values=cache).logits
    whole = {**one.inputs, "input_ids": torch.cat([one.inputs["input_ids"], turn], 1)}
    whole["attention_mask"] = torch.ones_like(whole["input_ids"])
    rows = torch.zeros_like(whole["input_ids"], dtype=torch.bool)
    rows[0, [n_before - 1, -1]] = True
    with wrapped.positions(query_mask=rows):
        stated = wrapped(**whole).logits
    audio = torch.nn.functional.pad(one.audio, (0, turn.shape[1]))
    with wrapped.disable_adapter(), edited_by_hand(model, config, rows, audio):
        by_hand = model(**whole).logits
    assert difference(logits, stated[:, n_before:]) < 1e-5
    assert difference(logits, by_hand[:, n_before:]) < 1e-5


def test_stated_prompt_length_for_teacher_forcing(model, one):
    """`last` is the prompt's last token, not the answer's."""
    answer = torch.tensor([[7, 9, 11]])
    inputs = {**one.inputs, "input_ids": torch.cat([one.inputs["input_ids"], answer], 1)}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    n_prompt = one.inputs["input_ids"].shape[1]
    for phase in ("prefill", "all"):
        wrapped = apply_attn_scale(model, AttnScaleConfig(strength=4.0, layers=[2, 4], phase=phase))
        with torch.no_grad():
            with wrapped.positions(prompt_length=n_prompt):
                at_once = wrapped(**inputs).logits[:, n_prompt - 1 :]
            cache = wrapped(**one.inputs, use_cache=True)
            by_step = [cache.logits[:, -1]]
            for token in answer[0]:
                step = wrapped(input_ids=token[None, None], past_key_values=cache.past_key_values)
                by_step.append(step.logits[:, -1])
        wrapped.unload()
        assert difference(at_once, torch.stack(by_step, 1)) < 1e-5


def test_right_padding(model, processor, one):
    """`last` is the last token that is not padding."""
    pad = processor.tokenizer.pad_token_id
    padded = dict(one.inputs)
    padded["input_ids"] = torch.nn.functional.pad(one.inputs["input_ids"], (0, 3), value=pad)
    padded["attention_mask"] = torch.nn.functional.pad(one.inputs["attention_mask"], (0, 3))
    wrapped = apply_attn_scale(model, CONFIG)
    with torch.no_grad():
        expected = wrapped(**one.inputs).logits
        found = wrapped(**padded).logits[:, :-3]
    wrapped.unload()
    assert difference(found, expected) < 1e-5


@pytest.mark.parametrize("bad", ["audio_mask", "query_mask"])
def test_stated_masks_of_another_shape(wrapped, one, bad):
    with (
        pytest.raises(PositionError, match=rf"{bad}.*\(1, 2\)"),
        wrapped.positions(**{bad: [[True, False]]}),
    ):
        wrapped(**one.inputs)


# ---------------------------------------------------------------------- adaptive


def test_adaptive_strength_by_confidence(model, batch):
    with torch.no_grad():
        confidence = model(**batch.inputs).logits[:, -1].softmax(-1).amax(-1)
    threshold = float(confidence.mean())
    assert confidence[0] != confidence[1]
    strengths = [0.2 if value < threshold else 3.0 for value in confidence]
    assert set(strengths) == {0.2, 3.0}
    config = AttnScaleConfig.adaptvis(low=0.2, high=3.0, threshold=threshold, layers=[1, 4])
    edit = FullMatrix("scale", strengths, [1, 4], batch.rows["last"], batch.audio)
    kwargs = {"max_new_tokens": 3, "do_sample": False}
    with full_matrix(model, model.model.language_model, edit), torch.no_grad():
        expected = model(**batch.inputs).logits
        generated = model.generate(**batch.inputs, **kwargs)
    wrapped = apply_attn_scale(model, config)
    with torch.no_grad():
        assert difference(wrapped(**batch.inputs).logits[batch.real], expected[batch.real]) < 1e-5
        assert wrapped.generate(**batch.inputs, **kwargs).equal(generated)
        with pytest.raises(EditNotAppliedError, match="plain run"):
            model(**batch.inputs)
    wrapped.unload()


# ---------------------------------------------------------------------- composing


def lora(model):
    peft = pytest.importorskip("peft")
    torch.manual_seed(3)
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    return peft.get_peft_model(model, config)


def test_around_a_lora_model(model, batch, config):
    adapted = lora(model).eval()
    with torch.no_grad():
        plain = adapted(**batch.inputs).logits
        with edited_by_hand(adapted, config, batch.rows["last"], batch.audio):
            expected = adapted(**batch.inputs).logits
        wrapped = apply_attn_scale(adapted, config)
        found = wrapped(**batch.inputs).logits
        assert difference(found[batch.real], expected[batch.real]) < 1e-5
        assert difference(found[batch.real], plain[batch.real]) > 1e-3
        tokens = wrapped.generate(**batch.inputs, max_new_tokens=2, do_sample=False)
    assert tokens.shape[1] == batch.inputs["input_ids"].shape[1] + 2
    assert wrapped.unload() is adapted


def test_inside_a_lora_model(model, batch, config):
    """LoRA is put on a wrapped model; both are active."""
    outer = lora(apply_attn_scale(model, config)).eval()
    inner = outer.get_base_model()
    assert isinstance(inner, AttnScaleModel)
    with torch.no_grad():
        both = outer(**batch.inputs).logits
        with inner.disable_adapter():
            only_lora = outer(**batch.inputs).logits
        with outer.disable_adapter():
            only_edit = outer(**batch.inputs).logits
    assert inner.status().prefills == dict.fromkeys(config.layers, 2)
    assert not both.equal(only_lora)
    assert not both.equal(only_edit)


def test_over_several_devices(model, batch, tmp_path):
    """A device map that keeps half of the layers on disk."""
    from accelerate import dispatch_model

    with torch.no_grad():
        wrapped = apply_attn_scale(model, AttnScaleConfig(strength=2.0, layers="all"))
        expected = wrapped(**batch.inputs).logits
        wrapped.unload()
        spread = model
        places = {name: "cpu" for name, _ in spread.named_children()}
        del places["model"]
        places |= {f"model.{name}": "cpu" for name, _ in spread.model.named_children()}
        del places["model.language_model"]
        text = "model.language_model"
        places |= {
            f"{text}.{name}": "cpu" for name, _ in spread.model.language_model.named_children()
        }
        del places[f"{text}.layers"]
        places |= {f"{text}.layers.{i}": "disk" if i % 2 else "cpu" for i in range(6)}
        spread = dispatch_model(spread, places, main_device="cpu", offload_dir=tmp_path)
        wrapped = apply_attn_scale(spread, AttnScaleConfig(strength=2.0, layers="all"))
        assert difference(wrapped(**batch.inputs).logits[batch.real], expected[batch.real]) < 1e-5
        assert set(wrapped.status().prefills.values()) == {1}


def test_bfloat16_against_its_own_control(model, batch):
    """In 16 bits the recomputed rows differ from the kernel's; the control says by how much."""
    half = model.to(torch.bfloat16)
    inputs = {k: v.bfloat16() if v.is_floating_point() else v for k, v in batch.inputs.items()}
    control = AttnScaleConfig(strength=1.0, layers=[2])
    with torch.no_grad():
        plain = half(**inputs).logits.float()
        wrapped = apply_attn_scale(half, control, recompute_identity=True)
        noise = difference(wrapped(**inputs).logits.float()[batch.real], plain[batch.real])
        wrapped.unload()
        wrapped = apply_attn_scale(half, CONFIG)
        effect = difference(wrapped(**inputs).logits.float()[batch.real], plain[batch.real])
    assert effect > 3 * noise


def test_each_case_is_what_it_says(processor, batch, one):
    """The fixture's positions, by their text."""
    for case in (batch, one, build_case(processor, seed=5)):
        ids = case.inputs["input_ids"]
        for row in range(len(ids)):
            words = processor.tokenizer.decode(ids[row, case.rows["keyword"][row]]).strip()
            assert words in ("earliest", "latest")

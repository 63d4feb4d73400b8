"""Mode "enrich": early states mixed into deep ones, against hooks written by hand.

What a wrapper does in every mode (adapters, copies, beams, turns, prompts without audio) is tested
in test_model.py and test_tracker.py, for this mode too.
"""

import dataclasses
import gc
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tempo_attn import AttnScaleConfig, AttnScaleModel, apply_attn_scale
from tempo_attn.adaptive import Adaptive
from tempo_attn.attention.mode_formulas import enrich_states
from tempo_attn.errors import (
    ConfigError,
    EditNotAppliedError,
    UnsupportedModelError,
)
from tempo_attn.families import get_family
from tests.support.enriched_by_hand import by_hand, leaving
from tests.support.reference import difference
from tests.support.tiny_models import FAMILIES

NOT_OF_THREE_DIMENSIONS = {"gemma3n"}  # four streams of states at once
GENERATE = {
    "max_new_tokens": 5,
    "min_new_tokens": 5,
    "do_sample": False,
    "output_logits": True,
    "return_dict_in_generate": True,
}


def enrich(weight=0.4, layers=(3,), source=1, **fields):
    return AttnScaleConfig(
        mode="enrich", strength=weight, layers=list(layers), source=source, **fields
    )


def layers_of(model):
    return model.model.language_model.layers


def rows_of(case, queries):
    """The rows by name, those before the audio left out."""
    return torch.stack([case.rows[name] for name in queries]).any(0) & (case.audio.cumsum(1) > 0)


def hooked(model):
    return [name for name, m in model.named_modules() if m._forward_hooks or m._forward_pre_hooks]


# ---------------------------------------------------------------------- maths


def test_by_hand():
    deep, early = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]])
    # early at the deep one's norm: (0, 5); the mix: (1.5, 4.5), of norm sqrt(22.5)
    expected = torch.tensor([[1.5, 4.5]]) * 5 / 22.5**0.5
    torch.testing.assert_close(enrich_states(deep, early, 0.5), expected)
    torch.testing.assert_close(enrich_states(deep, early, 1.0), torch.tensor([[0.0, 5.0]]))
    torch.testing.assert_close(enrich_states(deep, early, 0.0), deep)


values = st.floats(-100, 100, width=32)
weights = st.floats(0, 1)


def states(width=6):
    return arrays("float32", (2, 3, width), elements=values).map(torch.from_numpy)


@given(states(), states(), weights)
def test_the_norm_stays(deep, early, weight):
    mixed = enrich_states(deep.double(), early.double(), weight)
    assert mixed.isfinite().all()
    norm = deep.double().norm(dim=-1)
    # Where the two cancel out, nothing may be left that has a direction.
    left = mixed.norm(dim=-1)
    fine = ((left - norm).abs() <= 1e-6 * norm) | (left == 0)
    assert fine.all()


@given(states(), states(), st.floats(0.125, 0.875), st.floats(0.125, 64))
def test_only_the_direction_of_the_early_state_counts(deep, early, weight, factor):
    deep, early = deep.double() + 200, early.double() + 200  # far from cancelling out
    one = enrich_states(deep, early, weight)
    torch.testing.assert_close(enrich_states(deep, factor * early, weight), one)
    torch.testing.assert_close(enrich_states(factor * deep, early, weight), factor * one)


@given(states(), states())
def test_a_weight_of_zero_and_of_one(deep, early):
    deep, early = deep.double(), early.double() + 200
    torch.testing.assert_close(enrich_states(deep, early, 0.0), deep)
    whole = enrich_states(deep, early, 1.0)
    size, unit = deep.norm(dim=-1, keepdim=True), early / early.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(whole, size * unit)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 5.0, 1e4])
def test_states_of_norm_zero_give_numbers(scale):
    """Padding may be zero; a factor of norm / 0 would be infinite, and 0 times it NaN."""
    state, nothing = torch.full((1, 4), scale), torch.zeros(1, 4)
    torch.testing.assert_close(enrich_states(state, nothing, 0.3), state)
    assert enrich_states(nothing, state, 0.3).equal(nothing)
    assert enrich_states(nothing, nothing, 0.3).equal(nothing)
    assert enrich_states(state, nothing, 1.0).equal(nothing)
    assert enrich_states(state, -state, 0.5).equal(nothing)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_are_mixed_in_thirty_two(dtype):
    """Squares of these overflow float16."""
    torch.manual_seed(0)
    deep, early = (300 * torch.randn(2, 3, 8)).to(dtype), torch.randn(2, 3, 8).to(dtype)
    mixed = enrich_states(deep, early, 0.4)
    assert mixed.dtype is torch.float32
    assert mixed.equal(enrich_states(deep.float(), early.float(), 0.4))
    assert enrich_states(deep.double(), early, 0.4).dtype is torch.float64


def test_each_state_may_have_its_weight():
    torch.manual_seed(0)
    deep, early = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    mixed = enrich_states(deep, early, torch.tensor([0.2, 0.7])[:, None, None])
    for row, weight in enumerate((0.2, 0.7)):
        torch.testing.assert_close(mixed[row], enrich_states(deep[row], early[row], weight))


# ---------------------------------------------------------------------- configurations


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source": None}, "source is None; expected the layer whose .* mode 'enrich' needs one"),
        ({"source": 1.5}, "source is 1.5; expected the layer whose states"),
        ({"source": True}, "source is True; expected"),
        ({"source": [1]}, r"source is \[1\]; expected"),
        ({"source": 10**9}, "source is 1000000000; expected"),
        ({"layers": "all"}, r"layers is 'all'; expected the deeper layers, such as \[20\]"),
        ({"heads": [0]}, r"heads is \[0\]; expected None: states have no heads"),
        ({"keys": "transcript"}, r"keys is \['transcript'\]; expected \['audio'\]"),
        ({"keys": "audio+transcript"}, "keys is .*states have no keys in mode 'enrich'"),
        ({"phase": "all"}, "phase is 'all'; expected 'prefill' in mode 'enrich'"),
        (
            {"adaptive": Adaptive(0.3, 0.1, 0.2), "strength": None},
            "adaptive is .*; expected None in mode 'enrich'",
        ),
        ({"strength": None}, "strength is None; expected a number: mode 'enrich' needs one"),
        ({"strength": -0.1}, "strength is -0.1; expected the early states' weight, from 0 to 1"),
        ({"strength": 1.01}, "strength is 1.01; expected the early states' weight, from 0 to 1"),
        ({"mode": "scale"}, "source is 1; expected None: mode 'scale' has no source"),
        ({"mode": "knockout", "strength": None}, "source is 1; .*'knockout' has no source"),
    ],
)
def test_what_is_wrong_is_named(fields, message):
    fine = {"mode": "enrich", "strength": 0.3, "layers": [3], "source": 1}
    AttnScaleConfig(**fine)
    with pytest.raises(ConfigError, match=message):
        AttnScaleConfig(**(fine | fields))


@pytest.mark.parametrize(
    ("layers", "source", "found"), [([3], 0, 0), ([3, 5], 2, 2), ([-1], -2, 4), ([5], -6, 0)]
)
def test_the_source_in_a_model(layers, source, found):
    assert enrich(layers=layers, source=source).resolve_source(6) == found


@pytest.mark.parametrize(
    ("layers", "source", "message"),
    [
        ([3], 3, "source is layer 3 and layer 3 is edited; expected a source before every edited"),
        ([3], 4, "source is layer 4 and layer 3 is edited"),
        ([2, 5], 3, "source is layer 3 and layer 2 is edited"),
        ([-1], -1, "source is layer 5 and layer 5 is edited"),
        ([3], 6, "layer 6 is out of range"),
        ([3], -7, "layer -7 is out of range"),
        ([6], 1, "layer 6 is out of range"),
    ],
)
def test_a_source_that_does_not_fit_the_model(model, layers, source, message):
    config = enrich(layers=layers, source=source)
    with pytest.raises(ConfigError, match=message):
        config.resolve_source(6)
    with pytest.raises(ConfigError, match=message):
        apply_attn_scale(model, config)
    assert not hooked(model)


def test_zero_changes_nothing_and_one_does():
    assert enrich(0).is_identity
    assert enrich(-0.0).is_identity
    assert not enrich(1).is_identity


def test_files_of_other_versions():
    values = enrich().to_dict()
    assert values["source"] == 1
    older = AttnScaleConfig(strength=2.0).to_dict()
    del older["source"]
    assert AttnScaleConfig.from_dict(older) == AttnScaleConfig(strength=2.0)
    with pytest.warns(UserWarning, match="ignored unknown fields 'mixing'"):
        assert AttnScaleConfig.from_dict(values | {"mixing": "linear"}) == enrich()
    del values["source"]
    with pytest.raises(ConfigError, match="here: source is None; expected the layer"):
        AttnScaleConfig.from_dict(values, where="here")


def test_a_copy_may_have_another_source():
    assert dataclasses.replace(enrich(), source=0).source == 0


# ---------------------------------------------------------------------- every family


def batches(tiny):
    yield tiny.inputs, tiny.spans
    if tiny.batch is not None:
        yield tiny.batch, tiny.batch_spans


@pytest.mark.parametrize("queries", ["last", "all_text"])
@pytest.mark.parametrize("name", sorted(set(FAMILIES) - NOT_OF_THREE_DIMENSIONS))
def test_every_family(name, queries):
    tiny = FAMILIES[name]()
    layers = get_family(tiny.config).decoder(tiny.model).layers
    last = len(layers) - 1
    wrapped = apply_attn_scale(tiny.model, enrich(0.4, [1, -1], 0, queries=queries))
    for inputs, spans in batches(tiny):
        audio, real = spans["audio"], torch.ones_like(spans["audio"])
        if inputs.get("attention_mask") is not None:
            real = inputs["attention_mask"].bool()
        rows = torch.zeros_like(audio)
        rows[:, -1] = True
        if queries == "all_text":
            rows = real & ~torch.stack(list(spans.values())).any(0) & (audio.cumsum(1) > 0)
        with wrapped.disable_adapter():
            with leaving(layers) as before:
                plain = tiny.logits(inputs)
            with by_hand(layers, 0, [1, last], rows, 0.4):
                expected = tiny.logits(inputs)
        with leaving(layers) as after:
            found = tiny.logits(inputs)
        assert difference(found[real], expected[real]) < 1e-5
        assert difference(found[:, -1], plain[:, -1]) > 1e-3  # the edit does something
        assert after[0].equal(before[0])
        assert (after[1] != before[1]).any(-1).equal(rows)  # all others bit for bit
        status = wrapped.status()
        assert status.rows == tuple(rows.sum(1).tolist())
        assert status.audio_tokens == tuple(audio.sum(1).tolist())
    wrapped.unload()
    assert tiny.logits(inputs).equal(plain)


@pytest.mark.parametrize("name", sorted(NOT_OF_THREE_DIMENSIONS))
def test_states_of_another_shape_are_refused(name):
    tiny = FAMILIES[name]()
    plain, before = tiny.logits(), hooked(tiny.model)
    wrapped = apply_attn_scale(tiny.model, enrich(0.4, [2], 0))
    for _ in range(2):
        with pytest.raises(UnsupportedModelError, match=r"gives \(4, .*expected states of \(batch"):
            tiny.logits()
    with wrapped.disable_adapter():
        assert tiny.logits().equal(plain)
    assert wrapped.status().prefills == {}
    wrapped.unload()
    assert tiny.logits().equal(plain)
    assert hooked(tiny.model) == before


# ---------------------------------------------------------------------- rows and layers

QUERIES = (("last",), ("keyword",), ("option",), ("last", "keyword"), ("all_text",))


@pytest.mark.parametrize("edited", [[4], [2, 3, 5]], ids=str)
@pytest.mark.parametrize("queries", QUERIES, ids="+".join)
def test_rows_of_a_padded_batch(model, processor, batch, queries, edited):
    rows, layers = rows_of(batch, queries), layers_of(model)
    with torch.no_grad():
        with leaving(layers) as before:
            plain = model(**batch.inputs).logits
        with by_hand(layers, 1, edited, rows, 0.6):
            expected = model(**batch.inputs).logits
        config = enrich(0.6, edited, 1, queries=list(queries))
        wrapped = apply_attn_scale(model, config, tokenizer=processor)
        with leaving(layers) as after:
            found = wrapped(**batch.inputs).logits
    assert difference(found[batch.real], expected[batch.real]) < 1e-5
    assert difference(found[batch.real], plain[batch.real]) > 1e-3
    for layer in range(edited[0]):
        assert after[layer].equal(before[layer])
    first = edited[0]
    assert (after[first] != before[first]).any(-1).equal(rows)
    norms = after[first].norm(dim=-1), before[first].norm(dim=-1)
    torch.testing.assert_close(*norms, rtol=1e-6, atol=1e-6)
    status = wrapped.status()
    assert status.layers == tuple(edited)
    assert status.prefills == dict.fromkeys(edited, 1)
    assert status.steps == {}
    assert status.rows == tuple(rows.sum(1).tolist())
    assert status.adapters["default"] == config


def test_rows_before_the_audio_are_none_of_them(batch):
    """Else the test above could not see whether they are left alone."""
    text = batch.rows["all_text"]
    before = text & (batch.audio.cumsum(1) == 0)
    assert before.any(1).all()
    assert rows_of(batch, ["all_text"]).equal(text & ~before)


def test_stated_rows_are_taken_as_they_are(model, one):
    """Also before the audio, where no row is chosen by name."""
    rows = torch.zeros_like(one.audio)
    rows[0, [1, -2]] = True
    wrapped = apply_attn_scale(model, enrich())
    with torch.no_grad():
        with wrapped.disable_adapter(), by_hand(layers_of(model), 1, [3], rows, 0.4):
            expected = wrapped(**one.inputs).logits
        with wrapped.positions(query_mask=rows):
            found = wrapped(**one.inputs).logits
    assert difference(found, expected) < 1e-5
    assert wrapped.status().rows == (2,)


def test_who_listened_before_keeps_the_plain_states(model, one):
    """What left the layer is replaced, not written over."""
    heard = []
    hook = layers_of(model)[3].register_forward_hook(lambda m, a, out: heard.append(out))
    with torch.no_grad():
        model(**one.inputs)
        wrapped = apply_attn_scale(model, enrich())
        with leaving(layers_of(model)) as seen:
            wrapped(**one.inputs)
    hook.remove()
    assert heard[1].equal(heard[0])
    assert not heard[1].equal(seen[3])


def test_the_whole_weight_is_the_early_direction(model, one):
    wrapped = apply_attn_scale(model, enrich(1.0, [4], 0))
    with torch.no_grad(), leaving(layers_of(model)) as seen:
        wrapped(**one.inputs)
    early, deep = seen[0][0, -1], seen[4][0, -1]
    assert torch.cosine_similarity(early, deep, dim=0) == pytest.approx(1.0, abs=1e-6)
    assert difference(early.norm(), deep.norm()) > 1e-3


def test_the_identity(model, batch):
    config = enrich(0.0, [2, 4], 0, queries="all_text")
    with torch.no_grad():
        plain = model(**batch.inputs).logits
        wrapped = apply_attn_scale(model, config)
        assert wrapped(**batch.inputs).logits.equal(plain)
        assert wrapped.status().prefills == {}
        wrapped.unload()
        wrapped = apply_attn_scale(model, config, recompute_identity=True)
        control = wrapped(**batch.inputs).logits
    assert difference(control[batch.real], plain[batch.real]) < 1e-5
    assert wrapped.status().prefills == {2: 1, 4: 1}


def test_layers_from_the_end(model, one):
    logits = []
    for layers, source in (([4], 1), ([-2], -5)):
        wrapped = apply_attn_scale(model, enrich(0.5, layers, source))
        with torch.no_grad():
            logits.append(wrapped(**one.inputs).logits)
        assert wrapped.status().layers == (4,)
        wrapped.unload()
    assert logits[0].equal(logits[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_sixteen_bits(model, batch, dtype):
    half = model.to(dtype)
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch.inputs.items()}
    rows, layers = batch.rows["last"], layers_of(half)
    with torch.no_grad():
        with by_hand(layers, 1, [3], rows, 0.4), leaving(layers) as expected:
            half(**inputs)
        wrapped = apply_attn_scale(half, enrich())
        with leaving(layers) as found:
            wrapped(**inputs)
        with wrapped.disable_adapter(), leaving(layers) as plain:
            wrapped(**inputs)
    assert found[3].dtype is dtype
    step = torch.finfo(dtype).eps  # rounded once, from numbers that differ by 1e-7
    torch.testing.assert_close(found[3][rows], expected[3][rows], rtol=step, atol=step)
    assert (found[3] != plain[3]).any(-1).equal(rows)


# ---------------------------------------------------------------------- generation


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_generation_edits_the_prefill_only(model, processor, batch, cache):
    rows, layers = rows_of(batch, ["last", "option"]), layers_of(model)
    kwargs = GENERATE | ({"cache_implementation": "static"} if cache == "static" else {})
    plain = model.generate(**batch.inputs, **kwargs)
    with by_hand(layers, 1, [3, 4], rows, 0.6):
        expected = model.generate(**batch.inputs, **kwargs)
    config = enrich(0.6, [3, 4], queries="last+option")
    wrapped = apply_attn_scale(model, config, tokenizer=processor)
    found = wrapped.generate(**batch.inputs, **kwargs)
    assert found.sequences.equal(expected.sequences)
    for step, (ours, theirs) in enumerate(zip(found.logits, expected.logits, strict=True)):
        assert difference(ours, theirs) < 1e-5, f"step {step}"
    assert difference(found.logits[0], plain.logits[0]) > 1e-3
    assert wrapped.status().prefills == {3: 1, 4: 1}
    assert wrapped.status().steps == {}


# ---------------------------------------------------------------------- on and off


def test_adapters_of_both_sorts(model, one):
    scale = AttnScaleConfig(strength=4.0, layers=[2])
    with torch.no_grad():
        wrapped = apply_attn_scale(model, scale)
        scaled = wrapped(**one.inputs).logits
        wrapped.unload()
        wrapped = apply_attn_scale(model, enrich(0.5, [3, 4]))
        enriched = wrapped(**one.inputs).logits
        wrapped.add_adapter("loud", scale)
        wrapped.add_adapter("early", enrich(0.5, [5], 0))
        assert wrapped(**one.inputs).logits.equal(enriched)
        wrapped.set_adapter("loud")
        assert wrapped(**one.inputs).logits.equal(scaled)
        assert wrapped.status().layers == (2,)
        wrapped.set_adapter("early")
        other = wrapped(**one.inputs).logits
        assert wrapped.status().layers == (5,)
        wrapped.set_adapter("default")
        assert wrapped(**one.inputs).logits.equal(enriched)
    assert difference(other, enriched) > 1e-3
    assert difference(scaled, enriched) > 1e-3
    with pytest.raises(ConfigError, match="source is layer 4"):
        wrapped.add_adapter("wrong", enrich(source=4))
    wrapped.unload()
    assert not hooked(model)


def test_saved_and_loaded(model, one, tmp_path):
    wrapped = apply_attn_scale(model, enrich(0.5, [3, 4]))
    wrapped.add_adapter("loud", AttnScaleConfig(strength=4.0, layers=[2]))
    with torch.no_grad():
        edited = wrapped(**one.inputs).logits
    wrapped.save_pretrained(tmp_path)
    wrapped.unload()
    card = (tmp_path / "README.md").read_text()
    assert "| default | enrich from layer 1 | 0.5 | 3, 4 | all | last | audio | prefill |" in card
    assert "| loud | scale | 4.0 |" in card
    again = AttnScaleModel.from_pretrained(model, tmp_path)
    loaded = dataclasses.replace(again.attn_scale_config["default"], tempo_version=None)
    assert loaded == enrich(0.5, [3, 4])
    with torch.no_grad():
        assert again(**one.inputs).logits.equal(edited)
    again.load_adapter(tmp_path, "loud", subfolder="loud")
    again.set_adapter("loud")
    assert again.status().layers == (2,)


# ---------------------------------------------------------------------- never silently nothing


@pytest.mark.parametrize(
    ("layer", "message"),
    [(1, "layer 3 is edited and layer 1, whose states"), (3, r"layer\(s\) \[3\] ran without it")],
    ids=["source", "edited"],
)
def test_a_lost_hook_is_found_out(model, one, layer, message):
    """Also after a call that went well: states of an earlier prompt are never mixed in."""
    wrapped = apply_attn_scale(model, enrich())
    with torch.no_grad():
        wrapped(**one.inputs)
        layers_of(model)[layer]._forward_hooks.clear()
        with pytest.raises(EditNotAppliedError, match=message):
            wrapped(**one.inputs)


def test_states_are_not_held_after_a_call(model, one):
    wrapped, held = apply_attn_scale(model, enrich(0.5, [3, 4])), []
    layers_of(model)[1].register_forward_hook(lambda m, a, out: held.append(weakref.ref(out)))
    with torch.no_grad():
        wrapped(**one.inputs, use_cache=False)
    gc.collect()
    assert [ref() for ref in held] == [None]


def test_gradients_flow_through_both_states(model, one):
    def gradients(run):
        model.zero_grad()
        run(**one.inputs).logits[:, -1].logsumexp(-1).sum().backward()
        return [layers_of(model)[n].mlp.down_proj.weight.grad.clone() for n in (0, 1, 2, 3, 4)]

    with by_hand(layers_of(model), 1, [3], one.rows["last"], 0.5):
        expected = gradients(model)
    found = gradients(apply_attn_scale(model, enrich(0.5)))
    for ours, theirs in zip(found, expected, strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-4

"""Edited attention against the full-matrix reference, and bit for bit where nothing is edited."""

import copy

import pytest
import torch

from tempo_attn import AttnScaleConfig, apply_attn_scale
from tests.support.reference import FullMatrix, biased_masks, difference, full_matrix
from tests.support.steered_by_hand import directions

MODES = {
    "scale": 2.5,
    "scale_preserving": 0.3,
    "upweight": -1.5,
    "upweight_matched": 2.5,
    "upweight_relative": 0.7,
    "knockout": None,
}
QUERIES = (("last",), ("keyword",), ("last", "keyword"), ("option",), ("all_text",))


def decoder(model):
    return model.model.language_model


def rows_of(case, queries):
    return torch.stack([case.rows[name] for name in queries]).any(0)


def reference_of(case, config, layers, **kwargs):
    return FullMatrix(
        config.mode, config.strength, layers, rows_of(case, config.queries), case.audio, **kwargs
    )


@pytest.mark.parametrize("base", ["sdpa", "eager"])
@pytest.mark.parametrize("queries", QUERIES, ids="+".join)
@pytest.mark.parametrize("mode", MODES)
def test_prefill_equals_the_full_matrix(model, processor, batch, mode, queries, base):
    config = AttnScaleConfig(mode=mode, strength=MODES[mode], layers=[1, -2], queries=list(queries))
    with full_matrix(model, decoder(model), reference_of(batch, config, [1, 4])), torch.no_grad():
        expected = model(**batch.inputs).logits
    model.set_attn_implementation({"text_config": base})
    wrapped = apply_attn_scale(model, config, tokenizer=processor)
    with torch.no_grad():
        found = wrapped(**batch.inputs).logits
        plain = wrapped.unload()(**batch.inputs).logits
    assert difference(found[batch.real], expected[batch.real]) < 1e-5
    assert difference(found[batch.real], plain[batch.real]) > 1e-3  # the edit does something


@pytest.mark.parametrize("mode", MODES)
def test_a_mask_that_adds_a_bias(model, processor, batch, mode):
    """The bias counts in every probability, and in the masses that two modes keep."""
    config = AttnScaleConfig(mode=mode, strength=MODES[mode], layers=[1, 4], queries=["all_text"])
    model.set_attn_implementation({"text_config": "eager"})
    with torch.no_grad(), biased_masks(decoder(model)):
        with full_matrix(model, decoder(model), reference_of(batch, config, [1, 4])):
            expected = model(**batch.inputs).logits
        wrapped = apply_attn_scale(model, config, tokenizer=processor)
        found = wrapped(**batch.inputs).logits
        plain = wrapped.unload()(**batch.inputs).logits
    unbiased = model(**batch.inputs).logits
    assert difference(found[batch.real], expected[batch.real]) < 1e-5
    assert difference(found[batch.real], plain[batch.real]) > 1e-3
    assert difference(plain[batch.real], unbiased[batch.real]) > 1e-3  # so does the bias


@pytest.mark.parametrize("base", ["sdpa", "eager"])
@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("phase", ["prefill", "all"])
@pytest.mark.parametrize("mode", MODES)
def test_generation_equals_the_full_matrix(model, processor, batch, mode, phase, cache, base):
    config = AttnScaleConfig(
        mode=mode, strength=MODES[mode], layers="all", queries=["last", "keyword"], phase=phase
    )
    kwargs = {
        "max_new_tokens": 6,
        "min_new_tokens": 6,
        "do_sample": False,
        "output_logits": True,
        "return_dict_in_generate": True,
    }

    if cache == "static":
        kwargs["cache_implementation"] = "static"
    edit = reference_of(batch, config, range(6), decode_rows=phase == "all")
    with full_matrix(model, decoder(model), edit):
        expected = model.generate(**batch.inputs, **kwargs)
    model.set_attn_implementation({"text_config": base})
    wrapped = apply_attn_scale(model, config, tokenizer=processor)
    found = wrapped.generate(**batch.inputs, **kwargs)
    status = wrapped.status()
    wrapped.unload()
    assert found.sequences.equal(expected.sequences)
    for step, (ours, theirs) in enumerate(zip(found.logits, expected.logits, strict=True)):
        assert difference(ours, theirs) < 1e-5, f"step {step}"
    assert set(status.prefills.values()) == {1}
    assert set(status.steps.values()) == ({5} if phase == "all" else set())
    assert status.audio_tokens == tuple(batch.audio.sum(1).tolist())


@pytest.mark.parametrize(
    "edit",
    [
        {"strength": 3.0, "layers": [2], "phase": "prefill"},
        {"strength": 3.0, "layers": [2], "phase": "all"},
        {"mode": "enrich", "strength": 0.8, "layers": [2, 4], "source": 1},
        {"mode": "steer", "strength": 0.8, "layers": [2, 4], "directions": directions()},
    ],
    ids=["prefill", "all", "states", "steered"],
)
def test_generation_without_a_cache_keeps_the_prompts_rows(model, processor, batch, edit):
    config = AttnScaleConfig(queries=["last", "keyword"], **edit)
    kwargs = {"max_new_tokens": 4, "do_sample": False, "output_logits": True}
    wrapped = apply_attn_scale(model, config, tokenizer=processor)
    results = [
        wrapped.generate(
            **batch.inputs, **kwargs, use_cache=use_cache, return_dict_in_generate=True
        )
        for use_cache in (True, False)
    ]
    wrapped.unload()
    assert results[0].sequences.equal(results[1].sequences)
    for with_cache, without in zip(results[0].logits, results[1].logits, strict=True):
        assert difference(with_cache, without) < 1e-5


def test_only_the_chosen_rows_change(model, processor, batch):
    """The output of the edited layer's attention is bit-identical in every other row."""
    seen = []
    attention = decoder(model).layers[3].self_attn
    config = AttnScaleConfig(strength=4.0, layers=[3], queries=["keyword"])
    hook = attention.o_proj.register_forward_pre_hook(lambda m, args: seen.append(args[0].clone()))
    with torch.no_grad():
        model(**batch.inputs)
        wrapped = apply_attn_scale(model, config, tokenizer=processor)
        wrapped(**batch.inputs)
    hook.remove()
    wrapped.unload()
    changed = (seen[0] != seen[1]).any(-1)
    assert changed.equal(batch.rows["keyword"])


@pytest.mark.parametrize("heads", [[0, 3], {2: [1], 4: [0, 2]}], ids=["list", "by layer"])
def test_only_the_chosen_heads_change(model, batch, heads):
    config = AttnScaleConfig(strength=0.2, layers=[2, 4], heads=heads)
    by_layer = heads if isinstance(heads, dict) else dict.fromkeys([2, 4], heads)
    edit = reference_of(batch, config, [2, 4], heads=by_layer)
    with full_matrix(model, decoder(model), edit), torch.no_grad():
        expected = model(**batch.inputs).logits
    wrapped = apply_attn_scale(model, config)
    with torch.no_grad():
        found = wrapped(**batch.inputs).logits
    wrapped.unload()
    assert difference(found[batch.real], expected[batch.real]) < 1e-5


@pytest.mark.parametrize(
    ("mode", "strength"),
    [
        ("scale", 1.0),
        ("scale_preserving", 1.0),
        ("upweight", 0.0),
        ("upweight_relative", 0.0),
        ("upweight_matched", 1.0),
    ],
)
def test_the_identity_is_bit_identical(model, batch, mode, strength):
    config = AttnScaleConfig(mode=mode, strength=strength, layers="all", queries=["all_text"])
    with torch.no_grad():
        plain = model(**batch.inputs).logits
        wrapped = apply_attn_scale(model, config)
        same = wrapped(**batch.inputs).logits
        wrapped.unload()
        recomputed = apply_attn_scale(model, config, recompute_identity=True)
        control = recomputed(**batch.inputs).logits
        counts = recomputed.status().prefills
        recomputed.unload()
    assert same.equal(plain)
    assert difference(control[batch.real], plain[batch.real]) < 1e-5
    assert set(counts) == set(range(6))


@pytest.mark.parametrize(
    "config",
    [
        AttnScaleConfig(strength=5.0, layers="all"),
        AttnScaleConfig(mode="enrich", strength=0.5, layers=[2, 5], source=0),
        AttnScaleConfig(mode="steer", strength=0.5, layers=[2, 5], directions=directions()),
    ],
    ids=["attention", "states", "steered"],
)
def test_disabling_and_removing_are_bit_identical(model, batch, config):
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    saved = copy.deepcopy(model.config.to_dict())
    with torch.no_grad():
        plain = model(**batch.inputs).logits
        wrapped = apply_attn_scale(model, config)
        edited = wrapped(**batch.inputs).logits
        with wrapped.disable_adapter():
            assert wrapped(**batch.inputs).logits.equal(plain)
            assert not wrapped.status().enabled
        assert wrapped(**batch.inputs).logits.equal(edited)
        assert model(**batch.inputs).logits.equal(edited)
        assert not edited.equal(plain)
        assert wrapped.unload() is model
        assert model(**batch.inputs).logits.equal(plain)
    assert model.config.to_dict() == saved
    assert all(model.state_dict()[name].equal(tensor) for name, tensor in state.items())
    hooks = [m for m in model.modules() if m._forward_pre_hooks or m._forward_hooks]
    assert not hooks
    assert {type(layer.self_attn.config) for layer in decoder(model).layers} == {
        type(decoder(model).config)
    }


def test_mass_is_preserved_and_redistributed(model, one):
    """What the mode is for: the same audio mass, another distribution inside it."""
    model.set_attn_implementation({"text_config": "eager"})
    with torch.no_grad():
        plain = model(**one.inputs, output_attentions=True).attentions[2][0, :, -1]
        config = AttnScaleConfig(mode="scale_preserving", strength=3.0, layers=[2])
        wrapped = apply_attn_scale(model, config)
        edited = wrapped(**one.inputs, output_attentions=True).attentions[2][0, :, -1]
    wrapped.unload()
    audio = one.audio[0]
    torch.testing.assert_close(edited[:, audio].sum(-1), plain[:, audio].sum(-1))
    torch.testing.assert_close(edited[:, ~audio], plain[:, ~audio])
    assert (edited[:, audio] - plain[:, audio]).abs().max() > 1e-3


def test_upweighting_moves_mass_as_the_formula_says(model, one):
    """m' = m e^b / (1 - m + m e^b)."""
    model.set_attn_implementation({"text_config": "eager"})
    with torch.no_grad():
        plain = model(**one.inputs, output_attentions=True).attentions[2][0, :, -1]
        wrapped = apply_attn_scale(
            model, AttnScaleConfig(mode="upweight", strength=1.3, layers=[2])
        )
        edited = wrapped(**one.inputs, output_attentions=True).attentions[2][0, :, -1]
    wrapped.unload()
    mass = plain[:, one.audio[0]].sum(-1)
    gain = torch.tensor(1.3).exp()
    expected = mass * gain / (1 - mass + mass * gain)
    torch.testing.assert_close(edited[:, one.audio[0]].sum(-1), expected)


def test_rows_in_blocks_are_the_same(model, batch, monkeypatch):
    config = AttnScaleConfig(strength=2.0, layers=[1], queries=["all_text"])
    wrapped = apply_attn_scale(model, config)
    with torch.no_grad():
        whole = wrapped(**batch.inputs).logits
        monkeypatch.setattr("tempo_attn.attention.edited_attention.MAX_BLOCK", 8000)
        blocks = wrapped(**batch.inputs).logits
    wrapped.unload()
    assert difference(blocks[batch.real], whole[batch.real]) < 1e-5


def test_gradients_flow_through_edited_rows(model, one):
    wrapped = apply_attn_scale(model, AttnScaleConfig(strength=2.0, layers="all"))
    projection = decoder(model).layers[0].self_attn.k_proj.weight
    wrapped(**one.inputs).logits[:, -1].logsumexp(-1).sum().backward()
    edited = projection.grad.clone()
    model.zero_grad()
    # A numerical derivative along one direction agrees.
    direction = torch.randn(projection.shape, generator=torch.Generator().manual_seed(0))
    direction /= direction.norm()
    values = []
    with torch.no_grad():
        for step in (1e-2, -1e-2):
            projection.add_(direction, alpha=step)
            values.append(wrapped(**one.inputs).logits[:, -1].double().logsumexp(-1).sum())
            projection.add_(direction, alpha=-step)
    wrapped.unload()
    slope = float(values[0] - values[1]) / 2e-2
    assert slope == pytest.approx(float((edited * direction).sum()), rel=0.05, abs=1e-3)

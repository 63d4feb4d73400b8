"""Mode "steer": states moved along stored directions, against hooks written by hand.

What a wrapper does in every mode (adapters, copies, beams, turns, prompts without audio) is tested
in test_model.py and test_tracker.py, for this mode too.
"""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tempo_attn import AttnScaleConfig, AttnScaleModel, apply_attn_scale
from tempo_attn.adaptive import Adaptive
from tempo_attn.attention.mode_formulas import steer_states
from tempo_attn.directions import Directions
from tempo_attn.errors import ConfigError, EditNotAppliedError, UnsupportedModelError
from tempo_attn.families import get_family
from tests.support.enriched_by_hand import leaving
from tests.support.reference import difference
from tests.support.steered_by_hand import WIDTH, by_hand, directions, steer
from tests.support.tiny_models import FAMILIES

GENERATE = {
    "max_new_tokens": 5,
    "min_new_tokens": 5,
    "do_sample": False,
    "output_logits": True,
    "return_dict_in_generate": True,
}


def layers_of(model):
    return model.model.language_model.layers


def rows_of(case, queries):
    """The rows by name, those before the audio left out."""
    return torch.stack([case.rows[name] for name in queries]).any(0) & (case.audio.cumsum(1) > 0)


# ---------------------------------------------------------------------- maths


def test_by_hand():
    states, step = torch.tensor([[3.0, 4.0]]), torch.tensor([0.0, 2.0])
    assert steer_states(states, step, -0.5).equal(torch.tensor([[3.0, 3.0]]))


values = st.floats(-100, 100, width=32)


@given(
    arrays("float32", (2, 3, 6), elements=values).map(torch.from_numpy),
    arrays("float32", 6, elements=values).map(torch.from_numpy),
    st.floats(-10, 10),
)
def test_there_and_back(states, step, alpha):
    states = states.double()
    moved = steer_states(states, step, alpha)
    torch.testing.assert_close(steer_states(moved, step, -alpha), states)
    assert steer_states(states, step, 0.0).equal(states)
    torch.testing.assert_close(moved - states, (alpha * step.double()).expand(2, 3, 6))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_are_moved_in_thirty_two(dtype):
    torch.manual_seed(0)
    states, step = torch.randn(2, 3, 8).to(dtype), torch.randn(8)
    moved = steer_states(states, step, 0.4)
    assert moved.dtype is torch.float32
    assert moved.equal(states.float() + 0.4 * step)


# ---------------------------------------------------------------------- configurations


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"directions": None}, "directions is None; expected Directions.*'steer' needs them"),
        ({"directions": "x"}, "directions is 'x'; expected the SHA-256"),
        ({"directions": 5}, "directions is '5'; expected the SHA-256"),
        ({"directions": "A" * 64}, "expected the SHA-256"),
        ({"layers": [3, 7]}, r"layer 7 is steered and has no direction.*\[0, 1, 2, 3, 4, 5\]"),
        ({"layers": "all"}, r"layers is 'all'; expected the steered layers, such as \[20\]"),
        ({"source": 1}, "source is 1; expected None: mode 'steer' has no source"),
        ({"heads": [0]}, r"heads is \[0\]; expected None: states have no heads"),
        ({"keys": "transcript"}, "keys is .*states have no keys"),
        ({"phase": "all"}, "phase is 'all'; expected 'prefill' in mode 'steer'"),
        ({"adaptive": Adaptive(0.3, 0.1, 0.2), "strength": None}, "adaptive is .*; expected None"),
        ({"strength": None}, "strength is None; expected a number: mode 'steer' needs one"),
        ({"strength": 1e5}, "at most 10000 in size"),
        (
            {"mode": "scale", "strength": 2},
            "directions is .*; expected None: mode 'scale' has no directions",
        ),
        ({"mode": "enrich", "source": 1, "strength": 0.5}, "'enrich' has no directions"),
    ],
)
def test_what_is_wrong_is_named(fields, message):
    fine = {"mode": "steer", "strength": -0.3, "layers": [3], "directions": directions()}
    AttnScaleConfig(**fine)
    with pytest.raises(ConfigError, match=message):
        AttnScaleConfig(**(fine | fields))


def test_the_fingerprint_is_of_the_directions():
    config = steer()
    assert dataclasses.replace(config, directions=directions(seed=1)).fingerprint() != (
        config.fingerprint()
    )
    text = config.to_json()
    again = AttnScaleConfig.from_json(text)
    assert again == config
    assert again.fingerprint() == config.fingerprint()
    assert again.to_json() == text
    assert directions().sha256 in text


def test_a_configuration_without_directions_has_the_fingerprint_it_had():
    """As it was before there were directions: shared edits keep their names."""
    assert AttnScaleConfig(strength=2.0, layers=[20]).fingerprint() == (
        "da78df43d482bf2167e437ea12a2a24c6671e24ee3b893e8278fa1b0df5b899f"
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (steer(directions=directions(width=64)), "directions have 64 components.* 128: they were"),
        (steer(layers=[-1], directions=directions([0, 3])), "layer 5 is steered and has no dir"),
        (steer(layers=[7], directions=directions([7])), "layer 7 is out of range"),
        (steer(directions=directions().sha256), "the directions .* are not loaded"),
    ],
    ids=["width", "from the end", "no such layer", "not loaded"],
)
def test_what_does_not_fit_the_model(model, config, message):
    with pytest.raises(ConfigError, match=message):
        apply_attn_scale(model, config)
    assert not [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]


# ---------------------------------------------------------------------- states and logits


@pytest.mark.parametrize("layers", [[3], [2, 4], [5]], ids=str)
@pytest.mark.parametrize("queries", [["option"], ["keyword", "option"], ["last"]], ids="+".join)
def test_these_rows_move_and_no_other(model, processor, batch, layers, queries):
    """A padded batch: what leaves the first edited layer is h + alpha rho d there, h elsewhere."""
    config = steer(layers=layers, queries=queries)
    rows = rows_of(batch, queries)
    assert 0 < int(rows.sum()) < rows.numel()
    with torch.no_grad():
        with leaving(layers_of(model)) as before:
            plain = model(**batch.inputs).logits
        with by_hand(layers_of(model), config, rows):
            expected = model(**batch.inputs).logits
        wrapped = apply_attn_scale(model, config, tokenizer=processor)
        with leaving(layers_of(model)) as after:
            found = wrapped(**batch.inputs).logits
    first = layers[0]
    moved = after[first] - before[first]
    assert (moved != 0).any(-1).equal(rows)
    step = config.strength * torch.from_numpy(config.directions.step(first))
    torch.testing.assert_close(moved[rows], step.expand(int(rows.sum()), -1), rtol=0, atol=1e-5)
    assert difference(found, expected) < 1e-5
    assert difference(found[:, -1], plain[:, -1]) > 1e-3 or (
        layers == [5] and "last" not in queries
    )
    status = wrapped.status()
    assert status.layers == tuple(layers)
    assert status.rows == tuple(rows.sum(1).tolist())
    assert status.prefills == dict.fromkeys(layers, 1)


def test_a_logit_moves_by_the_known_amount(model, one):
    """Wired: the last layer's last row, a norm of ones and a token that reads one component.

    The direction is the state itself, so the final norm leaves the state's direction, and alpha =
    -2 with rho = its norm turns it round: every logit changes its sign.
    """
    with torch.no_grad(), leaving(layers_of(model)) as seen:
        plain = model(**one.inputs).logits[0, -1]
    state = seen[5][0, -1].double().numpy()
    norm = float(np.linalg.norm(state))
    along = Directions.of({5: state / norm}, {5: norm})
    wrapped = apply_attn_scale(model, steer(-2.0, [5], directions=along, queries="last"))
    with torch.no_grad():
        turned = wrapped(**one.inputs).logits[0, -1]
    torch.testing.assert_close(turned, -plain, rtol=1e-4, atol=1e-4)


def test_the_identity(model, batch):
    config = steer(0.0, [2, 4], queries="all_text")
    with torch.no_grad():
        plain = model(**batch.inputs).logits
        wrapped = apply_attn_scale(model, config)
        assert wrapped(**batch.inputs).logits.equal(plain)
        assert wrapped.status().prefills == {}
        wrapped.unload()
        wrapped = apply_attn_scale(model, config, recompute_identity=True)
        assert wrapped(**batch.inputs).logits.equal(plain)
    assert wrapped.status().prefills == {2: 1, 4: 1}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_sixteen_bits(model, batch, dtype):
    half = model.to(dtype)
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch.inputs.items()}
    rows, layers = batch.rows["last"], layers_of(half)
    config = steer()
    with torch.no_grad():
        with by_hand(layers, config, rows), leaving(layers) as expected:
            half(**inputs)
        wrapped = apply_attn_scale(half, config)
        with leaving(layers) as found:
            wrapped(**inputs)
    assert found[3].dtype is dtype
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(found[3][rows], expected[3][rows], rtol=step, atol=step)


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_generation_edits_the_prefill_only(model, processor, batch, cache):
    rows, layers = rows_of(batch, ["last", "option"]), layers_of(model)
    kwargs = GENERATE | ({"cache_implementation": "static"} if cache == "static" else {})
    config = steer(-1.5, [3, 4], queries="last+option")
    plain = model.generate(**batch.inputs, **kwargs)
    with by_hand(layers, config, rows):
        expected = model.generate(**batch.inputs, **kwargs)
    wrapped = apply_attn_scale(model, config, tokenizer=processor)
    found = wrapped.generate(**batch.inputs, **kwargs)
    assert found.sequences.equal(expected.sequences)
    for step, (ours, theirs) in enumerate(zip(found.logits, expected.logits, strict=True)):
        assert difference(ours, theirs) < 1e-5, f"step {step}"
    assert difference(found.logits[0], plain.logits[0]) > 1e-3
    assert wrapped.status().steps == {}


# ---------------------------------------------------------------------- on and off


def test_adapters_of_all_sorts(model, one):
    enriched = AttnScaleConfig(mode="enrich", strength=0.5, layers=[3], source=1)
    with torch.no_grad():
        wrapped = apply_attn_scale(model, steer())
        steered = wrapped(**one.inputs).logits
        wrapped.add_adapter("early", enriched)
        wrapped.add_adapter("loud", AttnScaleConfig(strength=4.0, layers=[2]))
        for name in ("early", "loud"):
            wrapped.set_adapter(name)
            assert difference(wrapped(**one.inputs).logits, steered) > 1e-3
        wrapped.set_adapter("default")
        assert wrapped(**one.inputs).logits.equal(steered)
    wrapped.unload()
    assert not [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]


def test_saved_and_loaded(model, one, tmp_path):
    wrapped = apply_attn_scale(model, steer(layers=[3, 4]))
    wrapped.add_adapter("other", steer(0.4, [2], directions=directions([2], seed=9)))
    with torch.no_grad():
        edited = wrapped(**one.inputs).logits
    wrapped.save_pretrained(tmp_path)
    wrapped.unload()
    again = AttnScaleModel.from_pretrained(model, tmp_path)
    loaded = dataclasses.replace(again.attn_scale_config["default"], tempo_version=None)
    assert loaded == steer(layers=[3, 4])
    with torch.no_grad():
        assert again(**one.inputs).logits.equal(edited)
    again.load_adapter(tmp_path, "other", subfolder="other")
    again.set_adapter("other")
    assert again.attn_scale_config["other"].directions == directions([2], seed=9)


def test_a_lost_hook_is_found_out(model, one):
    wrapped = apply_attn_scale(model, steer())
    with torch.no_grad():
        wrapped(**one.inputs)
        layers_of(model)[3]._forward_hooks.clear()
        with pytest.raises(EditNotAppliedError, match=r"layer\(s\) \[3\] ran without it"):
            wrapped(**one.inputs)


def test_gradients_flow_through(model, one):
    def gradients(run):
        model.zero_grad()
        run(**one.inputs).logits[:, -1].logsumexp(-1).sum().backward()
        return [layers_of(model)[n].mlp.down_proj.weight.grad.clone() for n in (1, 3, 4)]

    with by_hand(layers_of(model), steer(), one.rows["last"]):
        expected = gradients(model)
    for ours, theirs in zip(gradients(apply_attn_scale(model, steer())), expected, strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-4


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family(name):
    """Every decoder's layers give states that can be moved; Gemma 3n's do not, and it says so."""
    tiny = FAMILIES[name]()
    decoder = get_family(tiny.config).decoder(tiny.model)
    width = decoder.config.get_text_config().hidden_size
    config = steer(-3.0, [1], directions=directions([1], width), queries="last")
    plain = tiny.logits()
    wrapped = apply_attn_scale(tiny.model, config)
    if name == "gemma3n":  # four streams of states at once
        with pytest.raises(UnsupportedModelError, match=r"expected states of \(batch"):
            tiny.logits()
    else:
        assert difference(tiny.logits()[:, -1], plain[:, -1]) > 1e-3
    with wrapped.disable_adapter():
        assert tiny.logits().equal(plain)
    wrapped.unload()
    assert tiny.logits().equal(plain)


def test_the_tiny_models_width(model):
    assert model.config.get_text_config().hidden_size == WIDTH

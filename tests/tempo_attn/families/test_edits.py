"""The wrapper on every family: prefill, generation and decoding against the full-matrix reference.

`test_families.py` checks the families alone; here users' calls go through `apply_attn_scale`.
"""

import copy

import pytest
import torch

from tempo_attn import AttnScaleConfig, apply_attn_scale
from tempo_attn.families import get_family
from tests.support.reference import FullMatrix, difference, full_matrix
from tests.support.tiny_models import FAMILIES

ALPHA = 2.5
NAMES = sorted(set(FAMILIES) - {"kimi_audio"})  # Kimi's attention is not in transformers' registry
GENERATE = {
    "max_new_tokens": 4,
    "min_new_tokens": 4,
    "do_sample": False,
    "output_logits": True,
    "return_dict_in_generate": True,
}


@pytest.fixture(params=NAMES)
def tiny(request):
    return FAMILIES[request.param]()


def edit_of(tiny, keys, phase="prefill", rows=None):
    """The reference for `rows` (default: the last one) in all layers that attend."""
    family = get_family(tiny.config)
    layers = [i for i, module in enumerate(family.attentions(tiny.model)) if module is not None]
    if rows is None:
        rows = torch.zeros_like(keys)
        rows[:, -1] = True
    edit = FullMatrix("scale", ALPHA, layers, rows, keys, decode_rows=phase == "all")
    return family.decoder(tiny.model), edit


def batches(tiny):
    yield tiny.inputs, tiny.spans
    if tiny.batch is not None:
        yield tiny.batch, tiny.batch_spans


@pytest.mark.parametrize("queries", ["last", "all_text"])
def test_prefill(tiny, queries):
    wrapped = apply_attn_scale(tiny.model, AttnScaleConfig(strength=ALPHA, queries=queries))
    for inputs, spans in batches(tiny):
        real = torch.ones_like(spans["audio"])
        if inputs.get("attention_mask") is not None:
            real = inputs["attention_mask"].bool()
        text = real & ~torch.stack(list(spans.values())).any(0)
        decoder, edit = edit_of(tiny, spans["audio"], rows=text if queries == "all_text" else None)
        with wrapped.disable_adapter():
            plain = tiny.logits(inputs)
            with full_matrix(tiny.model, decoder, edit):
                expected = tiny.logits(inputs)
            _, nothing = edit_of(tiny, spans["audio"], rows=torch.zeros_like(real))
            with full_matrix(tiny.model, decoder, nothing):
                # What the kernels differ by without any edit: 8e-6 in Gemma 4, else far less.
                noise = difference(tiny.logits(inputs)[real], plain[real])
        found = tiny.logits(inputs)
        assert edit.calls, "the reference was not reached"
        assert difference(found[real], expected[real]) < 1e-5 + noise
        assert noise < 1e-5
        assert difference(found[:, -1], plain[:, -1]) > 1e-3
    assert wrapped.status().audio_tokens == tuple(spans["audio"].sum(1).tolist())
    wrapped.unload()
    assert tiny.logits(inputs).equal(plain)


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("phase", ["prefill", "all"])
def test_generation(tiny, phase, cache):
    if tiny.name == "desta25":
        pytest.skip("its generate is its own: test_desta")
    inputs, spans = list(batches(tiny))[-1]
    audio = spans["audio"]
    generator = getattr(tiny.model, "thinker", tiny.model)
    generator.generation_config.eos_token_id = None
    kwargs = dict(GENERATE)
    if cache == "static":
        kwargs["cache_implementation"] = "static"
    decoder, edit = edit_of(tiny, audio, phase)
    try:
        with full_matrix(tiny.model, decoder, edit):
            expected = generator.generate(**inputs, **kwargs)
    except (
        NotImplementedError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        KeyError,  # transformers 5.10: no static cache for a state-space layer
    ) as error:
        pytest.skip(f"{tiny.name} itself does not generate so: {type(error).__name__}: {error}")
    wrapped = apply_attn_scale(tiny.model, AttnScaleConfig(strength=ALPHA, phase=phase))
    if generator is tiny.model:
        found = wrapped.generate(**inputs, **kwargs)
    else:
        found = generator.generate(**inputs, **kwargs)
    assert found.sequences.equal(expected.sequences)
    for step, (ours, theirs) in enumerate(zip(found.logits, expected.logits, strict=True)):
        assert difference(ours, theirs) < 1e-5, f"step {step}"
    steps = wrapped.status().steps
    assert set(steps.values()) == ({3} if phase == "all" else set())


def test_desta():
    """Embeddings go into the decoder: positions come from the prompt that was embedded."""
    tiny = FAMILIES["desta25"]()
    inputs = tiny.inputs
    for keys in ("audio", "transcript"):
        decoder, edit = edit_of(tiny, tiny.spans[keys], "all")
        with full_matrix(tiny.model, decoder, edit):
            expected = tiny.logits()
            generated = tiny.model.generate(inputs, max_new_tokens=4, do_sample=False)
        config = AttnScaleConfig(strength=ALPHA, keys=keys, phase="all")
        wrapped = apply_attn_scale(tiny.model, config)
        with torch.no_grad():
            assert difference(wrapped(**inputs).logits[:, -1], expected[:, -1]) < 1e-5
        assert wrapped.status().audio_tokens == (int(tiny.spans[keys].sum()),)
        assert wrapped.generate(inputs, max_new_tokens=4, do_sample=False).equal(generated)
        assert set(wrapped.status().steps.values()) == {3}
        wrapped.unload()


def test_kimi_decodes_as_without_a_cache():
    tiny = FAMILIES["kimi_audio"]()
    wrapped = apply_attn_scale(tiny.model, AttnScaleConfig(strength=ALPHA, phase="all"))
    plain = copy.deepcopy(tiny.inputs)
    with wrapped.disable_adapter():
        unedited = tiny.logits()
    edited = tiny.logits()
    assert edited[:, :-1].equal(unedited[:, :-1])
    assert difference(edited[:, -1], unedited[:, -1]) > 1e-3
    n_prompt = tiny.spans["audio"].shape[1]
    with torch.no_grad():
        output = wrapped(**plain)
        token = torch.tensor([[7]])
        step = wrapped(
            input_ids=token,
            text_input_ids=token,
            is_continuous_mask=torch.zeros_like(token, dtype=torch.bool),
            past_key_values=output.past_key_values,
            position_ids=torch.tensor([[n_prompt]]),
        )
        longer = dict(tiny.inputs)
        pad = torch.nn.functional.pad
        for name in ("input_ids", "text_input_ids"):
            longer[name] = torch.cat([tiny.inputs[name], token], 1)
        longer["is_continuous_mask"] = pad(tiny.inputs["is_continuous_mask"], (0, 1))
        for name in ("attention_mask", "position_ids"):
            if longer.get(name) is not None:
                value = n_prompt if name == "position_ids" else 1
                longer[name] = pad(longer[name], (0, 1), value=value)
        with wrapped.positions(prompt_length=n_prompt):
            at_once = wrapped(**longer)
    assert difference(step.logits[:, -1], at_once.logits[:, -1]) < 1e-5
    assert set(wrapped.status().steps.values()) == {1}

"""A mask that adds a bias to the logits (no family has one today): the laboratory heeds it."""

import copy

import pytest
import torch

from tempo_attn.lab.engine.hidden_states import COMPONENTS
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.mass.run import MassMeter
from tempo_attn.lab.sweep.run import Sweeper
from tempo_attn.lab.trace.sites import sites
from tests.support.lab_items import wrapped_logits
from tests.support.prompts import SCENES, build_case
from tests.support.reference import biased_masks
from tests.support.twins import ByHooks, Twins, traced, tracer_of
from tests.tempo_attn.lab.sweep.test_run import close, variants_of
from tests.tempo_attn.lab.trace.test_run import mask_of


@pytest.fixture(scope="module")
def biased(tiny_model):
    """The tiny model with eager attention and a penalty on distance in every mask."""
    twin = copy.deepcopy(tiny_model)
    twin.set_attn_implementation({"text_config": "eager"})
    with biased_masks(twin.get_decoder()):
        yield twin


# "all_text" is many rows, which the fast engine gives to torch's own attention.
@pytest.mark.parametrize("rows", [["last"], ["keyword", "last"], ["all_text"]], ids="+".join)
@pytest.mark.parametrize("engine", ["fast", "full"])
def test_sweep(biased, tiny_model, prepared, rows, engine):
    variants = variants_of(biased, [rows], [[1], [0, 2]])
    subject = ModelUnderStudy(biased, prepared, tokenizer=prepared.tokenizer)
    sweeper = Sweeper(subject, variants, engine=engine)
    found = sweeper.answer(sweeper.subject.read(prepared.items))
    inputs, tokenizer = prepared.inputs, prepared.tokenizer
    assert close(found.logits, wrapped_logits(biased, biased, inputs, variants, tokenizer))
    assert not close(
        found.logits, wrapped_logits(tiny_model, tiny_model, inputs, variants, tokenizer)
    )


def test_audio_statistics_are_those_of_the_weights(biased, prepared):
    """The mass before the edit is the eager attention's own; the mass-preserving mode keeps it."""
    variants = [v for v in variants_of(biased, [["last"]], [[1]]) if v.mode == "scale_preserving"]
    with torch.no_grad():
        weights = biased(**prepared.inputs, output_attentions=True).attentions[1]
    audio = prepared.inputs["input_ids"] == biased.config.audio_token_id
    expected = (weights[:, :, -1] * audio[:, None]).sum(-1).mean(-1)
    for engine in ("fast", "full"):
        sweeper = Sweeper(
            ModelUnderStudy(biased, prepared, tokenizer=prepared.tokenizer), variants, engine=engine
        )
        statistics = sweeper.answer(sweeper.subject.read(prepared.items)).audio
        before, after = statistics[..., 0], statistics[..., 1]
        assert torch.allclose(before, expected[:, None].expand_as(before), atol=1e-5)
        assert torch.allclose(after, before, atol=1e-5)


def test_mass(biased, tiny_processor, prepared):
    case = build_case(tiny_processor, SCENES)
    with torch.no_grad():
        attentions = biased(**prepared.inputs, output_attentions=True).attentions
    meter = MassMeter(ModelUnderStudy(biased, prepared, tokenizer=prepared.tokenizer), [("last",)])
    _, masses, _ = meter.measure(meter.subject.read(prepared.items))
    for layer, weights in enumerate(attentions):
        expected = (weights[:, :, -1] * case.audio[:, None]).sum(-1).mean(-1)
        assert torch.allclose(masses[:, 0, layer, 0], expected, atol=1e-5)


@pytest.mark.parametrize("engine", ["fast", "full"])
def test_trace(biased, prepared, engine):
    twins = Twins(prepared)
    chosen = sites(6, components=COMPONENTS, groups=["text", "last"], nulls=False)[::4]
    tracer = tracer_of(biased, twins, chosen, directions=["recover"], engine=engine)
    found = traced(tracer, twins).patched["recover"]
    by_hooks = ByHooks(biased, biased, twins.corrupted.inputs, twins.clean.inputs, twins.items)
    batch = ModelUnderStudy(biased, twins, tokenizer=prepared.tokenizer).read(twins.items)
    expected = torch.stack([by_hooks(site, mask_of(batch, site.group)) for site in chosen], 1)
    assert float((found - expected).abs().max()) < 1e-5

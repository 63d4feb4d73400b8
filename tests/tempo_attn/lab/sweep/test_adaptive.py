"""Adaptive edits put together of records are what the wrapper does with each prompt."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tempo_attn import AttnScaleConfig, apply_attn_scale
from tempo_attn.adaptive import Adaptive
from tempo_attn.errors import ConfigError
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.sweep.adaptive import composed, constituents, takes_low
from tempo_attn.lab.sweep.effects import effects
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.lab.sweep.run import Sweeper
from tests.support.lab_items import CANDIDATES
from tests.support.sweep_results import edit, sweep

ADAPTIVE = Variant(layers=(0, 1), rows=("last",), adaptive=(0.3, 0.5, 1.5))
LOW, HIGH = constituents(ADAPTIVE)


def results(confidences=(0.2, 0.3, 0.9), nulls=("sign",)):
    """The low strength picks candidate 1, the high one 2; random ones pick 3 and the tie."""
    n = len(confidences)
    picks = {LOW.control: [0] * n, LOW: [1] * n, HIGH: [2] * n}
    for kind in nulls:
        picks |= {LOW.null(kind): [3] * n, HIGH.null(kind): [-1] * n}
    audio = {LOW: [[0.5, 0.1, 1.0, 1.1]] * n, HIGH: [[0.5, 0.9, 1.0, 0.9]] * n}
    found = sweep(picks, audio=audio)
    records = [replace(r, confidence=c) for r, c in zip(found.records, confidences, strict=True)]
    return SweepResults(found.variants, records)


def test_each_item_has_its_strengths_logits_and_statistics():
    """At the threshold itself the high one, as in the wrapper."""
    found = composed(results(), [ADAPTIVE])
    at = found.number[ADAPTIVE]
    assert found.logits[:, at].argmax(-1).tolist() == [1, 2, 2]
    assert found.audio[:, at, 1].tolist() == [0.1, 0.9, 0.9]
    assert takes_low(found, ADAPTIVE).tolist() == [True, False, False]


def test_its_null_takes_the_same_strengths():
    found = composed(results(), [ADAPTIVE])
    null = found.logits[:, found.number[ADAPTIVE.null("sign")]]
    assert null[0].argmax() == 3
    assert (null[1:] == 0).all()
    (effect,) = [e for e in effects(found) if e.variant == ADAPTIVE]
    assert set(effect.nulls) == {"sign"}
    assert ADAPTIVE.null("keys") not in found.number  # it was not run


def test_what_was_there_stays_as_it_is():
    before = results()
    found = composed(before, [ADAPTIVE])
    assert found.variants[: len(before.variants)] == before.variants
    assert (found.logits[:, : len(before.variants)] == before.logits).all()
    assert composed(before, []).records == before.records


def test_a_record_without_confidence_is_an_error():
    with pytest.raises(ConfigError, match="item 'item-1' has no confidence, which 'adaptive scale"):
        composed(results((0.2, None, 0.9)), [ADAPTIVE])


def test_a_strength_that_was_not_run_is_an_error():
    other = replace(ADAPTIVE, adaptive=(0.3, 0.5, 2.0))
    with pytest.raises(
        ConfigError, match=r"needs \['scale 2, layer 0,1, last'\] among the sweep's"
    ):
        composed(results(), [other])


@pytest.mark.parametrize("function", [constituents, lambda v: takes_low(results(), v)])
def test_an_ordinary_variant_is_an_error(function):
    with pytest.raises(ConfigError, match=r"'scale 0\.5, layer 3, last' is not adaptive; expected"):
        function(edit())


# ------------------------------------------------------------------------------ the variant


def test_the_variant_in_words_and_as_data():
    assert ADAPTIVE.name == "adaptive scale 0.5 below 0.3, else 1.5, layer 0,1, last"
    assert ADAPTIVE.null("sign").name.endswith("last, random sign")
    assert Variant.from_dict(ADAPTIVE.to_dict()) == ADAPTIVE
    assert "adaptive" not in LOW.to_dict()  # records of other sweeps stay what they are
    assert ADAPTIVE.control == LOW.control == HIGH.control
    assert ADAPTIVE.control.adaptive is None


def test_its_configuration_is_adaptvis():
    config = ADAPTIVE.config()
    assert config.adaptive == Adaptive(threshold=0.3, low=0.5, high=1.5)
    expected = AttnScaleConfig.adaptvis(0.5, 1.5, 0.3, layers=[0, 1])
    assert config.fingerprint() == expected.fingerprint()


# ------------------------------------------------------------------------------ the wrapper


@pytest.mark.parametrize("side", ["between", "below both", "above both"])
def test_composed_is_what_the_wrapper_gives(tiny_model, prepared, side):
    subject = ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer)
    (plain,) = Sweeper(subject, [LOW.control, LOW]).run(prepared.items)
    confidences = sorted(record.confidence for record in plain)
    assert confidences[0] < confidences[-1]
    threshold = {
        "between": float(np.mean(confidences)),
        "below both": confidences[0] / 2,
        "above both": (1 + confidences[-1]) / 2,
    }[side]
    adaptive = replace(ADAPTIVE, adaptive=(threshold, 0.2, 3.0))
    low, high = constituents(adaptive)
    variants = [low.control, low, high]
    (records,) = Sweeper(subject, variants).run(prepared.items)
    found = composed(SweepResults(variants, records), [adaptive])
    n_low = {"between": 1, "below both": 0, "above both": 2}[side]
    assert takes_low(found, adaptive).sum() == n_low
    config = AttnScaleConfig.adaptvis(0.2, 3.0, threshold, layers=[0, 1])
    wrapped = apply_attn_scale(tiny_model, config, tokenizer=prepared.tokenizer)
    try:
        with torch.no_grad():
            logits = wrapped(**prepared.inputs).logits[:, -1, list(CANDIDATES)]
    finally:
        wrapped.unload()
    assert found.logits[:, found.number[adaptive]] == pytest.approx(logits.numpy(), abs=1e-4)
    differences = np.abs(found.logits[:, found.number[low]] - found.logits[:, found.number[high]])
    assert differences.max(-1).min() > 1e-3  # else any choice would do

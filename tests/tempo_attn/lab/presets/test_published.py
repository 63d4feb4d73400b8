"""Published edits as variants of a decoder: their constants, their layers, what is run."""

import json
from dataclasses import replace

import pytest
import torch

from tempo_attn import AttnScaleConfig, presets
from tempo_attn.attention.mode_formulas import edit_logits
from tempo_attn.errors import ConfigError
from tempo_attn.lab.presets.published import PRESETS, compared, resolved_layers, variants_of
from tempo_attn.lab.presets.table import Compared, ranges


def entry(name, n_layers=6, usable=None, **fields):
    (config, *_) = PRESETS[name]()
    return compared(name, config, n_layers, usable or range(n_layers), **fields)


def test_the_constants_are_those_of_the_configurations():
    for name, config in (
        ("mata", AttnScaleConfig.mata("multiply")),
        ("mata_add", AttnScaleConfig.mata("add")),
        ("pai", AttnScaleConfig.pai()),
    ):
        own = entry(name, n_layers=32).own
        assert (own.mode, own.strength) == (config.mode, config.strength)
        assert list(own.layers) == config.layers
        assert list(own.rows) == config.queries == ["last"]
    rule = AttnScaleConfig.adaptvis().adaptive
    assert entry("adaptvis").own.adaptive == (rule.threshold, rule.low, rule.high)
    alphas = [config.strength for config in PRESETS["scaling"]()]
    assert alphas == [alpha for _, alpha, _ in presets.PAPER_MODELS.values()] == [2.0, 0.2]


def test_matas_two_readings_are_different_edits():
    """(1 + alpha) L and L + alpha, on the chosen keys alone."""
    logits = torch.tensor([[[[2.0, -3.0, 0.5]]]])
    keys = torch.tensor([True, True, False])
    found = {}
    for name in ("mata", "mata_add"):
        own = entry(name).own
        found[name] = edit_logits(logits, keys, own.mode, own.strength).flatten().tolist()
    assert found["mata"] == pytest.approx([2.2, -3.3, 0.5])
    assert found["mata_add"] == pytest.approx([2.1, -2.9, 0.5])


# ------------------------------------------------------------------------------ layers


@pytest.mark.parametrize(
    ("layers", "n_source", "n_layers", "expected"),
    [
        (range(10, 21), 32, 6, [2, 3]),
        (range(10, 21), 28, 6, [2, 3]),  # whichever depth MATA's layers are counted in
        (range(10, 21), 32, 28, list(range(9, 18))),
        (range(2, 32), 32, 6, [0, 1, 2, 3, 4, 5]),
        (range(2, 32), 32, 24, list(range(1, 24))),
        ([20], 28, 6, [4]),
        ([9], 32, 6, [1]),
        ([0], 32, 2, [0]),  # no layer's middle lies in it
        ([31], 32, 2, [1]),
        ([3, 5], 8, 8, [3, 5]),
    ],
)
def test_layers_at_the_same_relative_depth(layers, n_source, n_layers, expected):
    assert presets.map_layers(layers, n_source, n_layers) == expected


@pytest.mark.parametrize(
    ("n_layers", "layers", "words"),
    [
        (6, "2-3", "layers 10-20 of 32 (Qwen2-Audio) -> 2-3 of 6, at the same relative depth"),
        (24, "7-15", "layers 10-20 of 32 (Qwen2-Audio) -> 7-15 of 24"),
        (28, "10-20", "layers 10-20 of 28, as published"),  # Qwen2.5-Omni, a source's own depth
        (32, "10-20", "layers 10-20 of 32, as published"),
        (40, "10-20", "layers 10-20 of 40, as published (for Qwen2-Audio, of 32)"),
    ],
)
def test_layers_are_mapped_and_said(n_layers, layers, words):
    found = entry("mata", n_layers)
    assert ranges(found.own.layers) == layers
    assert found.layers.startswith(words)
    assert found.config["layers"] == list(found.own.layers)
    assert found.config["provenance"]["layers"] == found.layers


def test_given_layers_are_those_of_all():
    for name in PRESETS:
        found = entry(name, given=[3, 5])
        assert {edit.layers for edit in found.edits} == {(3, 5)}
        assert found.layers == "layers 3,5 of 6, by --layers"


def test_layers_without_attention_are_left_out_and_said():
    found = entry("mata", usable=[0, 2, 4])
    assert found.own.layers == (2,)
    assert found.layers.endswith("without 3, which have no attention to edit")
    with pytest.raises(ConfigError, match=r"preset 'mata': .*no layer is left"):
        entry("mata", usable=[0, 5])


def test_scaling_is_run_at_every_layer_that_can_be_edited():
    found = entry("scaling", usable=[0, 1, 2, 4])
    assert [edit.layers for edit in found.edits] == [(0,), (1,), (2,), (4,)]
    assert found.own == replace(found.edits[0], layers=(4,))
    assert found.own.rows == ("last", "keyword")


def test_every_edit_has_its_control_and_nulls():
    entries = [entry(name) for name in PRESETS]
    variants = variants_of(entries, ["sign"])
    edits = [v for v in variants if v.role == "edit"]
    assert len(set(variants)) == len(variants)
    assert all(v.adaptive is None for v in variants)  # its two strengths are run instead
    assert {0.5, 1.5} <= {v.strength for v in edits}
    for edit in edits:
        assert edit.control in variants
        assert edit.null("keys" if edit.mode == "knockout" else "sign") in variants
    assert not [v for v in variants_of(entries, []) if v.role in ("sign", "keys")]


def test_what_the_manifest_holds_is_read_back():
    for name in PRESETS:
        data = json.loads(json.dumps(entry(name).to_dict()))
        assert Compared.from_dict(data) == Compared.from_dict(entry(name).to_dict())
        assert Compared.from_dict(data).edits == entry(name).edits


def test_one_set_of_layers():
    assert resolved_layers("all", 3) == [0, 1, 2]
    assert resolved_layers((2, -3), 3) == [0, 2]
    with pytest.raises(ConfigError, match="layer 9 is out of range"):
        resolved_layers((9,), 3)

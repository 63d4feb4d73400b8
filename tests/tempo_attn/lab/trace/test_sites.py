"""Where states are patched: the grid of sites, and groups of positions against the prompts."""

import json

import pytest
import torch

from tempo_attn.errors import ConfigError, PositionError
from tempo_attn.lab.engine.hidden_states import COMPONENTS
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.trace.sites import GROUPS, Site, places, sites
from tests.support.lab_items import make_prepared
from tests.support.prompts import SCENES, build_case

TEXTS = [
    {
        "early": "<|audio_eos|>\nWhich event has the onset?\nA.",
        "keyword": " earliest",
        "option": " Dog bark SirenDoor slam Bell",
        "late": "\nB.\nC. \nD.\nAnswer with the letter.<|im_end|>\n<|im_start|>assistant",
        "last": "\n",
    },
    {
        "early": "<|audio_eos|>\nWhich event has the offset?\nA.",
        "keyword": " latest",
        "option": " Alarm clock Bird song Horn Rain",
        "late": "\nB.\nC.\nD.\nAnswer with the letter.<|im_end|>\n<|im_start|>assistant",
        "last": "\n",
    },
]
"""What the groups of the two prompts of `prepared` read; the space before "Door" is a token."""


@pytest.fixture
def batch(tiny_model, prepared):
    return ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer).read(prepared.items)


def chosen(batch, group):
    """The positions of a group, (items, tokens) bool."""
    found = places(batch, group)
    mask = torch.zeros_like(batch.real)
    return mask.scatter(1, found.index, True)


# ------------------------------------------------------------------------------ positions


@pytest.mark.parametrize("group", ["early", "keyword", "option", "late", "last"])
def test_groups_read_what_they_are_called(batch, prepared, group):
    found = places(batch, group)
    ids = batch.inputs["input_ids"]
    assert bool((~batch.real[0]).any())  # the first prompt is padded
    for row, texts in enumerate(TEXTS):
        at = found.index[row, : found.counts[row]]
        assert at.tolist() == sorted(set(at.tolist()))
        assert prepared.tokenizer.decode(ids[row, at]) == texts[group]
    assert found.first == int(found.index.min())


def test_groups_are_a_partition_of_the_text(batch):
    parts = [chosen(batch, group) for group in ("early", "keyword", "option", "late", "last")]
    assert torch.equal(torch.stack(parts).sum(0), chosen(batch, "text").long())
    assert not bool((chosen(batch, "text") & chosen(batch, "audio")).any())


def test_a_prompt_that_ends_with_an_option_has_no_position_twice(tiny_model, prepared, batch):
    end = int(places(batch, "option").index[1].max()) + 1
    inputs = prepared(prepared.items[1:])
    for name in ("input_ids", "attention_mask"):
        inputs[name] = inputs[name][:, :end]
    short = make_prepared(inputs, prepared.tokenizer)
    found = ModelUnderStudy(tiny_model, short, tokenizer=short.tokenizer).read(short.items)
    parts = [chosen(found, group) for group in ("early", "keyword", "option", "late", "last")]
    assert torch.equal(torch.stack(parts).sum(0), chosen(found, "text").long())


def test_groups_by_the_tokenizers_own_offsets(batch, tiny_processor):
    case = build_case(tiny_processor, SCENES)
    behind = case.audio.cumsum(1) > 0
    for group in ("keyword", "option", "last"):
        assert torch.equal(chosen(batch, group), case.rows[group])
    assert torch.equal(chosen(batch, "audio"), case.audio)
    assert torch.equal(chosen(batch, "text"), case.rows["all_text"] & behind)
    assert bool((case.rows["all_text"] & ~behind).any())  # text before the audio is left out


def test_shorter_lists_repeat_their_last_position(batch):
    found = places(batch, "option")
    assert found.counts.tolist() == [13, 11]
    assert found.index.shape == (2, 13)
    assert set(found.index[1, 11:].tolist()) == {int(found.index[1, 10])}


def test_early_positions_begin_behind_the_audio_of_each_item(batch):
    first = places(batch, "early").index[:, 0]
    assert first.tolist() == (chosen(batch, "audio").cumsum(1).argmax(1) + 1).tolist()


def test_a_prompt_without_such_positions_is_named(tiny_model, tiny_processor):
    """A question without options before its letters: nothing stands between audio and options."""
    inputs = build_case(tiny_processor, SCENES).inputs
    prepared = make_prepared(inputs, tiny_processor.tokenizer)
    found = ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer).read(prepared.items)
    found.rows(("option",))[1] = found.rows(("all_text",))[1]
    with pytest.raises(PositionError, match="'item 1': no 'late' positions in the prompt"):
        places(found, "late")


# ------------------------------------------------------------------------------ the grid


def test_a_grid_has_every_site_once_with_its_null_behind_it():
    found = sites(3, components=COMPONENTS, groups=("last", "audio"))
    # Residual streams have one more place: what enters the first layer.
    assert len(found) == len(set(found)) == 2 * 2 * (4 + 3 + 3)
    for site, null in zip(found[::2], found[1::2], strict=True):
        assert not site.random
        assert null == site.null
        assert (null.component, null.layer, null.group) == (site.component, site.layer, site.group)
    layers = {(s.component, s.layer) for s in found}
    assert layers == {("residual", -1)} | {(c, layer) for c in COMPONENTS for layer in range(3)}


def test_chosen_layers_and_no_nulls():
    found = sites(8, components=("attention",), groups=("last",), layers=[5, 2, 5], nulls=False)
    assert found == [
        Site(component="attention", layer=2, group="last"),
        Site(component="attention", layer=5, group="last"),
    ]
    assert {site.group for site in sites(1)} == set(GROUPS)


def test_a_site_goes_through_json():
    site = Site(component="mlp", layer=3, group="option").null
    assert Site(**json.loads(json.dumps(site.to_dict()))) == site


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"components": ["residual", "heads"]}, r"components: unknown \['heads'\]"),
        ({"groups": ["object"]}, r"groups: unknown \['object'\]; expected some of \['text'"),
        ({"layers": [0, 4]}, r"layers: unknown \[4\]; expected some of \[-1, 0, 1, 2, 3\]"),
        ({"layers": [-2]}, r"layers: unknown \[-2\]"),
        ({"components": []}, "nothing to patch"),
        ({"groups": []}, "nothing to patch"),
        ({"layers": []}, "nothing to patch"),
        ({"components": ["mlp"], "layers": [-1]}, "nothing to patch"),
    ],
)
def test_what_there_is_not_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        sites(4, **settings)

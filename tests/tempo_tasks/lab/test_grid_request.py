"""Grids as options ask for them: they wait for the model's layers and heads."""

import pytest

from tempo_attn.errors import OptionError
from tempo_tasks.lab.check_settings import ConfigSize
from tempo_tasks.lab.grid_request import GridRequest, parse_grid


def edits_of(grid, n_layers, n_heads):
    return [v for v in grid.variants(ConfigSize(n_layers, n_heads)) if v.role == "edit"]


def test_the_texts_are_read():
    grid = parse_grid(
        ["scale=0.5", "enrich=0.1"], "1,2+3", ["last"], "0,1+2", nulls="keys", source="0-1"
    )
    assert grid == GridRequest(
        strengths={"scale": (0.5,), "enrich": (0.1,)},
        layers=[(1,), (2, 3)],
        rows=[("last",)],
        heads=[(0,), (1, 2)],
        nulls=["keys"],
        sources=[0, 1],
    )


def test_the_defaults_are_the_same_in_python():
    assert parse_grid(["scale=2"]).variants(ConfigSize(3, 2)) == GridRequest(
        strengths={"scale": (2.0,)}
    ).variants(ConfigSize(3, 2))


def test_a_grid_has_its_sources():
    grid = parse_grid(["enrich=0.5", "scale=2"], "1,2", ["last"], source="0-1")
    assert [(v.mode, v.source, v.layers) for v in edits_of(grid, 3, 4)] == [
        ("enrich", 0, (1,)),
        ("scale", None, (1,)),
        ("enrich", 0, (2,)),
        ("enrich", 1, (2,)),
        ("scale", None, (2,)),
    ]


def test_a_grid_waits_for_the_models_heads():
    grid = parse_grid(["scale=0.5", "knockout"], "0,1+2", ["last,option"], "each")
    variants = grid.variants(ConfigSize(n_layers=3, n_heads=2))
    edits = [variant for variant in variants if variant.role == "edit"]
    # 2 sets of layers, 2 of rows, 2 heads, 2 edits; a control for each but the edit ...
    assert len(edits) == 16
    assert {edit.heads for edit in edits} == {(0,), (1,)}
    assert sum(variant.role == "control" for variant in variants) == 8
    # ... and no sign for a knockout, whose change is infinite.
    signs = [variant.mode for variant in variants if variant.role == "sign"]
    assert signs == ["scale"] * 8


@pytest.mark.parametrize(("heads", "groups"), [("all", {None}), ("0,1+2", {(0,), (1, 2)})])
def test_groups_of_heads(heads, groups):
    grid = parse_grid(["scale=0.5"], "0", ["last"], heads)
    assert {edit.heads for edit in edits_of(grid, 3, 4)} == groups


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": [(6,)]}, "layers: layer 6 is out of range"),
        ({"heads": [(4,)]}, "heads: head 4 of layer 0 is out of range"),
        ({"strengths": {"scale": [-1.0]}}, "strength is -1.0; expected 0 or more"),
        ({"strengths": {"scale": [1.0]}}, "changes nothing"),
        ({"strengths": {"enrich": [0.1]}}, "needs the layers whose states"),
        ({"strengths": {}}, "the grid is empty"),
        ({"rows": []}, "the grid is empty"),
        ({"rows": [("first",)]}, "queries is 'first'"),
        ({"nulls": ["some"]}, "unknown nulls"),
    ],
)
def test_what_the_decoder_or_the_edit_refuses_is_a_wrong_option(changes, message):
    grid = GridRequest(**{"strengths": {"scale": [0.5]}, **changes})
    with pytest.raises(OptionError, match=message):
        grid.variants(ConfigSize(n_layers=6, n_heads=4))

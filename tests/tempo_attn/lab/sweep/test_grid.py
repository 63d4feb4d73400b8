"""Grids: which variants they stand for, in which order, and which grids are refused."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn.attention.mode_formulas import LOGIT_FORMULAS
from tempo_attn.config import QUERIES
from tempo_attn.errors import ConfigError
from tempo_attn.lab.sweep.grid import ROWS, Grid, Variant
from tempo_attn.modes import MODES, NULLS, USUAL_FACTORS

SWEPT = [mode for mode in MODES if MODES[mode].states_with != "directions"]


def grid(strengths=None, rows=(("last",),), nulls=(), **fields):
    return Grid(strengths=strengths or {"scale": (0.5,)}, rows=rows, nulls=nulls, **fields)


def edits(variants):
    return [variant for variant in variants if variant.role == "edit"]


# ---------------------------------------------------------------------- expansion


def test_every_combination_once_with_shared_controls_and_a_null_each():
    variants = Grid(strengths={"scale": USUAL_FACTORS}).variants(28, 4)
    controls = 28 * len(ROWS)
    assert len(edits(variants)) == controls * len(USUAL_FACTORS)
    assert len(variants) == len(set(variants)) == controls * (1 + 2 * len(USUAL_FACTORS))


def test_controls_come_first_and_nulls_behind_their_edits():
    strengths = {"scale": (0.5, 2.0), "knockout": ()}
    found = grid(strengths, rows=[["last"], ["option"]], nulls=("sign", "keys")).variants(2, 4)
    assert [variant.name for variant in found[:4]] == [
        "control, layer 0, last",
        "control, layer 0, option",
        "control, layer 1, last",
        "control, layer 1, option",
    ]
    assert [variant.name for variant in found[4:12]] == [
        "scale 0.5, layer 0, last",
        "scale 0.5, layer 0, last, random sign",
        "scale 0.5, layer 0, last, random keys",
        "scale 2, layer 0, last",
        "scale 2, layer 0, last, random sign",
        "scale 2, layer 0, last, random keys",
        "knockout, layer 0, last",
        "knockout, layer 0, last, random keys",  # what is infinite has no sign
    ]
    order = [(v.layers, v.rows) for v in found[4:]]
    assert list(dict.fromkeys(order)) == [((n,), (r,)) for n in (0, 1) for r in ("last", "option")]


def test_a_knockout_has_no_sign_to_draw():
    found = grid({"knockout": ()}, nulls=("sign",)).variants(1, 4)
    assert [variant.role for variant in found] == ["control", "edit"]


def test_an_enrichment_has_a_sign_but_no_keys():
    found = grid({"enrich": (0.5,)}, nulls=NULLS, layers=[[1]], sources=[0]).variants(2, 4)
    assert [variant.role for variant in found] == ["control", "edit", "sign"]


def test_all_modes_of_the_same_rows_share_a_control():
    strengths = {mode: () if mode == "knockout" else (0.5,) for mode in SWEPT}
    found = grid(strengths, layers=[[1, 2]], sources=[0]).variants(3, 4)
    assert [variant.mode for variant in edits(found)] == SWEPT
    assert {variant.control for variant in found} == {found[0]}
    assert found[0] == Variant(layers=(1, 2), rows=("last",), strength=1.0, role="control")


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("each", [(0,), (1,), (2,)]),
        ("all", [(0, 1, 2)]),
        ([[2, 0], [1]], [(0, 2), (1,)]),
        ([[-1], [-3, 1]], [(2,), (0, 1)]),
    ],
)
def test_layers(layers, expected):
    found = edits(grid(layers=layers).variants(3, 4))
    assert [variant.layers for variant in found] == expected


def test_rows_are_in_the_configurations_order():
    found = edits(grid(rows=[["keyword", "last"], ["option", "keyword"]]).variants(1, 4))
    assert [variant.rows for variant in found] == [("last", "keyword"), ("keyword", "option")]
    assert [list(variant.rows) for variant in found] == [v.config().queries for v in found]


def test_groups_of_heads_have_controls_of_their_own():
    found = grid(heads=[None, [3, 0]]).variants(1, 4)
    assert [(v.role, v.heads) for v in found] == [
        ("control", None),
        ("control", (0, 3)),
        ("edit", None),
        ("edit", (0, 3)),
    ]


@pytest.mark.parametrize(
    "twice",
    [
        {"strengths": {"scale": (0.5, 0.5)}},
        {"strengths": {"knockout": (1.0, 2.0)}},  # its strengths do not count
        {"layers": [[0, 1], [1, 0]]},
        {"layers": [[1], [-1]]},
        {"rows": [["last", "keyword"], ["keyword", "last"]]},
        {"heads": [[0, 1], [1, 0]]},
        {"nulls": ("keys", "keys")},
    ],
    ids=str,
)
def test_what_is_there_twice_is_run_once(twice):
    found = grid(**{"layers": [[1]], **twice}).variants(2, 4)
    assert len(found) == len(set(found)) == 2 + ("nulls" in twice)


# ---------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strengths": {"scael": (0.5,)}}, r"unknown mode 'scael'; expected one of \['scale'"),
        ({"strengths": {"scale": (0.5, 1.0)}}, "scale 1, layer 0, last changes nothing"),
        ({"strengths": {"scale": (-1.0,)}}, "strength is -1.0; expected 0 or more"),
        ({"strengths": {"scale": (math.nan,)}}, "strength is nan; expected a finite number"),
        ({"strengths": {"scale": ()}}, "the grid is empty"),
        ({"layers": []}, r"the grid is empty.*layers \[\]"),
        ({"rows": []}, r"the grid is empty.*rows \[\]"),
        ({"heads": []}, r"the grid is empty.*heads \[\]"),
        ({"layers": [[3]]}, "layer 3 is out of range: .* 3 layers; expected 0 to 2"),
        ({"layers": [[-4]]}, "layer -4 is out of range"),
        ({"layers": [[2, -1]]}, "expected every layer of 3 once"),
        ({"layers": [[]]}, "layers is .*expected a non-empty list"),
        ({"rows": [["first"]]}, "queries is 'first'; expected one of 'last', "),
        ({"rows": [[]]}, "expected at least one of 'last'"),
        ({"heads": [[4]]}, "head 4 of layer 0 is out of range: .* 4 query heads"),
        ({"heads": [[-1]]}, "heads is .*from 0 up"),
        ({"heads": [[1, 1]]}, "1 is repeated"),
        ({"heads": [[]]}, "heads is .*expected a non-empty list"),
        ({"nulls": ("sign", "sing")}, r"unknown nulls \['sing'\]; expected some of \['sign'"),
    ],
)
def test_a_wrong_grid_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        grid(**fields).variants(3, 4)


@pytest.mark.parametrize("mode", [mode for mode in SWEPT if MODES[mode].has_strength])
def test_a_neutral_strength_is_no_edit(mode):
    neutral = MODES[mode].neutral
    sources = [0] if mode == "enrich" else []
    with pytest.raises(
        ConfigError, match=f"{mode} {neutral:g}[, ].*leave the neutral strength out"
    ):
        grid({mode: (neutral,)}, sources=sources).variants(2, 4)


# ---------------------------------------------------------------------- variants

places = st.lists(st.integers(0, 99), min_size=1, unique=True).map(lambda v: tuple(sorted(v)))


@given(
    st.builds(
        Variant,
        layers=places,
        rows=st.lists(st.sampled_from(QUERIES), min_size=1, unique=True).map(tuple),
        mode=st.sampled_from(SWEPT),
        strength=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        heads=st.none() | places,
        source=st.none() | st.integers(0, 99),
        role=st.sampled_from(("edit", "control", *NULLS)),
    )
)
def test_a_variant_comes_back_from_json(variant):
    text = json.dumps(variant.to_dict(), allow_nan=False)
    again = Variant.from_dict(json.loads(text))
    assert again == variant
    assert hash(again) == hash(variant)


SOME = Variant(layers=(0, 3), rows=("last", "keyword"), mode="upweight", strength=-0.25, heads=(1,))


def test_a_variant_in_words():
    assert SOME.name == "upweight -0.25, layer 0,3, last+keyword, heads 1"
    assert SOME.control.name == "control, layer 0,3, last+keyword, heads 1"
    assert SOME.null("sign").name == f"{SOME.name}, random sign"
    _, edit = grid(rows=[["keyword", "last"]], layers=[[3]]).variants(4, 4)
    assert edit.name == "scale 0.5, layer 3, last+keyword"  # the docstring's


def test_variants_of_a_grid_have_names_of_their_own():
    strengths = {mode: () if mode == "knockout" else (0.5, 2.0) for mode in LOGIT_FORMULAS}
    strengths["enrich"] = (0.25, 1.0)
    rows = [["last"], ["last", "keyword"]]
    heads = [None, [0], [1, 2]]
    found = grid(strengths, rows=rows, nulls=NULLS, heads=heads, sources=[0, 1]).variants(3, 4)
    assert sum(variant.mode == "enrich" for variant in found) == (1 + 2) * 2 * 2 * 2
    assert len({variant.name for variant in found}) == len(found)


def test_the_control_of_a_null_is_that_of_its_edit():
    assert {SOME.null(kind).control for kind in NULLS} == {SOME.control, SOME.control.control}
    assert SOME.control.config().is_identity


def test_a_variant_is_a_configuration():
    config = SOME.config(provenance={"n": 3})
    assert (config.mode, config.strength, config.layers) == ("upweight", -0.25, [0, 3])
    assert (config.heads, config.queries) == ([1], ["last", "keyword"])
    assert config.provenance == {"n": 3}


def test_a_mode_with_directions_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"mode 'steer' .*run `tempo steer --from"):
        Grid(strengths={"steer": (1.0,), "scale": (2.0,)}).variants(3, 4)

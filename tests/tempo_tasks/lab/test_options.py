"""The laboratory's options: what each text means, and what is said about one that means nothing."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn.config import QUERIES
from tempo_attn.errors import ConfigError
from tempo_attn.modes import MODES, USUAL_FACTORS
from tempo_tasks.lab.options import (
    Requested,
    parse_directions,
    parse_edits,
    parse_heads,
    parse_layers,
    parse_names,
    parse_nulls,
    parse_rows,
    parse_shard,
    parse_single_layers,
    parse_sources,
)

# ------------------------------------------------------------------------------ edits


def test_edits():
    assert parse_edits(["scale=0.5,2", "upweight=-1"]) == {"scale": (0.5, 2.0), "upweight": (-1.0,)}
    assert parse_edits(["knockout"]) == {"knockout": ()}
    assert parse_edits([" scale_preserving = 1e-1 "]) == {"scale_preserving": (0.1,)}


@pytest.mark.parametrize("mode", ["scale", "scale_preserving", "upweight_matched"])
def test_a_mode_of_alpha_alone_has_alphas_usual_strengths(mode):
    assert parse_edits([mode]) == {mode: USUAL_FACTORS}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("scal=2", r"--edit: unknown 'scal'; expected one of scale, .*knockout"),
        ("", r"--edit: unknown ''"),
        ("scale=", r"--edit scale=: '' is no number; expected such as scale=0.5,2"),
        ("scale=0.5,,2", r"--edit scale=0.5,,2: '' is no number"),
        ("scale=nan", r"'nan' is no number"),
        ("scale=2,inf", r"'inf' is no number"),
        ("knockout=1", r"--edit knockout=1: knockout has no strength"),
        ("upweight", r"say the strengths, as in upweight=-1,1"),
        ("upweight_relative", r"say the strengths, as in upweight_relative=-1,1"),
        ("enrich", r"--edit enrich: say the weights, as in enrich=0.1,0.3"),
    ],
)
def test_bad_edits(value, message):
    with pytest.raises(ConfigError, match=message):
        parse_edits([value])


def test_a_mode_is_named_once():
    with pytest.raises(ConfigError, match="names 'scale' twice; give all its strengths in one"):
        parse_edits(["scale=0.5", "upweight=1", "scale=2"])


_NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4)


@given(st.dictionaries(st.sampled_from([mode for mode in MODES if mode != "knockout"]), _NUMBERS))
def test_every_edit_is_read_as_it_is_written(edits):
    written = [f"{mode}={','.join(map(repr, numbers))}" for mode, numbers in edits.items()]
    assert parse_edits(written) == {mode: tuple(numbers) for mode, numbers in edits.items()}


# ------------------------------------------------------------------------------ layers


@pytest.mark.parametrize(
    ("value", "layers"),
    [
        ("each", "each"),
        ("all", "all"),
        ("0", [(0,)]),
        ("0, 3", [(0,), (3,)]),
        ("10-12,0", [(10,), (11,), (12,), (0,)]),
        ("4-4", [(4,)]),
        ("2+3,5", [(2, 3), (5,)]),
        ("-1", [(-1,)]),
        ("0+-1", [(0, -1)]),
    ],
)
def test_layers(value, layers):
    assert parse_layers(value) == layers


@pytest.mark.parametrize(
    "value", ["", "first", "1.5", "0;1", "1-", "0-2+3", "each,0", "0,,1", "+1"]
)
def test_bad_layers(value):
    with pytest.raises(ConfigError, match=r"--layers .*cannot read '.*'; expected 'each', 'all'"):
        parse_layers(value)


def test_a_range_runs_forward():
    with pytest.raises(ConfigError, match="--layers 0,5-3: 5-3 runs backwards"):
        parse_layers("0,5-3")


_LAYER_SETS = st.lists(st.lists(st.integers(-99, 99), min_size=1, max_size=3), min_size=1)


@given(_LAYER_SETS)
def test_every_list_of_layers_is_read_as_it_is_written(sets):
    written = ",".join("+".join(map(str, layers)) for layers in sets)
    assert parse_layers(written) == [tuple(layers) for layers in sets]


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_range_is_its_layers(first, more):
    last = first + more
    assert parse_layers(f"{first}-{last}") == [(layer,) for layer in range(first, last + 1)]


# ------------------------------------------------------------------------------ rows, heads, nulls


def test_rows_come_in_several_values_or_with_commas():
    expected = [("last",), ("keyword", "last"), ("option",)]
    assert parse_rows(["last,keyword+last,option"]) == expected
    assert parse_rows(["last", "keyword + last", "option"]) == expected


@pytest.mark.parametrize("value", ["", "lst", "last,", "keyword+", "audio"])
def test_bad_rows(value):
    with pytest.raises(ConfigError, match=r"--rows: unknown '.*'; expected one of last, keyword"):
        parse_rows([value])


@given(st.lists(st.lists(st.sampled_from(QUERIES), min_size=1, max_size=4), min_size=1))
def test_every_list_of_rows_is_read_as_it_is_written(sets):
    assert parse_rows([",".join("+".join(names) for names in sets)]) == [tuple(n) for n in sets]


def test_heads():
    assert parse_heads("all", 4) == [None]
    assert parse_heads("each", 3) == [(0,), (1,), (2,)]
    assert parse_heads("0,1+2", 4) == [(0,), (1, 2)]


@pytest.mark.parametrize("value", ["", "none", "0,", "0-2", "-1", "0, 1", "+"])
def test_bad_heads(value):
    with pytest.raises(ConfigError, match=r"--heads .*expected 'all', 'each', or groups such as"):
        parse_heads(value, 4)


def test_nulls():
    assert parse_nulls("none") == []
    assert parse_nulls("sign") == ["sign"]
    assert parse_nulls("keys, sign") == ["keys", "sign"]
    with pytest.raises(ConfigError, match="--nulls: unknown 'random'; expected one of sign, keys"):
        parse_nulls("sign,random")


# ------------------------------------------------------------------------------ sources


@pytest.mark.parametrize(
    ("value", "layers"),
    [("", []), ("0", [0]), ("1,2", [1, 2]), ("0-2, 5", [0, 1, 2, 5]), ("4-4", [4])],
)
def test_sources(value, layers):
    assert parse_sources(value) == layers


@pytest.mark.parametrize("value", ["each", "all", "-1", "0+1", "1,0+1", "0,-2"])
def test_sources_are_single_layers_from_the_start(value):
    with pytest.raises(ConfigError, match=r"--source .*: expected single layers such as 1,2 or"):
        parse_sources(value)


def test_a_requested_grid_has_its_sources():
    requested = Requested(["enrich=0.5", "scale=2"], "1,2", ["last"], "all", "sign", "0-1")
    edits = [v for v in requested.grid(4).variants(3, 4) if v.role == "edit"]
    assert [(v.mode, v.source, v.layers) for v in edits] == [
        ("enrich", 0, (1,)),
        ("scale", None, (1,)),
        ("enrich", 0, (2,)),
        ("enrich", 1, (2,)),
        ("scale", None, (2,)),
    ]


# ------------------------------------------------------------------------------ trace


@pytest.mark.parametrize(
    ("value", "layers"),
    [("each", None), ("0", [0]), ("0,3,10-12", [0, 3, 10, 11, 12]), ("4-4, 2", [4, 2])],
)
def test_single_layers(value, layers):
    assert parse_single_layers(value) == layers


@pytest.mark.parametrize("value", ["all", "-1", "2+3", "0,1+2", "", "first", "0,each", "1,", "5-3"])
def test_bad_single_layers(value):
    reasons = "expected single layers such as 1,2|cannot read '|5-3 runs backwards"
    with pytest.raises(ConfigError, match=rf"^--layers {re.escape(value)}: ({reasons})"):
        parse_single_layers(value)


def test_names_have_commas_between_them():
    assert parse_names("residual") == ["residual"]
    assert parse_names("option, last ,audio") == ["option", "last", "audio"]
    assert parse_names("option,,") == ["option", "", ""]  # refused where names are known


def test_directions():
    assert parse_directions("recover") == ["recover"]
    assert parse_directions("shift, recover") == ["shift", "recover"]


@pytest.mark.parametrize("value", ["", "both", "recover,", "Shift"])
def test_bad_directions(value):
    with pytest.raises(ConfigError, match=r"--direction: unknown '.*'; .*one of recover, shift"):
        parse_directions(value)


# ------------------------------------------------------------------------------ shards


def test_shards():
    assert parse_shard(None) is None
    assert parse_shard("0/1") == (0, 1)
    assert parse_shard("3/4") == (3, 4)


@pytest.mark.parametrize("value", ["", "4/4", "5/4", "0/0", "-1/4", "1", "1/2/3", "1 / 2", "a/b"])
def test_bad_shards(value):
    with pytest.raises(ConfigError, match=r"--shard .*expected i/n with i from 0 to n - 1"):
        parse_shard(value)


# ------------------------------------------------------------------------------ all of them


@given(st.text(alphabet="0123456789,+-/=. each all scale upweight last keyword", max_size=7))
def test_whatever_is_typed_is_read_or_refused_in_words(text):
    refused = []
    for parse in (
        lambda: parse_edits([text]),
        lambda: parse_layers(text),
        lambda: parse_rows([text]),
        lambda: parse_heads(text, 4),
        lambda: parse_nulls(text),
        lambda: parse_shard(text),
        lambda: parse_single_layers(text),
        lambda: parse_directions(text),
    ):
        try:
            parse()
        except ConfigError as error:
            refused.append(str(error))
    options = ("--edit", "--layers", "--rows", "--heads", "--nulls", "--shard", "--direction")
    assert all(message.startswith(options) for message in refused)


def test_a_requested_grid_waits_for_the_models_heads():
    requested = Requested(["scale=0.5", "knockout"], "0,1+2", ["last,option"], "each", "sign")
    variants = requested.grid(n_heads=2).variants(n_layers=3, n_heads=2)
    edits = [variant for variant in variants if variant.role == "edit"]
    # 2 sets of layers, 2 of rows, 2 heads, 2 edits; a control for each but the edit ...
    assert len(edits) == 16
    assert {edit.heads for edit in edits} == {(0,), (1,)}
    assert sum(variant.role == "control" for variant in variants) == 8
    # ... and no sign for a knockout, whose change is infinite.
    signs = [variant.mode for variant in variants if variant.role == "sign"]
    assert signs == ["scale"] * 8

"""The laboratory's options: what each text means, and what is said about one that means nothing."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn import AttnScaleConfig
from tempo_attn.config import QUERIES
from tempo_attn.errors import OptionError
from tempo_attn.lab.engine.fast_against_full import ENGINES
from tempo_attn.lab.engine.hidden_states import COMPONENTS
from tempo_attn.lab.lens.run import CANDIDATES
from tempo_attn.lab.lens.run import ROWS as LENS_ROWS
from tempo_attn.lab.trace.records import DIRECTIONS
from tempo_attn.lab.trace.sites import GROUPS
from tempo_attn.modes import MODES, USUAL_FACTORS
from tempo_tasks.lab import trace
from tempo_tasks.lab.options import (
    check_rows,
    parse_edits,
    parse_engine,
    parse_heads,
    parse_layer_set,
    parse_layers,
    parse_metadata,
    parse_name,
    parse_names,
    parse_nulls,
    parse_rows,
    parse_shard,
    parse_single_layers,
    parse_some_layers,
    wrong_options,
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
        ("scale=", r"--edit scale=: '' is not a number; expected such as scale=0.5,2"),
        ("scale=0.5,,2", r"--edit scale=0.5,,2: '' is not a number"),
        ("scale=nan", r"'nan' is not a number"),
        ("scale=2,inf", r"'inf' is not a number"),
        ("knockout=1", r"--edit knockout=1: knockout has no strength"),
        ("upweight", r"say the strengths, as in upweight=-1,1"),
        ("upweight_relative", r"say the strengths, as in upweight_relative=-1,1"),
        ("enrich", r"--edit enrich: say the weights, as in enrich=0.1,0.3"),
    ],
)
def test_bad_edits(value, message):
    with pytest.raises(OptionError, match=message):
        parse_edits([value])


def test_a_mode_is_named_once():
    with pytest.raises(OptionError, match="names 'scale' twice; give all its strengths in one"):
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
    with pytest.raises(OptionError, match=r"--layers .*cannot read '.*'; expected 'each', 'all'"):
        parse_layers(value)


def test_a_range_runs_forward():
    with pytest.raises(OptionError, match="--layers 0,5-3: 5-3 runs backwards"):
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
    with pytest.raises(OptionError, match=r"--rows: unknown '.*'; expected one of last, keyword"):
        parse_rows([value])


@given(st.lists(st.lists(st.sampled_from(QUERIES), min_size=1, max_size=4), min_size=1))
def test_every_list_of_rows_is_read_as_it_is_written(sets):
    assert parse_rows([",".join("+".join(names) for names in sets)]) == [tuple(n) for n in sets]


def test_heads():
    assert parse_heads("all") == "all"
    assert parse_heads("each") == "each"
    assert parse_heads("0,1+2") == [(0,), (1, 2)]


@pytest.mark.parametrize("value", ["", "none", "0,", "0-2", "-1", "0, 1", "+"])
def test_bad_heads(value):
    with pytest.raises(OptionError, match=r"--heads .*expected 'all', 'each', or groups such as"):
        parse_heads(value)


def test_nulls():
    assert parse_nulls("none") == []
    assert parse_nulls("sign") == ["sign"]
    assert parse_nulls("keys, sign") == ["keys", "sign"]
    with pytest.raises(OptionError, match="--nulls: unknown 'random'; expected one of sign, keys"):
        parse_nulls("sign,random")


# ------------------------------------------------------------------------------ sources


@pytest.mark.parametrize(
    ("value", "layers"),
    [("", []), ("0", [0]), ("1,2", [1, 2]), ("0-2, 5", [0, 1, 2, 5]), ("4-4", [4])],
)
def test_sources(value, layers):
    assert parse_some_layers("--source", value) == layers


@pytest.mark.parametrize("value", ["each", "all", "-1", "0+1", "1,0+1", "0,-2"])
def test_sources_are_single_layers_from_the_start(value):
    with pytest.raises(OptionError, match=r"--source .*: expected single layers such as 1,2 or"):
        parse_some_layers("--source", value)


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
    with pytest.raises(OptionError, match=rf"^--layers {re.escape(value)}: ({reasons})"):
        parse_single_layers(value)


NAMES = {
    "--components": COMPONENTS,
    "--groups": GROUPS,
    "--candidates": CANDIDATES,
    "--direction": DIRECTIONS,
}


@pytest.mark.parametrize("option", NAMES)
def test_names_have_commas_between_them(option):
    known = list(NAMES[option])
    assert parse_names(option, known[0], known) == known[:1]
    assert parse_names(option, " , ".join(known), known) == known
    for value in ("", f"{known[0]},", known[0][:-1], known[0].upper()):
        message = f"^{option}: unknown '.*'; expected one of {', '.join(known)}"
        with pytest.raises(OptionError, match=message):
            parse_names(option, value, known)


@pytest.mark.parametrize(
    ("option", "known"),
    [
        ("--engine", ["auto", "fast", "full"]),
        ("--method", ["patching", "attribution", "both"]),
        ("--objective", ["accuracy", "margin"]),
        ("--kind", ["eo", "lo", "ld"]),
    ],
)
def test_one_of_some_names(option, known):
    assert [parse_name(option, name, known) for name in known] == known
    for value in ("", known[0][:-1], ",".join(known)):
        message = f"^{option}: unknown '{value}'; expected one of {', '.join(known)}"
        with pytest.raises(OptionError, match=message):
            parse_name(option, value, known)


def test_engines():
    assert [parse_engine(name) for name in ENGINES] == ["auto", "fast", "full"]
    with pytest.raises(OptionError, match=r"^--engine: unknown 'replay'; expected one of auto"):
        parse_engine("replay")


def test_the_groups_of_the_command_are_those_of_the_experiment():
    assert trace.GROUPS == GROUPS


def test_lens_rows_may_be_audio():
    assert parse_rows(["audio,keyword+last"], LENS_ROWS) == [("audio",), ("keyword", "last")]
    with pytest.raises(OptionError, match=r"--rows: unknown 'lst'; .*Did you mean 'last'"):
        parse_rows(["lst"], LENS_ROWS)


@pytest.mark.parametrize(("value", "layers"), [("all", "all"), ("3", (3,)), ("2+-1", (2, -1))])
def test_one_set_of_layers(value, layers):
    assert parse_layer_set(value) == layers


@pytest.mark.parametrize("value", ["each", "2-3", "0,1", "", "first"])
def test_bad_sets_of_layers(value):
    with pytest.raises(OptionError, match=rf"--layers {value}: (expected one set|cannot read)"):
        parse_layer_set(value)


@pytest.mark.parametrize("rows", [[], [[]], [["first"]], [["last", "last"]]])
def test_rows_are_checked_however_they_come(rows):
    with pytest.raises(OptionError, match="--rows"):
        check_rows(rows)


def test_rows_are_named_as_in_the_tables():
    assert check_rows([["keyword", "last"], ("option",)]) == [("last", "keyword"), ("option",)]


def test_what_an_edit_refuses_is_a_wrong_option():
    with (
        pytest.raises(OptionError, match=r"strength is -1\.0; expected 0 or more"),
        wrong_options(),
    ):
        AttnScaleConfig(strength=-1)


# ------------------------------------------------------------------------------ shards, metadata


def test_metadata():
    assert parse_metadata('{"data": "a folder"}') == {"data": "a folder"}
    with pytest.raises(OptionError, match="--metadata is not JSON: "):
        parse_metadata("{")
    with pytest.raises(OptionError, match=r"--metadata \[\]: expected an object such as"):
        parse_metadata("[]")


def test_shards():
    assert parse_shard(None) is None
    assert parse_shard("0/1") == (0, 1)
    assert parse_shard("3/4") == (3, 4)


@pytest.mark.parametrize("value", ["", "4/4", "5/4", "0/0", "-1/4", "1", "1/2/3", "1 / 2", "a/b"])
def test_bad_shards(value):
    with pytest.raises(OptionError, match=r"--shard .*expected i/n with i from 0 to n - 1"):
        parse_shard(value)


# ------------------------------------------------------------------------------ all of them


@given(st.text(alphabet="0123456789,+-/=. each all scale upweight last keyword", max_size=7))
def test_whatever_is_typed_is_read_or_refused_in_words(text):
    refused = []
    for parse in (
        lambda: parse_edits([text]),
        lambda: parse_layers(text),
        lambda: parse_rows([text]),
        lambda: parse_heads(text),
        lambda: parse_nulls(text),
        lambda: parse_shard(text),
        lambda: parse_single_layers(text),
        lambda: parse_names("--direction", text, DIRECTIONS),
    ):
        try:
            parse()
        except OptionError as error:
            refused.append(str(error))
    options = ("--edit", "--layers", "--rows", "--heads", "--nulls", "--shard", "--direction")
    assert all(message.startswith(options) for message in refused)

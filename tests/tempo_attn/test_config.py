"""AttnScaleConfig: what it accepts, what it refuses, and how it resolves in a model."""

import dataclasses
import doctest
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn import config as config_module
from tempo_attn.adaptive import Adaptive
from tempo_attn.config import KEYS, QUERIES, AttnScaleConfig
from tempo_attn.errors import ConfigError
from tempo_attn.hub.config_file import library_version
from tempo_attn.modes import MODES
from tests.support.steered_by_hand import directions

ORDER = ("scale", "scale_preserving", "upweight_matched")
numbers = st.floats(-1e4, 1e4)
words = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
some_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def some(values):
    return st.lists(st.sampled_from(values), min_size=1, unique=True)


@st.composite
def configs(draw):
    """Every field of a valid configuration."""
    mode = draw(st.sampled_from(list(MODES)))
    if MODES[mode].edits_states:
        return draw(enrichments() if mode == "enrich" else steered())
    strengths = st.floats(0, 1e4) if mode in ORDER else numbers
    adaptive = mode != "knockout" and draw(st.booleans())
    thresholds = st.floats(0, 1, exclude_min=True, exclude_max=True)
    layers = draw(st.just("all") | st.lists(st.integers(-9, 9), min_size=1, unique=True))
    heads = st.lists(st.integers(0, 31), min_size=1, unique=True)
    named = st.integers(-9, 9) if layers == "all" else st.sampled_from(layers)
    queries = draw(some(QUERIES))
    decoding = bool({"last", "all_text"} & set(queries))
    names = st.none() | words
    return AttnScaleConfig(
        mode=mode,
        strength=None if adaptive or mode == "knockout" else draw(strengths),
        layers=layers,
        heads=draw(st.none() | heads | st.dictionaries(named, heads, min_size=1)),
        queries=queries,
        keywords=draw(st.lists(words, min_size=1, max_size=4, unique=True)),
        keys=draw(some(KEYS)),
        phase=draw(st.sampled_from(["prefill", "all"])) if decoding else "prefill",
        adaptive=Adaptive(draw(thresholds), draw(strengths), draw(strengths)) if adaptive else None,
        base_model_name_or_path=draw(names),
        revision=draw(names),
        tempo_version=draw(names),
        provenance=draw(st.dictionaries(words, some_json, max_size=3)),
    )


@st.composite
def steered(draw):
    """Every field that mode "steer" has a choice of."""
    return AttnScaleConfig(
        mode="steer",
        strength=draw(st.floats(-100, 100)),
        layers=draw(st.lists(st.integers(-6, 5), min_size=1, unique=True)),
        directions=directions(range(12), 4, seed=draw(st.integers(0, 3))),
        queries=draw(some(QUERIES)),
        keywords=draw(st.lists(words, min_size=1, max_size=4, unique=True)),
        provenance=draw(st.dictionaries(words, some_json, max_size=3)),
    )


@st.composite
def enrichments(draw):
    """Every field that mode "enrich" has a choice of."""
    names = st.none() | words
    return AttnScaleConfig(
        mode="enrich",
        strength=draw(st.floats(0, 1)),
        layers=draw(st.lists(st.integers(-9, 9), min_size=1, unique=True)),
        source=draw(st.integers(-40, 40)),
        queries=draw(some(QUERIES)),
        keywords=draw(st.lists(words, min_size=1, max_size=4, unique=True)),
        base_model_name_or_path=draw(names),
        revision=draw(names),
        tempo_version=draw(names),
        provenance=draw(st.dictionaries(words, some_json, max_size=3)),
    )


@given(configs())
def test_json_and_back_is_the_same_configuration(config):
    assert AttnScaleConfig.from_json(config.to_json()) == config
    assert AttnScaleConfig.from_dict(config.to_dict()) == config
    assert dataclasses.replace(config) == config


@given(configs(), words)
def test_fingerprint_is_of_the_edit_only(config, name):
    moved = dataclasses.replace(
        config, base_model_name_or_path=name, revision=name, tempo_version=name, provenance={"n": 1}
    )
    assert moved.fingerprint() == config.fingerprint()
    assert AttnScaleConfig.from_json(config.to_json()).fingerprint() == config.fingerprint()
    other = dataclasses.replace(config, layers=[10, 11], heads=None)  # no strategy draws these
    assert other.fingerprint() != config.fingerprint()


@given(enrichments())
def test_fingerprint_is_of_the_source_too(config):
    other = dataclasses.replace(config, source=config.source + 1)
    assert other.fingerprint() != config.fingerprint()


def test_fingerprint_does_not_depend_on_spelling():
    one = AttnScaleConfig(strength=2, layers=[20, 9], queries="last+keyword", keywords=["a", "b"])
    same = AttnScaleConfig(
        strength=2.0, layers=(9, 20), queries=["keyword", "last"], keywords=["b", "a"]
    )
    assert one.fingerprint() == same.fingerprint()
    assert AttnScaleConfig(strength=-0.0).fingerprint() == AttnScaleConfig(strength=0).fingerprint()
    # Changes of any of these are changes of the edit; unused keywords are not.
    for field, value in {
        "mode": "scale_preserving",
        "strength": 2.5,
        "heads": [0],
        "queries": "keyword",
        "keywords": ["a"],
        "keys": "transcript",
        "phase": "all",
    }.items():
        assert dataclasses.replace(one, **{field: value}).fingerprint() != one.fingerprint(), field
    last = AttnScaleConfig(strength=2.0, keywords=["a"])
    assert last.fingerprint() == AttnScaleConfig(strength=2.0).fingerprint()


def test_fingerprint_is_pinned():
    """Results already written refer to it: it must not change with the library."""
    assert AttnScaleConfig.paper("desta2.5").fingerprint() == (
        "778adbcb0b82ccc14188a4bbd79d8f1f2d062406d9461b191a888fcd0df33fb6"
    )


@pytest.mark.parametrize(
    ("config", "start"),
    [
        (AttnScaleConfig(strength=2.0), "55dda27971121c77"),
        (AttnScaleConfig(mode="knockout", layers=[3, -1], heads=[0, 2]), "70915270b98c43b2"),
        (
            AttnScaleConfig(
                mode="upweight",
                strength=-1.5,
                layers=[4],
                heads={4: [1]},
                queries="last+keyword",
                keywords=["b", "a"],
            ),
            "507ef47c58217a78",
        ),
        (AttnScaleConfig.adaptvis(), "5064031f76cfa06b"),
        (
            AttnScaleConfig(
                mode="upweight_matched",
                strength=0.5,
                keys="audio+transcript",
                phase="all",
                queries="all_text",
            ),
            "5c437351bdbdd28d",
        ),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_without_a_source_the_fingerprint_is_what_it_was_before_there_were_sources(config, start):
    """Computed with the last version that had no field `source`."""
    assert config.source is None
    assert config.fingerprint().startswith(start)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strength": None}, "strength is None; expected a number: mode 'scale' needs one"),
        ({"strength": True}, "strength is True; expected a finite number"),
        ({"strength": "2"}, "strength is '2'; expected a finite number"),
        ({"strength": math.nan}, "strength is nan; expected a finite number"),
        ({"strength": math.inf}, "strength is inf; expected a finite number"),
        ({"strength": 10**5000}, "strength is a huge int; expected a finite number"),
        ({"strength": -1}, "strength is -1.0; expected 0 or more"),
        ({"strength": -1, "mode": "scale_preserving"}, "reverses the order"),
        ({"mode": "knockout"}, "strength is 2.0; expected None: knockout"),
        ({"mode": "scael"}, "mode is 'scael'; .*Did you mean 'scale'?"),
        ({"mode": ["scale"]}, "mode is .* expected one of"),
        ({"layers": []}, "layers is .*non-empty"),
        ({"layers": 20}, "layers is 20; expected a non-empty list"),
        ({"layers": "20"}, "layers is '20'; expected 'all' or a list"),
        ({"layers": [1, 1]}, "layers is .* 1 is repeated"),
        ({"layers": [1.0]}, "not 1.0"),
        ({"layers": [True]}, "not True"),
        ({"layers": [10**9]}, "layers is"),
        ({"heads": [-1]}, "heads is .* from 0 up, not -1"),
        ({"heads": []}, "heads is"),
        ({"heads": "all"}, "heads is 'all'; expected None, a list of heads, or a dict"),
        ({"heads": {}}, "heads"),
        ({"heads": {"20": [1]}, "layers": [20]}, "heads .* not '20'"),
        ({"heads": {20: []}}, r"heads\[20\] is .*non-empty"),
        ({"heads": {21: [1]}, "layers": [20]}, r"heads is .*only layers of \[20\]"),
        ({"queries": []}, "queries is .*at least one of"),
        ({"queries": "last+lst"}, "queries is 'lst'; .*Did you mean 'last'?"),
        ({"queries": "last+last"}, "repeated"),
        ({"queries": ["last", 1]}, "queries is 1"),
        ({"keys": "text"}, "keys is 'text'; expected one of 'audio', 'transcript'"),
        ({"keywords": "earliest"}, "keywords is 'earliest'; expected a list of strings"),
        ({"keywords": [], "queries": "keyword"}, "keywords is .*queries has 'keyword'"),
        ({"keywords": [" "]}, r"keywords\[0\] is ' '; .*not blank"),
        ({"keywords": ["a", "a"]}, "repeated"),
        ({"keywords": ["a\0"]}, r"control characters \(U\+0000\)"),
        ({"phase": "decode"}, "phase is 'decode'; expected one of 'prefill', 'all'"),
        ({"phase": "all", "queries": "keyword+option"}, "no other row exists in a decoding step"),
        ({"adaptive": Adaptive(0.3, 0.5, 1.5)}, "it brings its own strengths"),
        ({"adaptive": Adaptive(0.3, 0.5, 1.5), "mode": "knockout", "strength": None}, "its own"),
        ({"adaptive": (0.3, 0.5, 1.5), "strength": None}, "adaptive is .* expected None or Adap"),
        ({"adaptive": Adaptive(1.0, 0.5, 1.5), "strength": None}, r"adaptive.threshold is 1.0"),
        ({"adaptive": Adaptive(0.3, -0.5, 1.5), "strength": None}, "adaptive.low is -0.5"),
        ({"adaptive": Adaptive(0.3, 0.5, math.nan), "strength": None}, "adaptive.high is nan"),
        ({"base_model_name_or_path": "a\nb"}, r"base_model_name_or_path is 'a\\nb'"),
        ({"base_model_name_or_path": "x" * 513}, "at most 512 characters, not 513"),
        ({"base_model_name_or_path": "gpj.\u202eexe"}, r"U\+202E"),
        ({"base_model_name_or_path": "\ud800"}, r"U\+D800"),
        ({"revision": ""}, "revision is ''; expected a string that is not blank"),
        ({"tempo_version": 1}, "tempo_version is 1; expected a string"),
        ({"provenance": None}, "provenance is None; expected a dict of JSON values"),
        ({"provenance": {"gain": math.nan}}, r"provenance\['gain'\] is nan; expected a finite"),
        ({"provenance": {"n": 10**19}}, "at most 19 digits"),
        ({"provenance": {1: 2}}, "strings as keys"),
        ({"provenance": {"when": {1, 2}}}, "a JSON value, not set"),
        ({"provenance": {"note": "\udcff"}}, "surrogate"),
    ],
)
def test_what_is_wrong_is_named(fields, message):
    with pytest.raises(ConfigError, match=message):
        AttnScaleConfig(**({"strength": 2.0} | fields))


def test_provenance_that_contains_itself_is_refused():
    provenance = {}
    provenance["again"] = provenance
    with pytest.raises(ConfigError, match="nested deeper than 32"):
        AttnScaleConfig(strength=2.0, provenance=provenance)


def test_stored_form():
    config = AttnScaleConfig(
        strength=np.float32(2),
        layers=[20, np.int64(21), -1],
        queries="option + last",
        heads={21: (3, 1), 20: [0]},
        provenance={"interval": (0.1, np.float64(0.2))},
    )
    assert (config.strength, config.layers) == (2.0, [-1, 20, 21])
    assert config.queries == ["last", "option"]
    assert config.heads == {20: [0], 21: [1, 3]}
    assert config.provenance == {"interval": [0.1, 0.2]}
    json.dumps(config.to_dict())


def test_fields_set_later_are_checked_when_asked_and_when_saved():
    config = AttnScaleConfig(strength=2.0)
    config.strength = -2.0
    with pytest.raises(ConfigError, match=r"strength is -2\.0"):
        config.validate()
    with pytest.raises(ConfigError, match=r"strength is -2\.0"):
        config.to_json()


def test_a_copy_shares_nothing():
    config = AttnScaleConfig(strength=2.0, layers=[1], provenance={"seeds": [1]})
    copy = dataclasses.replace(config)
    copy.layers.append(2)
    copy.provenance["seeds"].append(2)
    assert (config.layers, config.provenance) == ([1], {"seeds": [1]})


def test_identity():
    assert AttnScaleConfig(strength=1).is_identity
    assert AttnScaleConfig(mode="scale_preserving", strength=1).is_identity
    assert AttnScaleConfig(mode="upweight", strength=0).is_identity
    assert AttnScaleConfig(mode="upweight_relative", strength=-0.0).is_identity
    assert AttnScaleConfig(adaptive=Adaptive(0.5, 1, 1)).is_identity
    assert not AttnScaleConfig(strength=0).is_identity
    assert not AttnScaleConfig(mode="upweight", strength=1).is_identity
    assert not AttnScaleConfig(mode="knockout").is_identity
    assert not AttnScaleConfig(adaptive=Adaptive(0.5, 1, 1.5)).is_identity


def test_layers_and_heads_of_a_model():
    config = AttnScaleConfig(strength=2.0, layers=[20, -1], heads={-1: [5, 0]})
    assert config.resolve_layers(28) == [20, 27]
    assert config.resolve_heads(28, 8) == {20: None, 27: [0, 5]}
    assert AttnScaleConfig(strength=2.0).resolve_heads(2, 8) == {0: None, 1: None}
    assert AttnScaleConfig(strength=2.0, heads=[7]).resolve_heads(2, 8) == {0: [7], 1: [7]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"layers": [28]},
            r"layer 28 is out of range: .*for o/m\) has 28 layers; expected 0 to 27",
        ),
        ({"layers": [-29]}, "layer -29 is out of range"),
        ({"layers": [27, -1]}, "every layer of 28 once"),
        ({"heads": [8]}, "head 8 of layer 0 is out of range: .* 8 query heads a layer; .* 0 to 7"),
        ({"heads": {27: [1], -1: [2]}}, "every layer of 28 once"),
        ({"heads": {99: [1]}}, "layer 99 is out of range"),
    ],
)
def test_a_model_that_is_too_small(fields, message):
    config = AttnScaleConfig(strength=2.0, base_model_name_or_path="o/m", **fields)
    with pytest.raises(ConfigError, match=message):
        config.resolve_heads(28, 8)


def test_unknown_fields_are_dropped_with_one_warning():
    values = AttnScaleConfig.adaptvis().to_dict() | {"tempo_version": "9.9", "sink": 1, "α": 2}
    values["adaptive"]["middle"] = 1.0
    with pytest.warns(UserWarning, match=r"here: ignored unknown fields 'sink'") as caught:
        config = AttnScaleConfig.from_dict(values, where="here")
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "'adaptive.middle'" in message
    assert "written by tempo-lalm '9.9'" in message
    assert f"this is {library_version()}" in message
    assert dataclasses.replace(config, tempo_version=None) == AttnScaleConfig.adaptvis()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strength": "2"}, "here: strength is '2'; expected a finite number"),
        ({"strength": 1, "heads": {"x": [1]}}, "here: heads"),
        ({"strength": 1, "heads": {"9": [1], "09": [2]}}, "here: heads is '09'; .*every key once"),
        ({"adaptive": {"low": 1}}, "here: adaptive is .*the fields threshold, high too"),
        ({"adaptive": [1, 2, 3]}, "here: adaptive is"),
        ({"strength": 1, "keywords": None}, "here: keywords is None; expected a list"),
    ],
)
def test_errors_in_a_file_name_the_file(values, message):
    with pytest.raises(ConfigError, match=message):
        AttnScaleConfig.from_dict(values, where="here")


def test_every_field_has_a_help_sentence():
    for field in dataclasses.fields(AttnScaleConfig) + dataclasses.fields(Adaptive):
        assert field.metadata["help"].endswith("."), field.name


def test_the_example_in_the_docstring_runs():
    result = doctest.testmod(config_module)
    assert result.attempted >= 4
    assert result.failed == 0

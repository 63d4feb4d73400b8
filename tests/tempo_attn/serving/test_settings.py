"""Which configurations a server has."""

import pytest

from tempo_attn import Adaptive, AttnScaleConfig
from tempo_attn.errors import ConfigError, OptionError
from tempo_attn.serving.settings import (
    DEFAULT,
    ON_MISSING,
    SOURCES,
    Settings,
    is_asked_for,
    named_sources,
    read_settings,
)
from tests.support.steered_by_hand import steer


@pytest.fixture
def folders(tmp_path):
    for name, strength in (("weak", 0.5), ("strong", 2.0)):
        AttnScaleConfig(strength=strength, layers=[0]).save_pretrained(tmp_path / name)
    return tmp_path


def test_a_server_edits_only_where_it_is_asked_to():
    assert not is_asked_for({})
    assert not is_asked_for({SOURCES: "  "})
    assert is_asked_for({SOURCES: "folder"})


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("edits/weak", {"default": "edits/weak"}),
        ("owner/name", {"default": "owner/name"}),
        ("weak=edits/a, strong=owner/b", {"weak": "edits/a", "strong": "owner/b"}),
        ("a=b=c", {"a": "b=c"}),
        ("/an/odd=folder", {"default": "/an/odd=folder"}),
    ],
)
def test_sources_have_names(text, sources):
    assert named_sources(text) == sources


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" , ", "is empty"),
        ("a=x,y", "'y' has no name"),
        ("a=x,a=y", "names 'a' twice"),
        ("none=x", "'none' means no edit"),
        ("a=", "'a' has no folder"),
        ("readme.md=x", "cannot be used"),
    ],
)
def test_wrong_sources_are_refused(text, message):
    with pytest.raises(OptionError, match=message):
        named_sources(text)


def test_the_only_configuration_is_the_default(folders):
    settings = read_settings({SOURCES: str(folders / "weak")})
    assert settings.choose(None) == "default"
    assert settings.choose("none") is None
    with pytest.raises(OptionError, match="'weak'; expected one of default, none"):
        settings.choose("weak")


def test_among_several_a_request_has_to_choose(folders):
    sources = f"weak={folders / 'weak'},strong={folders / 'strong'}"
    settings = read_settings({SOURCES: sources})
    with pytest.raises(OptionError, match="no default one: expected one of weak, strong, none"):
        settings.choose(None)
    assert settings.choose("strong") == "strong"
    with pytest.raises(OptionError, match="Did you mean 'strong'"):
        settings.choose("strnog")
    with pytest.raises(OptionError, match="expected one of"):
        settings.choose(3)
    assert read_settings({SOURCES: sources, DEFAULT: "weak"}).choose(None) == "weak"
    assert read_settings({SOURCES: sources, DEFAULT: "none"}).choose(None) is None
    with pytest.raises(OptionError, match="TEMPO_ATTN_SCALE_DEFAULT is 'week'"):
        read_settings({SOURCES: sources, DEFAULT: "week"})


def test_other_processes_get_what_the_first_one_loaded(folders):
    environment = {SOURCES: str(folders / "weak"), ON_MISSING: "skip"}
    first = read_settings(environment)
    AttnScaleConfig(strength=9.0).save_pretrained(folders / "weak")  # changed meanwhile
    assert read_settings(environment) == first
    assert first.configurations["default"].strength == 0.5
    assert first.skip_missing


def test_settings_survive_their_journey():
    config = AttnScaleConfig(mode="upweight", strength=-1, heads={0: [1]}, layers=[0, 2])
    settings = Settings({"a": config}, None, True)
    assert Settings.from_json(settings.to_json()) == settings


def test_a_wrong_on_missing_is_refused(folders):
    with pytest.raises(OptionError, match="'ignore'; expected 'raise' or 'skip'"):
        read_settings({SOURCES: str(folders / "weak"), ON_MISSING: "ignore"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (AttnScaleConfig(mode="enrich", strength=0.1, source=0, layers=[2]), "mode 'enrich'"),
        (steer(), "mode 'steer', which changes hidden states between layers; a server edits att"),
        (AttnScaleConfig(adaptive=Adaptive(0.5, 0.5, 2.0)), "adaptive"),
        (AttnScaleConfig(strength=2, keys="audio+transcript"), "positions of audio only"),
    ],
)
def test_what_a_server_cannot_do_is_refused(tmp_path, config, message):
    config.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=message):
        read_settings({SOURCES: str(tmp_path)})

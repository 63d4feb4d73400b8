"""Published settings: their values, sources, and what is said about an unknown name."""

import pytest

from tempo_attn.adaptive import Adaptive
from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import ConfigError
from tempo_attn.presets import PAPER_MODELS


def test_presets_have_the_published_values():
    flamingo = AttnScaleConfig.paper("audio-flamingo-3")
    assert (flamingo.mode, flamingo.strength, flamingo.layers) == ("scale", 2.0, [20])
    assert flamingo.queries == ["last", "keyword"]
    desta = AttnScaleConfig.paper("desta2.5", queries="last")
    assert (desta.strength, desta.layers, desta.queries) == (0.2, [9], ["last"])
    assert desta.base_model_name_or_path == "DeSTA-ntu/DeSTA2.5-Audio-Llama-3.1-8B"
    multiply, add = AttnScaleConfig.mata(), AttnScaleConfig.mata("add")
    assert (multiply.mode, multiply.strength) == ("scale", 1.1)
    assert (add.mode, add.strength) == ("upweight", 0.1)
    assert multiply.layers == add.layers == list(range(10, 21))
    assert multiply.phase == add.phase == "all"
    assert multiply.provenance["formula"] == add.provenance["other_reading"]
    pai = AttnScaleConfig.pai()
    assert (pai.mode, pai.strength, pai.phase) == ("upweight_relative", 0.2, "all")
    assert pai.layers == list(range(2, 32))
    adaptvis = AttnScaleConfig.adaptvis()
    assert adaptvis.adaptive == Adaptive(threshold=0.3, low=0.5, high=1.5)
    assert (adaptvis.strength, adaptvis.layers, adaptvis.phase) == (None, "all", "prefill")
    for preset in (flamingo, desta, multiply, add, pai, adaptvis):
        assert preset.provenance["source"].startswith("arXiv:")
        assert not preset.is_identity


def test_unknown_presets_say_what_there_is():
    with pytest.raises(ConfigError, match=r"Did you mean 'desta2\.5'\?") as caught:
        AttnScaleConfig.paper("DeSTA2.5-Audio")
    assert all(name in str(caught.value) for name in PAPER_MODELS)
    with pytest.raises(ConfigError, match="formula is 'times'; expected one of 'multiply', 'add'"):
        AttnScaleConfig.mata("times")

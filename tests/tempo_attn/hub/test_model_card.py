"""The model card: valid YAML with what the Hub reads, and no text in it that can do harm."""

import ast
import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn.adaptive import Adaptive
from tempo_attn.config import AttnScaleConfig
from tempo_attn.hub.model_card import MARK, TAGS, is_ours, model_card, plain
from tempo_attn.modes import MODES
from tests.support.steered_by_hand import directions

HOSTILE = [
    "---\nlicense: stolen\n---\n",
    "<script>alert(1)</script>",
    "a | b | c",
    "```\n# heading\n```",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "{mark} {0} %s",
    "&lt;img src=x onerror=alert(1)&gt;",
    "www.evil.example",
]


def parts(card):
    """Front matter and body of a card's text."""
    _, front, body = re.split(r"^---\n", str(card), maxsplit=2, flags=re.MULTILINE)
    return yaml.safe_load(front), body


def block(body, language):
    return re.search(rf"^```{language}\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)[1]


def cells(body, name):
    row = next(line for line in body.split("\n") if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_front_matter_of_a_preset():
    front, body = parts(model_card({"default": AttnScaleConfig.paper("audio-flamingo-3")}))
    assert front == {
        "base_model": "nvidia/audio-flamingo-3-hf",
        "base_model_relation": "adapter",
        "library_name": "tempo-lalm",
        "pipeline_tag": "audio-text-to-text",
        "tags": TAGS,
    }
    assert "(https://huggingface.co/nvidia/audio-flamingo-3-hf)" in body
    queries = "last, keyword (earliest, latest, longest)"
    assert cells(body, "default")[1:] == ["scale", "2.0", "20", "all", queries, "audio", "prefill"]


@pytest.mark.parametrize("base", [None, "/home/user/model", "../../etc/passwd", "model", "o/a b"])
def test_without_a_base_model_on_the_hub_the_card_is_valid(base):
    config = AttnScaleConfig(strength=2.0, base_model_name_or_path=base)
    front, body = parts(model_card({"default": config}))
    assert set(front) == {"library_name", "pipeline_tag", "tags"}
    assert ("Base model: not stated." in body) == (base is None)
    assert 'name = "owner/model"' in block(body, "python")
    assert "huggingface.co/" not in body


def test_provenance_fills_the_front_matter_where_it_fits():
    provenance = {
        "license": "cc-by-4.0",
        "datasets": ["gamma-lab-umd/temporal-lalm", "../up", "local folder", 3],
        "metric": {"name": "accuracy", "value": 0.5, "interval": [0.4, 0.6]},
        "metrics": ["fix_rate", "<b>", "two words"],
    }
    front, body = parts(model_card({"default": AttnScaleConfig(strength=2, provenance=provenance)}))
    assert front["license"] == "cc-by-4.0"
    assert front["datasets"] == ["gamma-lab-umd/temporal-lalm"]
    assert front["metrics"] == ["fix_rate", "accuracy"]
    assert json.loads(block(body, "json")) == provenance


def test_a_license_that_the_hub_does_not_list():
    config = AttnScaleConfig(strength=2, provenance={"license": "our-lab-1.0"})
    front, _ = parts(model_card({"default": config}))
    assert (front["license"], front["license_name"]) == ("other", "our-lab-1.0")


def test_how_it_was_chosen_may_not_be_stated():
    _, body = parts(model_card({"default": AttnScaleConfig(strength=2.0)}))
    assert "## How it was chosen\n\nNot stated." in body
    assert AttnScaleConfig(strength=2.0).fingerprint() in body


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_its_maths(mode):
    strength = None if mode == "knockout" else 0.5
    places = {"enrich": {"source": 1}, "steer": {"directions": directions()}}.get(mode)
    places = {} if places is None else places | {"layers": [3]}
    config = AttnScaleConfig(mode=mode, strength=strength, **places)
    _, body = parts(model_card({"default": config}))
    symbol = "h" if places else "L"
    maths = rf"^- \*\*{mode}\*\*: {symbol} ← .+ — .+\.$"
    assert len(re.findall(maths, body, re.MULTILINE)) == 1
    assert body.count("- **") == 1


def test_what_is_edited_is_in_the_table():
    head_map = AttnScaleConfig(
        mode="upweight",
        adaptive=Adaptive(0.3, 0.5, 1.5),
        layers=[9, -1],
        heads={9: [1, 4]},
        phase="all",
        keys="audio+transcript",
    )
    card = model_card({"default": head_map, "b": AttnScaleConfig(mode="knockout", heads=[2])})
    front, body = parts(card)
    assert front["tags"] == TAGS
    row = cells(body, "default")
    assert "0.5 where the first generated token" in row[2]
    assert "below 0.3, else 1.5" in row[2]
    assert row[3:5] == ["-1, 9", "layer 9: 1, 4; other layers: all"]
    assert row[6:] == ["audio, transcript", "prefill and every decoding step"]
    assert cells(body, "b")[1:5] == ["knockout", "none", "all", "2"]


def test_where_directions_are_is_said():
    plain = AttnScaleConfig(strength=2.0, layers=[20])
    steered = AttnScaleConfig(mode="steer", strength=-1, layers=[3], directions=directions())
    _, without = parts(model_card({"default": plain}))
    _, body = parts(model_card({"default": plain, "b": steered}))
    assert "attn_scale_directions.safetensors" in body
    assert "attn_scale_directions.safetensors" not in without
    assert cells(body, "b")[1:5] == ["steer", "-1.0", "3", "all"]


def test_the_source_of_an_enrichment_is_in_the_table():
    early = AttnScaleConfig(mode="enrich", strength=0.3, layers=[20, 24], source=-30)
    scale = AttnScaleConfig(strength=2.0, layers=[20])
    _, body = parts(model_card({"default": early, "loud": scale}))
    assert cells(body, "default")[1:5] == ["enrich from layer -30", "0.3", "20, 24", "all"]
    assert cells(body, "loud")[1] == "scale"
    assert "attention, or of its states between layers" in body


def test_the_snippet_is_python_for_this_adapter():
    config = AttnScaleConfig.paper("desta2.5")
    config.revision = "abc"
    code = block(parts(model_card({"default": config}, repo_id="me/adapter"))[1], "python")
    ast.parse(code)
    assert 'name = "DeSTA-ntu/DeSTA2.5-Audio-Llama-3.1-8B"' in code
    assert code.count('from_pretrained(name, revision="abc")') == 2
    assert 'AttnScaleModel.from_pretrained(base, "me/adapter")' in code
    named = block(parts(model_card({"loud": config}, repo_id="me/adapter"))[1], "python")
    ast.parse(named)
    assert 'AttnScaleConfig.from_pretrained("me/adapter", subfolder="loud")' in named


def check_harmless(config, repo_id=None):
    """The card has the structure of one with harmless texts."""
    text = str(model_card({"default": config}, repo_id=repo_id))
    front, body = parts(text)
    known = {"library_name", "pipeline_tag", "tags", "metrics", "license", "license_name"}
    assert set(front) <= known
    assert front.get("license", "other") == "other"
    assert is_ours(text)
    lines = body.split("\n")
    assert [line for line in lines if line.startswith("#")] == [
        "# Attention scaling adapter",
        "## What is edited",
        "## How it was chosen",
        "## How to use it",
        "## Limits",
    ]
    assert [line for line in lines if line.startswith("```")] == (
        ["```json", "```", "```python", "```"] if config.provenance else ["```python", "```"]
    )
    assert "---" not in lines
    assert len(cells(body, "default")) == 8
    outside = re.sub(r"^```.*?^```$", "", body.replace(MARK, ""), flags=re.MULTILINE | re.DOTALL)
    assert "<" not in body.replace(MARK, "")
    assert "](" not in outside
    assert "www." not in outside
    assert "://" not in outside
    if config.provenance:
        assert json.loads(block(body, "json")) == config.provenance
    ast.parse(block(body, "python"))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_texts(text):
    line = text.replace("\n", " ")
    config = AttnScaleConfig(
        strength=2.0,
        queries="keyword",
        keywords=[line],
        base_model_name_or_path=line,
        revision=line,
        provenance={text: [text, {"license": text}], "license": text, "metric": text},
    )
    check_harmless(config, repo_id=text)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_text_stays_text(text):
    check_harmless(AttnScaleConfig(strength=2.0, provenance={"note": text}), repo_id=text)
    assert re.fullmatch(r"(?:[^\W_]|[ ,/-]|&#[0-9]+;)*", plain(text))


def test_whose_card_it_is():
    card = str(model_card({"default": AttnScaleConfig(strength=2.0)}))
    assert is_ours(card)
    assert is_ours(card.replace("\n", "\r\n"))
    assert not is_ours(card.replace(MARK, ""))
    assert not is_ours(card.replace("library_name: tempo-lalm", "library_name: peft"))
    assert not is_ours(f"# Mine\n\nlibrary_name: tempo-lalm\n{MARK}")

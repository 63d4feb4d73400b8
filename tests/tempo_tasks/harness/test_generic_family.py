"""`family=generic`: models of transformers that tempo has no file of.

They are those that it has one of, with the file taken away: so scores can be compared.
"""

import json
from types import SimpleNamespace

import pytest

from tempo_attn import AttnScaleConfig, apply_attn_scale, families
from tempo_attn.errors import (
    NoAudioTokenError,
    OptionError,
    UnknownFamilyError,
    UnsupportedModelError,
)
from tempo_attn.families import get_family
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.tiny import WEIGHTS_DIR
from tests.support.tiny_checkpoints import CHECKPOINTS, save

TEXT = "<audio>which is last?\na. bell\nb. horn"
NAMES = sorted({"audioflamingo3", "qwen3_asr"} & CHECKPOINTS.keys())


@pytest.fixture
def unknown(monkeypatch):
    """A function that makes a type of model unknown."""

    def forget(*names):
        left = {k: family for k, family in families._BY_TYPE.items() if k not in names}
        monkeypatch.setattr(families, "_BY_TYPE", left)

    return forget


@pytest.fixture(scope="module")
def flamingo(tmp_path_factory):
    return save("audioflamingo3", tmp_path_factory.mktemp("flamingo"))


def scores(lm, clips):
    requests = [
        SimpleNamespace(doc={}, args=(TEXT + " or" * n, answer, {"audio": [clip]}))
        for n, clip in enumerate(clips)
        for answer in "ab"
    ]
    return [score for score, _ in lm.loglikelihood(requests, disable_tqdm=True)]


@pytest.mark.parametrize("edit", [None, AttnScaleConfig(strength=3.0)], ids=["plain", "edit"])
@pytest.mark.parametrize("name", NAMES)
def test_it_scores_as_the_family_does(name, edit, clips, tmp_path, unknown):
    folder, clips = str(save(name, tmp_path)), clips[1:2]  # of a second, which is a whole window
    more = {"batch_size": 2, "dtype": "float32", "attn_scale": edit}
    own = scores(LALM(folder, **more), clips)
    unknown(name)
    lm = LALM(folder, family="generic", **more)
    assert lm.get_model_info()["tempo"]["family"] == "generic"
    assert scores(lm, clips) == pytest.approx(own, abs=1e-4)
    if edit is not None:
        assert lm.model.status().prefills[0] > 0


def test_the_wrapper_and_the_laboratory_know_what_was_chosen(flamingo, unknown):
    from tempo_attn.lab.engine.model_under_study import ModelUnderStudy

    unknown("audioflamingo3")
    lm = LALM(str(flamingo), family="generic")
    assert ModelUnderStudy(lm.model, lambda items: {}).family.name == "generic"
    apply_attn_scale(lm.model, AttnScaleConfig(strength=2.0)).unload()


def test_without_it_an_unknown_type_is_refused(flamingo, unknown):
    unknown("audioflamingo3")
    with pytest.raises(UnknownFamilyError, match="family=generic may work"):
        LALM(str(flamingo))
    with pytest.raises(OptionError, match="is not of it; family=generic may work"):
        LALM(str(flamingo), family="qwen2-audio")


@pytest.mark.parametrize("name", ["voxtral", "generic"])
def test_another_family_than_the_checkpoints_is_refused(name):
    with pytest.raises(OptionError, match="is of the family 'qwen2-audio'; leave family out"):
        LALM(str(WEIGHTS_DIR), family=name)
    assert get_family(SimpleNamespace(model_type="qwen2_audio"), "qwen2-audio")


def test_a_misspelt_family_is_refused():
    with pytest.raises(OptionError, match="Did you mean 'voxtral'"):
        LALM(str(WEIGHTS_DIR), family="voxtrol")


def test_a_refused_type_stays_refused():
    with pytest.raises(UnsupportedModelError, match="cross-attention"):
        get_family(SimpleNamespace(model_type="whisper"), "generic")


def changed(folder, file, **values):
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_template_without_audio_is_refused_before_weights_load(tmp_path, unknown):
    folder = save("audioflamingo3", tmp_path)
    unknown("audioflamingo3")
    for file in folder.glob("*.safetensors"):
        file.unlink()
    texts = "{% for part in messages[0]['content'] %}{{ part['text'] }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(texts)
    with pytest.raises(UnsupportedModelError, match="of 1 clips has 0 times '<sound>'"):
        LALM(str(folder), family="generic")
    clips = texts.replace(
        "{{ part['text'] }}", "{% if part['type'] == 'audio' %}<sound>{% endif %}"
    )
    (folder / "chat_template.jinja").write_text(clips)
    with pytest.raises(UnsupportedModelError, match="leaves the question out"):
        LALM(str(folder), family="generic")
    (folder / "chat_template.jinja").write_text("{{ raise_exception('text only') }}")
    with pytest.raises(UnsupportedModelError, match=r"cannot be rendered: .*text only"):
        LALM(str(folder), family="generic")


def test_a_processor_without_audio_is_refused_before_weights_load(tmp_path, unknown):
    folder = save("audioflamingo3", tmp_path)
    unknown("audioflamingo3")
    for file in (*folder.glob("*.safetensors"), folder / "processor_config.json"):
        file.unlink()
    changed(folder, "tokenizer_config.json", processor_class=None)
    # Only a tokenizer is found then.
    (folder / "config.json").write_text('{"model_type": "llama", "audio_token_id": 95}')
    with pytest.raises(UnsupportedModelError, match="no feature extractor"):
        LALM(str(folder), family="generic")


def test_a_model_without_an_audio_token_is_refused(tmp_path, unknown):
    folder = save("audioflamingo3", tmp_path)
    unknown("audioflamingo3")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(NoAudioTokenError, match="audio_token_id"):
        LALM(str(folder), family="generic")

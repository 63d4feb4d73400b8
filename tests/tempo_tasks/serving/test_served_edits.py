"""Edits of attention on a server: chosen, checked for every answer, and never silently left out."""

import json

import pytest

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import EditNotAppliedError, OptionError
from tempo_tasks.errors import CacheMismatchError
from tests.support.audio_server import audio_server

CONFIG = AttnScaleConfig(strength=2.0, layers=[1])
OTHER = AttnScaleConfig(strength=0.5, layers=[1])
PROOF = 3


def listed(default=None, **configurations):
    return {
        "tempo_attn": "0.1.0",
        "vllm": "0.32.0",
        "model": "hearing-model",
        "default": default,
        "totals": {"requests": 0, "edited_rows": 0},
        "configurations": {
            name: {"sha256": config.fingerprint(), "config": config.to_dict()}
            for name, config in configurations.items()
        },
    }


def xargs(server):
    return [body.get("vllm_xargs") for body, _ in server.asked]


def test_an_edit_by_name_is_asked_for_and_counted(ask):
    with audio_server(edits=listed(half=OTHER, twice=CONFIG)) as server:
        plain, lm = ask(server)
        assert xargs(server) == [{"tempo_attn_scale": "none"}] * (PROOF + 8)
        assert lm.get_model_info()["tempo"]["attn_scale"] is None
        server.asked.clear()
        edited, lm = ask(server, attn_scale="twice")
        assert edited != plain
    # Hearing is proved by the plain model: a knockout is deaf by intent.
    assert xargs(server)[:PROOF] == [{"tempo_attn_scale": "none"}] * PROOF
    assert xargs(server)[PROOF:] == [{"tempo_attn_scale": "twice"}] * 8
    ids = {headers["x-request-id"] for _, headers in server.asked}
    assert len(ids) == PROOF + 8
    told = lm.get_model_info()["tempo"]
    assert told["attn_scale"]["sha256"] == CONFIG.fingerprint()
    assert told["attn_scale"]["strength"] == 2.0
    assert told["traffic"]["edited_rows"] == 4 * 8
    assert told["served"]["plugin"] == {"tempo_attn": "0.1.0", "vllm": "0.32.0"}
    assert told["attn_scale_by_default"] is None


def test_an_edit_by_folder_is_found_by_its_hash(served, tmp_path):
    CONFIG.save_pretrained(tmp_path / "mine")
    with audio_server(edits=listed(half=OTHER, served=CONFIG)) as server:
        assert served(server, attn_scale=str(tmp_path / "mine")).edit == "served"
    with (
        audio_server(edits=listed(mine=OTHER)) as server,
        pytest.raises(OptionError, match=CONFIG.fingerprint()[:12]),
    ):
        served(server, attn_scale=str(tmp_path / "mine"))


def test_what_the_server_does_not_have_is_refused(served):
    with audio_server() as server, pytest.raises(OptionError, match="no /tempo/edits"):
        served(server, attn_scale="half")
    with audio_server(edits=listed(half=OTHER)) as server:
        with pytest.raises(OptionError, match="Did you mean 'half'"):
            served(server, attn_scale="halv")
        assert served(server, attn_scale="none").edit is None
    with (
        audio_server(edits={"configurations": ["half"]}) as server,
        pytest.raises(EditNotAppliedError, match="same version"),
    ):
        served(server)


def test_a_default_edit_is_told_and_checked(served, caplog, requests_of):
    with audio_server(edits=listed("half", half=OTHER)) as server:
        lm = served(server)
        assert "edits attention by default, with 'half'" in caplog.text
        told = lm.get_model_info()["tempo"]
        assert told["attn_scale_by_default"] == "half"
        assert told["attn_scale"]["sha256"] == OTHER.fingerprint()
        assert served(server, attn_scale="none").edit is None
        server.skip_edit = True
        with pytest.raises(EditNotAppliedError):
            lm.generate_until(requests_of("tempo_synth_eo_aqa"))


def test_an_answer_without_the_edit_ends_the_run(ask):
    with (
        audio_server(edits=listed(half=OTHER), skip_edit=True) as server,
        pytest.raises(EditNotAppliedError, match="edited 0 rows with no configuration"),
    ):
        ask(server, attn_scale="half")


def test_an_answer_without_an_account_ends_the_run(ask, monkeypatch):
    monkeypatch.setattr("tempo_tasks.serving.served_edits._BETWEEN", 0.001)
    with audio_server(edits=listed(half=OTHER)) as server:
        forgets = type("Forgets", (dict,), {"__setitem__": lambda self, key, value: None})
        server.accounts = forgets()
        with pytest.raises(EditNotAppliedError, match="may be the plain model's"):
            ask(server, attn_scale="half")


def test_text_under_an_edit(ask):
    with audio_server(edits=listed(half=OTHER)) as server:
        with pytest.raises(OptionError, match="8 requests have no audio"):
            ask(server, "tempo_synth_eo_cqa", attn_scale="half")
        ask(server, "tempo_synth_eo_cqa", attn_scale="half", attn_scale_missing="warn")
        assert xargs(server) == [{"tempo_attn_scale": "none"}] * 8


def test_a_cache_is_of_one_edit(ask, tmp_path):
    with audio_server(edits=listed(half=OTHER, twice=CONFIG)) as server:
        ask(server, attn_scale="half", cache=tmp_path / "cache")
        with pytest.raises(CacheMismatchError, match="attn_scale"):
            ask(server, attn_scale="twice", cache=tmp_path / "cache")
        with pytest.raises(CacheMismatchError, match="attn_scale"):
            ask(server, cache=tmp_path / "cache")


def test_the_description_is_json(served):
    with audio_server(edits=listed("half", half=OTHER)) as server:
        json.dumps(served(server).get_model_info())

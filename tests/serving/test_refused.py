"""What cannot be edited is refused by name: a request by HTTP 400, a server at its start."""

import urllib.error

import pytest

from tempo_attn import AttnScaleConfig
from tests.support.served_edits import CONFIGS


def test_a_request_without_audio_is_refused(server):
    answer = server.ask("What is louder?", None, "scale-last")
    assert answer.status == 400
    assert "'scale-last' acts on audio and this request has none" in answer.error
    assert server.ask("What is louder?", None, None).status == 200


def test_a_prompt_without_a_row_is_refused(server, in_process):
    _, wave = in_process.items[0]
    answer = server.ask("<audio>What is this?", wave, "scale-keyword")
    assert answer.status == 400
    assert "none of the keywords" in answer.error
    assert "model.positions" not in answer.error


def test_an_unknown_configuration_is_refused(server, in_process):
    answer = server.ask(*in_process.items[0], "scale-lsat")
    assert answer.status == 400
    assert "Did you mean 'scale-last'" in answer.error


@pytest.mark.parametrize("edit", ["scale-last", None])
def test_a_beam_search_is_refused(server, in_process, edit):
    more = {"use_beam_search": True, "n": 2, "logprobs": False, "top_logprobs": None}
    answer = server.ask(*in_process.items[0], edit, **more)
    assert answer.status == 400
    assert "no beam search" in answer.error


@pytest.mark.parametrize("edit", ["scale-keyword", "unknown"])
def test_a_clip_that_was_refused_first_is_heard_afterwards(server, in_process, edit):
    text, wave = in_process.items[11]
    wave = wave[: 30_000 + 1_000 * len(edit)]  # a clip that this server has not seen
    assert server.ask("<audio>What is this?", wave, edit).status == 400
    expected, _ = in_process.ask(text, wave, "scale-option")
    assert server.ask(text, wave, "scale-option").letters == pytest.approx(expected, abs=1e-3)


def test_refused_requests_leave_the_engine_alive_and_are_counted(server, in_process):
    before = server.get("/tempo/edits")["totals"]
    server.ask("What is louder?", None, "scale-last")
    answer = server.ask(*in_process.items[0], "scale-option")
    after = server.get("/tempo/edits")["totals"]
    grown = {name: after[name] - before[name] for name in after}
    assert grown == {
        "requests": 1,
        "edited_requests": 1,
        "plain_requests": 0,
        "refused_requests": 1,
        "let_through_unedited": 0,
        "edited_prompts": 1,
        "edited_rows": answer.edits["edited_rows"],
    }


def test_the_server_says_what_it_has(server):
    about = server.get("/tempo/edits")
    assert about["model"] == "embedded"
    assert about["vllm"] == "0.32.0"
    assert about["default"] is None
    found = {name: entry["sha256"] for name, entry in about["configurations"].items()}
    assert found == {name: config.fingerprint() for name, config in CONFIGS.items()}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        server.get("/tempo/edits/unknown")


def test_a_server_that_cannot_edit_does_not_start(start, tmp_path):
    """Started by hand, without what `tempo serve` adds; layers would be compiled."""
    CONFIGS["heads"].save_pretrained(tmp_path)
    variables = {"TEMPO_ATTN_SCALE": str(tmp_path), "VLLM_TARGET_DEVICE": "cpu"}
    variables["VLLM_CPU_KVCACHE_SPACE"] = "1"
    log = start("refused", by_vllm=True, **variables).wait_until_refused()
    assert "attention cannot be edited on this server" in log
    assert "pass --enforce-eager" in log


def test_layers_that_the_model_has_not_are_refused_at_the_start(start, tmp_path):
    AttnScaleConfig(strength=2.0, layers=[6]).save_pretrained(tmp_path)
    refused = start("layers", ["--attn-scale", str(tmp_path)])
    assert "layer 6 is out of range" in refused.wait_until_refused()

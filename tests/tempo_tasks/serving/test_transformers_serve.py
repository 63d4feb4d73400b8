"""The embedded model through a real `transformers serve`: the answers of `lalm` in process."""

import sys
from pathlib import Path

import lm_eval
import pytest

from tempo_tasks.doctor.server_diagnosis import diagnose_server
from tempo_tasks.errors import LogprobsError
from tempo_tasks.serving.api_arguments import read_arguments
from tempo_tasks.serving.served_model import ServedModel
from tempo_tasks.tiny import WEIGHTS_DIR
from tests.support.real_servers import free_port, running

pytestmark = pytest.mark.slow
TASK = "tempo_synth_eo_aqa"
LIMIT = 40


@pytest.fixture(scope="module")
def base_url(tmp_path_factory):
    pytest.importorskip("uvicorn", reason="needs transformers[serving]: see Makefile")
    pytest.importorskip("fastapi", reason="needs transformers[serving]: see Makefile")
    port = free_port()
    program = Path(sys.executable).with_name("transformers")
    command = [str(program), "serve", "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path_factory.mktemp("serve") / "log"
    with running(command, log=log, health=f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}/v1"


def run(model, arguments, task=TASK):
    from lm_eval.tasks import TaskManager

    from tempo_tasks.paths import task_yamls_dir

    return lm_eval.simple_evaluate(
        model=model,
        model_args=arguments,
        tasks=[task],
        limit=LIMIT,
        bootstrap_iters=1,
        task_manager=TaskManager(include_defaults=False, include_path=task_yamls_dir()),
    )


def test_answers_are_those_in_process(base_url):
    served = run("lalm-api", {"base_url": base_url, "model": str(WEIGHTS_DIR), "num_concurrent": 4})
    here = run("lalm", {"pretrained": "embedded"})
    answers = [
        {sample["doc_id"]: sample["filtered_resps"] for sample in found["samples"][TASK]}
        for found in (served, here)
    ]
    assert len(answers[0]) == LIMIT
    assert answers[0] == answers[1]
    assert served["results"][TASK]["acc,none"] == here["results"][TASK]["acc,none"] > 0.7
    told = served["config"]["tempo"]
    assert told["pretrained"] == "embedded"
    assert told["served"]["server"] == "transformers"
    assert told["checks"]["hearing_proved_by"] == "prompt tokens"
    assert told["checks"]["first_clip_tokens"] > 100
    assert str(WEIGHTS_DIR) not in str(told)


def test_likelihoods_are_refused_by_name(base_url):
    with pytest.raises(LogprobsError, match="by generation"):
        run("lalm-api", {"base_url": base_url, "model": str(WEIGHTS_DIR)}, f"{TASK}_ll")


def test_the_doctor(base_url):
    arguments = read_arguments({"base_url": base_url, "model": str(WEIGHTS_DIR)})
    found = {f.name: f for f in diagnose_server(ServedModel(arguments)).findings}
    failed = [name for name, finding in found.items() if finding.status == "failed"]
    assert failed == ["logprobs_given"]
    assert found["reachable"].reason == "transformers"
    assert found["prompt_tokens_expected"].status == "passed"

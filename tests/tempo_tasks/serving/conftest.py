"""Tasks over few rendered scenes, and `lalm-api` on a server of the tests' own."""

from functools import cache

import lm_eval
import pytest
from lm_eval.api.model import CachingLM

from tempo_tasks.serving.chat import chat_text
from tempo_tasks.serving.lalm_api import LALMApi

QUICK = {"retry_wait": 0.01, "timeout": 60.0, "num_concurrent": 4}


@pytest.fixture(scope="session")
def manager():
    from lm_eval.tasks import TaskManager

    from tempo_tasks.paths import task_yamls_dir

    return TaskManager(
        include_defaults=False, include_path=task_yamls_dir(), metadata={"synth_scenes": 8}
    )


@pytest.fixture(autouse=True)
def without_pip_list_and_keys(monkeypatch):
    """Each `simple_evaluate` asks pip for all versions; and no key of the user's is sent here."""
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="session")
def requests_of(manager):
    """The requests of a task, as lm-eval makes them."""

    @cache
    def build(name, chat=False):
        (task,) = manager.load([name])["tasks"].values()
        more = (
            {"apply_chat_template": True, "chat_template": lambda turns, **_: chat_text(turns)}
            if chat
            else {}
        )
        task.build_all_requests(**more)
        return task.instances

    return build


@pytest.fixture
def ask(requests_of):
    """Asks a task's questions as lm-eval does; returns the answers and the model."""

    def run(server, task="tempo_synth_eo_aqa", cache=None, chat=False, **arguments):
        lm = LALMApi(base_url=server.base_url, **{**QUICK, **arguments})
        caching = lm if cache is None else CachingLM(lm, str(cache))
        requests = requests_of(task, chat)
        try:
            return getattr(caching, requests[0].request_type)(requests), lm
        finally:
            if cache is not None:
                caching.dbdict.close()

    return run


@pytest.fixture
def evaluate(manager):
    """Runs tasks on a server; returns lm-eval's results."""

    def run(server, *tasks, **arguments):
        return lm_eval.simple_evaluate(
            model="lalm-api",
            model_args={"base_url": server.base_url, **QUICK, **arguments},
            tasks=list(tasks) or ["tempo_synth_eo_aqa"],
            task_manager=manager,
            bootstrap_iters=1,
        )

    return run


@pytest.fixture
def served():
    """Makes a model on a server."""

    def make(*servers, **arguments):
        urls = [server.base_url for server in servers]
        return LALMApi(base_url=urls, **{**QUICK, **arguments})

    return make

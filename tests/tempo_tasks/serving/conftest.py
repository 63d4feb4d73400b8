"""Tasks over few rendered scenes, and `lalm-api` on a server of the tests' own."""

from functools import partial

import lm_eval
import pytest

from tempo_tasks.serving.lalm_api import LALMApi

QUICK = {"retry_wait": 0.01, "timeout": 5.0, "num_concurrent": 4}


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


@pytest.fixture
def evaluate(manager):
    """Runs tasks on a server; returns lm-eval's results."""

    def run(server, *tasks, cache=None, **arguments):
        return partial(lm_eval.simple_evaluate, bootstrap_iters=1, task_manager=manager)(
            model=LALMApi(base_url=server.base_url, **{**QUICK, **arguments}),
            tasks=list(tasks) or ["tempo_synth_eo_aqa"],
            use_cache=None if cache is None else str(cache),
        )

    return run


@pytest.fixture
def served():
    """Makes a model on a server."""

    def make(*servers, **arguments):
        urls = [server.base_url for server in servers]
        return LALMApi(base_url=urls, **{**QUICK, **arguments})

    return make

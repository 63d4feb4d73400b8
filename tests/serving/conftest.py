"""Servers, and the same questions in process; each server is started once for all tests."""

import pytest

from tests.support.served_edits import CONFIGS, InProcess
from tests.support.vllm_server import PYTHON, VllmServer


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/serving" in item.nodeid:
            item.add_marker(pytest.mark.serving)


@pytest.fixture(scope="session")
def in_process():
    return InProcess()


@pytest.fixture(scope="session")
def edits(tmp_path_factory):
    """Options of `tempo serve` that give it some of the configurations, or all of them."""
    folder = tmp_path_factory.mktemp("edits")
    for name, config in CONFIGS.items():
        config.save_pretrained(folder / name)

    def options(*names):
        chosen = names or tuple(CONFIGS)
        return [part for name in chosen for part in ("--attn-scale", f"{name}={folder / name}")]

    return options


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Starts servers, and ends them whatever happens."""
    if not PYTHON.exists():
        pytest.fail(f"{PYTHON} is missing: run make test-serving")
    servers = []

    def started(name, options=(), arguments=(), by_vllm=False, **environment):
        log = tmp_path_factory.mktemp("servers") / f"{name}.log"
        servers.append(VllmServer(log, options, arguments, environment, by_vllm))
        return servers[-1]

    yield started
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(start, edits):
    """One server with every configuration and no default edit.

    A batch holds 256 tokens: a prompt of its own fits, and of several at once some are cut.
    """
    options = [*edits(), "--default", "none"]
    return start("main", options, ["--max-num-batched-tokens", "256"]).wait_until_up()

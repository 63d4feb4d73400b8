"""`tempo serve`: shows what it starts, and becomes that."""

import os

import pytest
from typer.testing import CliRunner

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import MissingExtraError
from tempo_attn.serving import start
from tempo_tasks.cli import app
from tempo_tasks.tiny import WEIGHTS_DIR


@pytest.fixture
def edit(tmp_path):
    AttnScaleConfig(strength=2.0, layers=[1]).save_pretrained(tmp_path)
    return str(tmp_path)


@pytest.fixture
def started(monkeypatch):
    """What the command would have become."""
    calls = []
    monkeypatch.setattr(os, "execvpe", lambda *call: calls.append(call))
    monkeypatch.setattr(start, "installed_vllm", lambda: ("0.32.0", False))
    monkeypatch.setattr(start, "_check_plugin", lambda: None)
    return calls


def run(*arguments):
    return CliRunner().invoke(app, ["serve", *arguments])


def test_it_shows_the_command_and_becomes_it(started, edit):
    result = run(
        "owner/name", "--attn-scale", edit, "--port", "9000", "--", "--max-model-len", "99"
    )
    assert result.exit_code == 0, result.output
    ((program, command, environment),) = started
    assert command[0] == program
    assert command[command.index("serve") :] == (
        "serve",
        "owner/name",
        "--served-model-name",
        "owner/name",
        "--host",
        "127.0.0.1",
        "--port",
        "9000",
        "--enforce-eager",
        "--max-model-len",
        "99",
    )
    assert environment["TEMPO_ATTN_SCALE"] == edit
    assert environment["PATH"] == os.environ["PATH"]
    shown = result.output.replace("\n", "")
    assert f"TEMPO_ATTN_SCALE={edit} TEMPO_SERVE=1 VLLM_USE_V2_MODEL_RUNNER=0 " in shown
    assert shown.endswith("--enforce-eager --max-model-len 99")


def test_the_embedded_model_has_its_own_name(started):
    result = run("embedded", "--dry-run")
    assert not started
    assert f"serve {WEIGHTS_DIR} --served-model-name embedded" in result.output.replace("\n", "")


def test_without_vllm_it_says_what_to_install(monkeypatch):
    def missing(name):
        raise start.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(start.metadata, "version", missing)
    result = run("embedded")
    assert isinstance(result.exception, MissingExtraError)
    assert "pip install vllm==" in str(result.exception)

"""The command line."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tempo_tasks import __version__
from tempo_tasks.cli import app


def test_help_names_the_commands_without_loading_torch():
    script = (
        "import sys; from typer.testing import CliRunner; from tempo_tasks.cli import app;"
        "print(CliRunner().invoke(app, ['--help']).output); assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "demo" in done.stdout
    assert "run" in done.stdout


def test_version():
    output = CliRunner().invoke(app, ["version"]).output
    assert f"tempo-lalm {__version__}" in output
    assert "lm-eval 0." in output


@pytest.mark.slow
def test_run_takes_lm_evals_arguments(checkpoint, tmp_path):
    done = subprocess.run(
        [
            sys.executable, "-m", "tempo_tasks", "run", "--model", "lalm",
            "--model_args", f"pretrained={checkpoint}", "--tasks", "tempo_synth_eo_aqa",
            "--metadata", '{"synth_scenes": 4}', "--output_path", str(tmp_path),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "tempo_synth_eo_aqa" in done.stdout
    (written,) = tmp_path.rglob("results_*.json")
    assert json.loads(written.read_text())["n-samples"]["tempo_synth_eo_aqa"]["effective"] == 4


def test_a_users_mistake_ends_with_its_message(checkpoint, tmp_path, monkeypatch, capsys):
    from tempo_tasks import cli

    arguments = ["--model", "lalm", "--model_args", f"pretrained={checkpoint}"]
    monkeypatch.setattr(sys, "argv", ["tempo", "run", "--tasks", "tempo_eo_aqa", *arguments])
    monkeypatch.setenv("TEMPO_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "DataUnavailableError" in capsys.readouterr().err

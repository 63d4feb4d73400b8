"""The command line."""

import json
import re
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


RUN_MISTAKES = {
    "--tasks tempo_eo_aq": r"OptionError: unknown task 'tempo_eo_aq'. Did you mean 'tempo_eo_aqa',",
    "--tasks tempo_synth_eo_aqa,tempo_synthe": r"OptionError: .*'tempo_synthe'. .*'tempo_synth'",
    "--tasks tempo_synth_eo_aqa --log_samples": r"OptionError: Specify --output_path",
    "--tasks tempo_synth_eo_aqa --model lallm": r"OptionError: unknown model 'lallm'. .*'lalm'",
}


@pytest.mark.parametrize("typed", RUN_MISTAKES)
def test_lm_evals_arguments_are_checked_before_its_tasks_are_indexed(typed, monkeypatch, capsys):
    """Nothing is loaded, and nothing but the message is said."""
    from lm_eval.config.evaluate_config import EvaluatorConfig

    from tempo_tasks import cli

    def fail(*args, **kwargs):
        raise AssertionError("the harness's 14,000 tasks are indexed")

    monkeypatch.setattr(EvaluatorConfig, "process_tasks", fail)
    monkeypatch.setattr(sys, "argv", ["tempo", "run", "--model", "lalm", *typed.split()])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert re.match(RUN_MISTAKES[typed], said.splitlines()[-1])
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("tasks", "alone"),
    [("tempo_synth_eo_aqa,tempo_synth", True), ("tempo_eo_aqa,hellaswag", False)],
)
def test_lm_evals_own_tasks_are_indexed_only_where_one_is_named(tasks, alone, monkeypatch):
    from lm_eval.config.evaluate_config import EvaluatorConfig
    from lm_eval.tasks import TaskManager

    from tempo_tasks.harness.run_command import run

    class SeenError(Exception):
        """Ends the run where tasks would be loaded."""

    managers = []

    def process(self, metadata=None):
        TaskManager()
        raise SeenError

    def init(self, verbosity=None, include_path=None, include_defaults=True, metadata=None):
        managers.append(include_defaults)

    monkeypatch.setattr(TaskManager, "__init__", init)
    monkeypatch.setattr("tempo_tasks.harness.run_command.register", lambda: None)
    monkeypatch.setattr(EvaluatorConfig, "process_tasks", process)
    with pytest.raises(SeenError):
        run(["run", "--model", "lalm", "--tasks", tasks])
    assert managers == [not alone]
    TaskManager()
    assert managers[1:] == [True]  # nothing is left of it


def test_a_task_of_ours_under_another_name_is_told_of(monkeypatch, capsys):
    from lm_eval.config.evaluate_config import EvaluatorConfig

    from tempo_tasks import cli

    def not_found(self, metadata=None):
        raise ValueError("Tasks not found: temp_eo_aqa")

    monkeypatch.setattr(EvaluatorConfig, "process_tasks", not_found)
    monkeypatch.setattr(sys, "argv", ["tempo", "run", "--model", "lalm", "--tasks", "temp_eo_aqa"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "Did you mean 'tempo_eo_aqa'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("long_audio=x", "OptionError"),
        ("attn_scale=./nowhere", "ConfigError"),
        ("dtpye=float32", "OptionError"),
    ],
)
def test_model_arguments_of_a_run_end_with_their_message(argument, error, monkeypatch, capsys):
    from lm_eval.config.evaluate_config import EvaluatorConfig

    from tempo_tasks import cli

    monkeypatch.setattr(EvaluatorConfig, "process_tasks", lambda self, metadata=None: None)
    typed = ["--model", "lalm", "--tasks", "tempo_synth_eo_aqa", "--model_args", argument]
    monkeypatch.setattr(sys, "argv", ["tempo", "run", *typed])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert error in capsys.readouterr().err


@pytest.mark.slow  # all tasks of the harness are indexed
def test_a_users_mistake_ends_with_its_message(checkpoint, tmp_path, monkeypatch, capsys):
    from tempo_tasks import cli

    arguments = ["--model", "lalm", "--model_args", f"pretrained={checkpoint}"]
    monkeypatch.setattr(sys, "argv", ["tempo", "run", "--tasks", "tempo_eo_aqa", *arguments])
    monkeypatch.setenv("TEMPO_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "DataUnavailableError" in capsys.readouterr().err

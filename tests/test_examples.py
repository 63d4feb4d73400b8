"""What the README and the examples show is run."""

import os
import re
import subprocess
import sys

import pytest
import typer

from tempo_tasks.cli import app
from tests.support.paths import ROOT


def test_the_readmes_attention_example(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (code,) = [block for block in blocks if "apply_attn_scale" in block]
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(code, scope)
    status = scope["model"].status()
    assert status.layers == (0, 1)
    assert status.adapters["default"].queries == ["keyword", "option"]
    assert {path.name for path in (tmp_path / "my-edit").iterdir()} == {
        "README.md",
        "attn_scale_config.json",
    }


@pytest.mark.slow
def test_the_attention_example_reloads_to_identical_logits(isolated_cache):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "edit_attention.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "TEMPO_CACHE": str(isolated_cache)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "identical logits: True" in done.stdout


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Programs of these names on the PATH that write down how they are called."""
    for name in ("tempo", "accelerate"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@" >> "$CALLED"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLED", str(tmp_path / "called"))
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "8")
    return tmp_path / "called"


def test_a_job_array_sweeps_its_part(recorded, tmp_path):
    """The options are ones that `tempo sweep` takes, so no job fails after its wait."""
    script = ROOT / "examples" / "slurm_sweep.sh"
    subprocess.run([script, tmp_path / "o", "--tasks", "tempo_eo_aqa"], check=True)
    called = recorded.read_text().splitlines()[1:]
    assert called == [
        "sweep", "--tasks", "tempo_eo_aqa", "--shard", "2/8", "--out", f"{tmp_path}/o/part-2",
    ]  # fmt: skip
    command = typer.main.get_command(app).commands["sweep"]
    taken = {name for option in command.params for name in option.opts}
    assert {"--tasks", "--shard", "--out", "--model", "--model-args"} <= taken


def test_a_job_array_scores_the_model_of_its_line(recorded, tmp_path):
    models = tmp_path / "models.txt"
    models.write_text("pretrained=a\npretrained=b\npretrained=c,dtype=bfloat16\n")
    script = ROOT / "examples" / "slurm_lm_eval.sh"
    subprocess.run([script, models, tmp_path / "o"], check=True)
    called = recorded.read_text().splitlines()
    assert called[called.index("--model_args") + 1] == "pretrained=c,dtype=bfloat16"
    assert called[called.index("--use_cache") + 1] == f"{tmp_path}/o/cache/2"
    models.write_text("pretrained=a\n")
    done = subprocess.run([script, models, tmp_path / "o"], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"has no line 3" in done.stderr

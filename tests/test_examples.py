"""What the README and the examples show is run."""

import os
import re
import subprocess
import sys

import pytest

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

"""The laboratory on tiny checkpoints of families whose prompts are made in ways of their own."""

import json

import pytest

from tempo_attn.lab.run_folder.folder import read_run
from tempo_tasks.lab.grid_request import parse_grid
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.sweep import SweepRequest, run_sweep
from tests.support.tiny_checkpoints import ARGUMENTS, CHECKPOINTS, save
from tests.support.tiny_models import without_timm

ALWAYS = {"desta25", "kimi_audio", "voxtral"}
NAMES = [
    pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow)
    for name in sorted(CHECKPOINTS)
]


@pytest.fixture(autouse=True)
def timm_is_not_needed(monkeypatch):
    """Gemma 3n's vision tower is left out: see `without_timm`."""
    monkeypatch.setattr("tempo_attn.families.gemma3n.require_extra", lambda *args: None)
    with without_timm():
        yield


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_of_keyword_and_option_rows(name, tmp_path):
    settings = Settings(
        model=str(save(name, tmp_path / "model")),
        tasks=["tempo_synth_eo_aqa"],
        # The tiny models hear a few seconds at most.
        model_args={"long_audio": "truncate", **ARGUMENTS.get(name, {})},
        metadata={"synth_scenes": 2},
        limit=2,
        out=tmp_path / "run",
    )
    grid = parse_grid(["scale=3"], "0", ["last", "keyword+option"], nulls="none")
    run_sweep(settings, SweepRequest(grid=grid, engine="auto", n_generated=0))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    # Where the fast engine does not give the same, full forwards are run, and it says so.
    full = {"gemma3n", "gemma4"}
    assert summary["engine"] == ["full" if name in full else "fast"]
    assert len(read_run(tmp_path / "run").records) == 2

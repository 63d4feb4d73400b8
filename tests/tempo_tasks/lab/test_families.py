"""The laboratory on tiny checkpoints of families whose prompts are made in ways of their own."""

import json

import pytest

from tempo_attn.lab.run_folder.folder import read_run
from tempo_tasks.lab.grid_request import parse_grid
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.sweep import SweepRequest, run_sweep
from tests.support.tiny_checkpoints import CHECKPOINTS, save

ALWAYS = {"desta25", "voxtral"}
NAMES = [
    pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow)
    for name in sorted(CHECKPOINTS)
]


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_of_keyword_and_option_rows(name, tmp_path):
    settings = Settings(
        model=str(save(name, tmp_path / "model")),
        tasks=["tempo_synth_eo_aqa"],
        metadata={"synth_scenes": 2},
        limit=2,
        out=tmp_path / "run",
    )
    grid = parse_grid(["scale=3"], "0", ["last", "keyword+option"], nulls="none")
    run_sweep(settings, SweepRequest(grid=grid, engine="auto", n_generated=0))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["engine"] == ["fast"]
    assert len(read_run(tmp_path / "run").records) == 2

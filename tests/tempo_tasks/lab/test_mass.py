"""`tempo mass` on the embedded model and a few short items."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from tempo_attn.errors import OptionError
from tempo_attn.lab.run_folder.folder import read_run
from tempo_tasks.lab import mass as lab_mass
from tempo_tasks.lab.grid_request import parse_grid
from tempo_tasks.lab.mass import MassRequest, run_mass
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.sweep import SweepRequest, run_sweep
from tests.support.lab_commands import read, tempo

TASK = "tempo_synth_eo_aqa"
DATA = {"synth_scenes": 4}
pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=[TASK, "tempo_synth_eo_silence"], metadata=DATA, batch_size=4)
LAST = MassRequest(rows=[("last",)])


def mass(out, **changes):
    torch.set_num_threads(1)
    return run_mass(replace(SETTINGS, out=out, **changes), LAST)


def test_the_table_is_the_mean_of_the_records(tmp_path, capsys):
    run = tmp_path / "run"
    outcome = mass(run)
    names = ["mass.csv", "mass.json", "mass.png", "mass.svg"]
    assert sorted(path.name for path in outcome.files) == names
    rows = read(run, "mass.json")
    with (run / "mass.csv").open(newline="") as file:
        assert [row["mass"] for row in csv.DictReader(file)] == [str(r["mass"]) for r in rows]
    records = read_run(run).records
    for row in rows:
        if row["group"] == "all":
            mine = [r for r in records if r["condition"] == row["condition"]]
            assert row["n"] == len(mine) == 4
            share_of = [r["audio"][row["rows"]][row["layer"]] for r in mine]
            assert row["mass"] == pytest.approx(np.mean(share_of), abs=1e-5)
    assert {(r["condition"], r["rows"], r["layer"]) for r in rows if r["group"] == "all"} == {
        (condition, "last", layer) for condition in ("aqa", "silence") for layer in range(6)
    }
    assert "attention on audio" in capsys.readouterr().out


def test_a_sweep_measures_the_same_masses(tmp_path):
    """Two commands, one thing: the mean mass on audio of the last rows before the edit."""
    mass(tmp_path / "mass", tasks=[TASK])
    rows = read(tmp_path / "mass", "mass.json")
    grid = parse_grid(["scale=2"], "0,3", ["last,option"], nulls="none")
    settings = replace(SETTINGS, tasks=[TASK], out=tmp_path / "sweep")
    run_sweep(settings, SweepRequest(grid=grid, n_generated=0))
    masses = {
        str(row["layer"]): row["mass"]
        for row in rows
        if (row["group"], row["rows"]) == ("all", "last")
    }
    for row in read(tmp_path / "sweep", "effects.json"):
        if row["rows"] == "last":
            assert row["mass_before"] == pytest.approx(masses[row["layers"]], abs=1e-5)


def test_options(monkeypatch):
    told = []
    monkeypatch.setattr(lab_mass, "run_mass", lambda *args: told.append(args))
    assert tempo(monkeypatch, "mass", "--tasks", TASK, "--rows", "keyword+last,option") == 0
    ((settings, request),) = told
    assert settings.tasks == [TASK]
    assert request == MassRequest(rows=[("keyword", "last"), ("option",)], over_time=[])


def test_attention_over_time(monkeypatch, tmp_path, nothing_loads):
    told = []
    monkeypatch.setattr(lab_mass, "run_mass", lambda *args: told.append(args))
    assert tempo(monkeypatch, "mass", "--tasks", TASK, "--over-time", "1,3-4") == 0
    ((_, request),) = told
    assert request.over_time == [1, 3, 4]
    monkeypatch.undo()
    with pytest.raises(OptionError, match="no layer 6; expected 0 to 5"):
        run_mass(replace(SETTINGS, out=tmp_path), replace(LAST, over_time=[1, 6]))


@pytest.mark.parametrize("rows", [[], [("first",)], [("last", "last")], [()]])
def test_bad_rows_are_refused_before_anything_is_loaded(rows, nothing_loads, tmp_path):
    with pytest.raises(OptionError, match="--rows"):
        run_mass(replace(SETTINGS, out=tmp_path), MassRequest(rows=rows))

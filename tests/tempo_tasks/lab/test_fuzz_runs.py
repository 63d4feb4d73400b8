"""Random damage to run folders: tables and a choice, or an error of ours that names the folder."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tempo_attn.lab.run_folder.folder import read_run
from tempo_tasks.lab.choose import ChooseRequest, choose_from
from tempo_tasks.lab.grid_request import parse_grid
from tempo_tasks.lab.lens import LensRequest, run_lens
from tempo_tasks.lab.mass import MassRequest, run_mass
from tempo_tasks.lab.outcome import reading, write_tables
from tempo_tasks.lab.presets import PresetsRequest, run_presets
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.sweep import SweepRequest, run_sweep
from tempo_tasks.lab.trace import TraceRequest, run_trace
from tests.support.damage import damage, ends_well

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("loaded_once"),
    pytest.mark.filterwarnings("ignore"),
]
DAMAGES = 120
SETTINGS = Settings(tasks=["tempo_synth_eo_aqa"], metadata={"synth_scenes": 4}, batch_size=4)


def run_command(command, out):
    settings = replace(SETTINGS, out=out)
    if command == "mass":
        run_mass(settings, MassRequest(rows=[("last",)]))
    elif command == "lens":
        run_lens(settings, LensRequest(rows=("last", "option")))
    elif command == "trace":
        run_trace(settings, TraceRequest(layers=[1, 4], groups=["option", "last"]))
    elif command == "presets":
        run_presets(settings, PresetsRequest(names=["mata", "adaptvis"]))
    else:
        grid = parse_grid(["scale=0,2"], "0,3", ["last,option"], nulls="none")
        run_sweep(settings, SweepRequest(grid=grid))


@pytest.fixture
def no_pictures(monkeypatch):
    """Pictures take most of the time and read nothing from a file."""
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda self, path, **_: Path(path).write_bytes(b"")
    )


@pytest.mark.parametrize("file", ["items.jsonl", "manifest.json"])
@pytest.mark.parametrize("command", ["sweep", "mass", "lens", "trace", "presets"])
def test_run_folders(tmp_path, command, file, capsys, no_pictures):
    torch.set_num_threads(1)
    folder = tmp_path / "run"
    run_command(command, folder)
    path = folder / file
    whole = path.read_bytes()

    def read():
        found = read_run(folder)
        with reading(folder):  # as `tempo merge` does
            write_tables(found)

    def choose():
        choose_from(folder, ChooseRequest(out=tmp_path / "edit", folds=2))

    read()
    draw = random.Random(f"{command}/{file}")
    results = 0
    for _ in range(DAMAGES):
        damage(path, whole, draw)
        given = path.read_bytes()
        results += ends_well(read, (str(folder),), given)
        if command == "sweep":
            ends_well(choose, (str(folder),), given)
        capsys.readouterr()
    assert 0 < results < DAMAGES

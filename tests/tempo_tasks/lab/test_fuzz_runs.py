"""Random damage to run folders: tables and a choice, or an error of ours that names the folder."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tempo_attn.lab.run_folder.folder import read_run
from tempo_tasks.lab import lens_verb, trace_verb, verbs
from tempo_tasks.lab.options import Requested
from tempo_tasks.lab.outcome import reading, write_tables
from tempo_tasks.lab.presets import compare_presets
from tempo_tasks.lab.study import Settings
from tempo_tasks.lab.trace_verb import Patches
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
        verbs.share(settings, [("last",)])
    elif command == "lens":
        lens_verb.lens(settings, ("last", "option"))
    elif command == "trace":
        trace_verb.trace(settings, Patches(layers=[1, 4], groups=["option", "last"]))
    elif command == "presets":
        compare_presets(settings, ["mata", "adaptvis"], layers=None)
    else:
        verbs.sweep(settings, Requested(["scale=0,2"], "0,3", ["last,option"], "all", "none"))


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
        verbs.fit(None, None, run=folder, out=tmp_path / "edit", folds=2)

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

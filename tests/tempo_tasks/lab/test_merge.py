"""`tempo merge`: shards that are missing or unfinished, and what is told; see test_run_protocol."""

from pathlib import Path

import pytest

from tempo_attn.errors import RunFolderError
from tempo_tasks.lab import mass as lab_mass
from tempo_tasks.lab import merge as lab_merge
from tempo_tasks.lab.grid_request import parse_grid
from tempo_tasks.lab.merge import run_merge
from tempo_tasks.lab.outcome import Outcome
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.sweep import SweepRequest, run_sweep
from tests.support.lab_commands import tempo

pytestmark = pytest.mark.usefixtures("loaded_once")
DATA = ["--tasks", "tempo_synth_eo_aqa", "--metadata", '{"synth_scenes": 2}']


def test_shards_that_are_missing_or_unfinished_are_not_put_together(tmp_path):
    parts = [tmp_path / f"part-{number}" for number in range(2)]
    for number, part in enumerate(parts):
        settings = Settings(
            tasks=["tempo_synth_eo_aqa"],
            metadata={"synth_scenes": 8},
            batch_size=3,
            shard=(number, 2),
            out=part,
        )
        grid = parse_grid(["scale=2"], "all", ["last"], nulls="none")
        run_sweep(settings, SweepRequest(grid=grid, n_generated=0))
    with pytest.raises(RunFolderError, match="shards missing: 1/2"):
        run_merge(parts[:1], tmp_path / "merged")
    lines = (parts[0] / "items.jsonl").read_bytes().splitlines(keepends=True)
    (parts[0] / "items.jsonl").write_bytes(b"".join(lines[:-3]))
    with pytest.raises(RunFolderError, match="shard 0/2 misses 3 of its 5 items"):
        run_merge(parts, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_what_was_written_is_told(monkeypatch, capsys):
    outcome = Outcome(Path("runs/one"), [Path("runs/one/effects.csv"), Path("runs/one/a.png")])
    monkeypatch.setattr(lab_merge, "run_merge", lambda runs, out: outcome)
    tempo(monkeypatch, "merge", "a", "--out", "b")
    assert capsys.readouterr().out == "In runs/one: effects.csv, a.png\n"
    monkeypatch.setattr(lab_mass, "run_mass", lambda *_: Outcome(Path("part"), []))
    tempo(monkeypatch, "mass", *DATA, "--shard", "0/2")
    told_of = capsys.readouterr().out
    assert told_of.startswith("In part: ")
    assert "tempo merge makes the tables" in told_of


@pytest.mark.parametrize("name", ["runs[2]/a[b]c", "runs [/x]"])
def test_a_folder_is_told_as_it_is(name, monkeypatch, capsys):
    monkeypatch.setattr(lab_merge, "run_merge", lambda runs, out: Outcome(Path(name), []))
    tempo(monkeypatch, "merge", "a", "--out", "b")
    assert name in capsys.readouterr().out


def test_options(monkeypatch):
    told = []
    monkeypatch.setattr(lab_merge, "run_merge", lambda *args: told.append(args))
    assert tempo(monkeypatch, "merge", "a", "b", "--out", "c") == 0
    assert told == [([Path("a"), Path("b")], Path("c"))]

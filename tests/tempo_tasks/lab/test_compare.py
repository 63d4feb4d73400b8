"""`tempo compare` on the embedded model and a few short items."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.sweep.grid import Variant
from tempo_tasks.lab import compare as lab_compare
from tempo_tasks.lab.compare import CompareRequest, run_compare
from tempo_tasks.lab.settings import Settings
from tests.support.lab_commands import read, tempo

TASK = "tempo_synth_eo_aqa"
DATA = {"synth_scenes": 8}
pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=[TASK], metadata=DATA, batch_size=3)


def compare(out, **changes):
    request = CompareRequest(
        strengths=(0.5, 2.0), layers=[(3,)], rows=[("keyword", "last")], nulls=()
    )
    return run_compare(replace(SETTINGS, out=out, limit=6, **changes), request)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("compare") / "compared"
    compare(folder)
    return folder


def test_compare_has_scaling_its_two_parts_and_a_constant_bias(compared):
    files = {
        "manifest.json",
        "items.jsonl",
        "mass.png",
        "mass.svg",
        "effects.csv",
        "effects.json",
        "summary.json",
    }
    assert {path.name for path in compared.iterdir() if path.name[0] != "."} == files
    rows = read(compared, "effects.json")
    by_mode = {}
    for row in rows:
        by_mode.setdefault(row["mode"], []).append((row["rows"], row["strength"]))
    same = [("last+keyword", 0.5), ("last+keyword", 2.0)]
    for mode in ("scale", "scale_preserving", "upweight_matched"):
        assert sorted(by_mode.pop(mode)) == same
    (biases,) = by_mode.values()
    assert list(by_mode) == ["upweight"]
    assert [rows for rows, _ in biases] == ["last+keyword"] * 2
    assert read(compared, "summary.json")["command"] == "compare"


def test_matched_masses(compared):
    """At the same alpha: one part has scaling's mass, the other one leaves it where it was."""
    run = read_run(compared)
    variants = [Variant.from_dict(v) for v in run.manifest.settings.of_command["variants"]]
    audio = np.array([record["audio"] for record in run.records], dtype=float)
    before, after = audio[..., 0], audio[..., 1]
    moved = []
    for number, edit in enumerate(variants):
        if edit.mode == "scale" and edit.role == "edit":
            matched = variants.index(replace(edit, mode="upweight_matched"))
            preserving = variants.index(replace(edit, mode="scale_preserving"))
            # Item by item, not only on average.
            assert after[:, matched] == pytest.approx(after[:, number], abs=1e-4)
            assert after[:, preserving] == pytest.approx(before[:, number], abs=1e-4)
            moved.append(abs(after[:, number] - before[:, number]).mean())
    assert len(moved) == 2
    assert max(moved) > 0.02


def test_the_constant_bias_has_scalings_mean_mass(compared):
    rows = read(compared, "effects.json")
    manifest = read(compared, "manifest.json")
    variants = manifest["settings"]["variants"]
    matches = manifest["settings"]["matches"]
    assert len(matches) == 2

    def mass(number):
        variant = Variant.from_dict(variants[number])
        (row,) = [
            row
            for row in rows
            if (row["mode"], row["strength"], row["rows"])
            == (variant.mode, variant.strength, "+".join(variant.rows))
        ]
        return variant, row["mass_after"]

    for scaled, bias in matches:
        (edit, wanted), (constant, found) = mass(scaled), mass(bias)
        assert edit.mode == "scale"
        assert constant.mode == "upweight"
        assert (edit.rows, edit.layers) == (constant.rows, constant.layers)
        assert found == pytest.approx(wanted, abs=0.03)


def test_what_the_terminal_shows(tmp_path, capsys):
    """The four side by side."""
    compare(tmp_path / "run")
    shown = capsys.readouterr().out
    for words in ("scaling", "one bias", "6 items of 6 clusters"):
        assert words in shown


def test_shards_choose_their_biases_on_the_whole_run(compared, tmp_path):
    """Biases are chosen on the first items of the whole run, whatever the shard."""
    variants = [read(compared, "manifest.json")["settings"]["variants"]]
    for number in range(2):
        compare(tmp_path / f"part-{number}", shard=(number, 2))
        variants.append(read(tmp_path / f"part-{number}", "manifest.json")["settings"]["variants"])
    assert variants[0] == variants[1] == variants[2]


@pytest.fixture
def told(monkeypatch):
    calls = []
    monkeypatch.setattr(lab_compare, "run_compare", lambda *args: calls.append(args))
    return calls


def test_options(told, monkeypatch):
    typed = "--strengths 0.2,3 --layers 0,2+3 --rows last --nulls none --engine fast --seed 2"
    assert tempo(monkeypatch, "compare", "--tasks", TASK, *typed.split()) == 0
    ((settings, request),) = told
    assert (settings.tasks, settings.seed) == ([TASK], 2)
    assert request == CompareRequest(
        strengths=(0.2, 3.0), layers=[(0,), (2, 3)], rows=[("last",)], nulls=[], engine="fast"
    )


def test_options_by_default(told, monkeypatch):
    assert tempo(monkeypatch, "compare", "--tasks", TASK) == 0
    ((_, request),) = told
    assert request == CompareRequest(
        strengths=(0.5, 2.0),
        layers="each",
        rows=[("last",), ("keyword",), ("keyword", "last"), ("option",)],
        nulls=["sign"],
        engine="auto",
    )

"""`tempo sweep` on the embedded model and a few short items: what it says, options."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.sweep.grid import Variant
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab import sweep as lab_sweep
from tempo_tasks.lab.check_settings import ConfigSize
from tempo_tasks.lab.grid_request import GridRequest, parse_grid
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.sweep import SweepRequest, run_sweep
from tests.support.lab_commands import centred, contents, likelihoods, number_of, read, tempo

TASK = "tempo_synth_eo_aqa"
DATA = {"synth_scenes": 8}
pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=[TASK], metadata=DATA, batch_size=3)
GRID = parse_grid(["scale=0,2"], "0,3", ["last,option"])
SMALL = parse_grid(["scale=2"], "all", ["last"], nulls="none")
TABLES = {"effects.csv", "effects.json", "summary.json"}
FIGURES = {"layers.png", "layers.svg", "heatmap.png", "heatmap.svg"}


def sweep(out, grid=GRID, engine="auto", n_generated=5, **changes):
    request = SweepRequest(grid=grid, engine=engine, n_generated=n_generated)
    return run_sweep(replace(SETTINGS, out=out, **changes), request)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished sweep: 8 items in 3 batches, 8 edits with their controls and nulls."""
    torch.set_num_threads(1)  # the number of threads is a part of the manifest
    folder = tmp_path_factory.mktemp("sweep") / "whole"
    sweep(folder)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A finished sweep of a single edit, of all layers at once, on the same items."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sweep") / "small"
    sweep(folder, SMALL)
    return folder


def table(folder):
    return read(folder, "effects.json")


# ------------------------------------------------------------------------------ what it says


def test_the_files_of_a_sweep(whole):
    assert set(contents(whole)) == {"manifest.json", "items.jsonl", *TABLES, *FIGURES}
    with (whole / "effects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(table(whole)) == 8
    for row, data in zip(rows, table(whole), strict=True):
        assert row == {name: "" if v is None else str(v) for name, v in data.items()}
        assert (data["kind"], data["condition"], data["n"]) == ("eo", "aqa", 8)
        assert data["null_sign_change"] is not None
    assert {(row["layers"], row["rows"], row["strength"]) for row in rows} == {
        (layer, rows, strength)
        for layer in "03"
        for rows in ("last", "option")
        for strength in ("0.0", "2.0")
    }
    found = read(whole, "summary.json")
    assert (found["command"], found["model"], found["tasks"]) == ("sweep", "embedded", [TASK])
    assert (found["n"], found["n_clusters"], found["n_variants"]) == (8, 8, 4 + 8 + 8)
    assert found["engine"] == ["fast"]
    assert found["recomputed_control"]["logits"] < 1e-4
    assert found["recomputed_control"]["n_changed"] == 0


def test_what_is_swept_is_what_lm_eval_measures(whole):
    """Without an edit, and with one as a saved configuration: the same letters' logits."""
    plain = centred([record["plain"] for record in read_run(whole).records])
    scores, accuracy = likelihoods(LALM(batch_size=3), TASK, DATA)
    assert plain == pytest.approx(centred(scores), abs=1e-3)
    summary = read(whole, "summary.json")
    assert summary["plain_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    edit = Variant(layers=(0,), rows=("option",), strength=0.0)
    number = number_of(whole, layers=[0], rows=["option"], strength=0.0, role="edit")
    edited = centred([record["logits"][number] for record in read_run(whole).records])
    scores, accuracy = likelihoods(LALM(batch_size=3, attn_scale=edit.config()), TASK, DATA)
    assert edited == pytest.approx(centred(scores), abs=1e-3)
    (row,) = [
        row
        for row in table(whole)
        if (row["layers"], row["rows"], row["strength"]) == ("0", "option", 0.0)
    ]
    assert row["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert row["accuracy"] < summary["plain_accuracy"]  # options that hear nothing


def test_generation_is_recorded_for_as_many_items_as_asked(whole):
    asked = [r for r in read_run(whole).records if r["generated"] is not None]
    found = read(whole, "summary.json")["generation"]
    agree = sum(r["generated"] == int(np.argmax(r["plain"])) for r in asked)
    assert found == {"n": 5, "n_agree": agree, "n_unparsed": 0, "n_ties": 0}
    assert len(asked) == 5
    assert agree >= 4  # the model answers with the letter that it prefers


@pytest.mark.parametrize(
    "n_generated",
    [3, 5],
)
def test_generation_is_spread_over_all_tasks(n_generated, tmp_path, monkeypatch):
    monkeypatch.setattr(LALM, "generate_batch", lambda self, batch, _: ["A"] * len(batch))
    tasks = [TASK, "tempo_synth_lo_aqa"]
    sweep(tmp_path, SMALL, n_generated=n_generated, tasks=tasks, limit=4)
    asked = [r["kind"] for r in read_run(tmp_path).records if r["generated"] is not None]
    assert len(asked) == n_generated
    assert abs(asked.count("eo") - asked.count("lo")) <= 1


def test_generation_that_names_no_letter_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(LALM, "generate_batch", lambda self, batch, _: ["a dog"] * len(batch))
    sweep(tmp_path, SMALL, limit=2, n_generated=50)  # more than there are items
    found = read(tmp_path, "summary.json")["generation"]
    assert (found["n"], found["n_agree"], found["n_unparsed"]) == (2, 0, 2)


def test_the_full_engine_gives_the_same_answers(small, tmp_path):
    sweep(tmp_path, SMALL, engine="full")
    fast, slow = read_run(small).records, read_run(tmp_path).records
    assert [record["key"] for record in fast] == [record["key"] for record in slow]
    assert {record["engine"] for record in fast} == {"fast"}
    assert {record["engine"] for record in slow} == {"full"}
    for one, other in zip(fast, slow, strict=True):
        assert np.array(one["logits"]) == pytest.approx(np.array(other["logits"]), abs=2e-4)
        assert np.array(one["audio"]) == pytest.approx(np.array(other["audio"]), abs=1e-4)
    assert read(tmp_path, "summary.json")["engine"] == ["full"]


def test_an_edit_of_all_layers_has_no_layer_figures(small):
    assert set(contents(small)) == {"manifest.json", "items.jsonl", *TABLES}
    assert [row["layers"] for row in table(small)] == ["0,1,2,3,4,5"]


@pytest.mark.slow
def test_a_positive_control(tmp_path, capsys):
    """Deaf text rows leave the model guessing: the largest effect there can be must be found."""
    grid = parse_grid(["knockout"], "all", ["all_text"], "all", nulls="none")
    sweep(tmp_path, grid, n_generated=0, metadata={"synth_scenes": 40}, batch_size=8)
    (row,) = table(tmp_path)
    assert row["control_accuracy"] > 0.6
    assert row["change_high"] < -0.2
    assert row["p_holm"] < 0.01
    assert row["mass_before"] > 0.05
    assert row["mass_after"] == 0
    shown = capsys.readouterr().out
    assert "knockout" in shown
    assert "40 items of 40 clusters" in shown


def test_out_of_memory_loses_nothing(small, tmp_path, monkeypatch, caplog):
    """Wherever a forward takes more than one item, in the comparison of the two engines, too."""
    call, sizes = ModelUnderStudy.call, []

    def scarce(self, batch, first=0):
        sizes.append(len(batch.items))
        if len(batch.items) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return call(self, batch, first)

    monkeypatch.setattr(ModelUnderStudy, "call", scarce)
    sweep(tmp_path, SMALL)
    assert max(sizes) > 1
    assert "out of memory" in caplog.text
    for one, other in zip(read_run(tmp_path).records, read_run(small).records, strict=True):
        assert one["key"] == other["key"]
        assert np.array(one["logits"]) == pytest.approx(np.array(other["logits"]), abs=1e-4)
    assert [row["accuracy"] for row in table(tmp_path)] == [row["accuracy"] for row in table(small)]


# ------------------------------------------------------------------------------ options


@pytest.fixture
def told(monkeypatch):
    """What sweeps are asked for by the command line; none of them runs."""
    calls = []
    monkeypatch.setattr(lab_sweep, "run_sweep", lambda *args: calls.append(args))
    return calls


def test_options(told, monkeypatch):
    typed = (
        "sweep --tasks tempo_eo_aqa,tempo_lo_aqa --model a/b --model-args dtype=bfloat16,revision=x"
        " --edit scale=0.5 --edit knockout --layers 0-3 --rows last --rows option --heads each"
        " --nulls none --limit 7 --out folder --device cpu --batch-size 2 --memory 3 --shard 1/4"
        " --seed 5 --engine full --generate 9"
    )
    assert tempo(monkeypatch, *typed.split(), "--metadata", '{"data": "a folder"}') == 0
    ((settings, request),) = told
    assert settings == Settings(
        tasks=["tempo_eo_aqa", "tempo_lo_aqa"],
        model="a/b",
        model_args={"dtype": "bfloat16", "revision": "x"},
        metadata={"data": "a folder"},
        limit=7,
        device="cpu",
        batch_size=2,
        memory=3 << 20,
        shard=(1, 4),
        seed=5,
        out=Path("folder"),
    )
    assert request == SweepRequest(
        grid=GridRequest(
            strengths={"scale": (0.5,), "knockout": ()},
            layers=[(0,), (1,), (2,), (3,)],
            rows=[("last",), ("option",)],
            heads="each",
            nulls=[],
            sources=[],
        ),
        engine="full",
        n_generated=9,
    )


def test_a_sweep_of_nothing_but_tasks(told, monkeypatch):
    """All layers, six strengths, three sets of rows, with random signs: the issue's sweep."""
    assert tempo(monkeypatch, "sweep", "--tasks", "tempo_synth_eo_aqa") == 0
    ((settings, request),) = told
    variants = request.grid.variants(ConfigSize(n_layers=6, n_heads=4))
    assert sum(variant.role == "edit" for variant in variants) == 6 * 6 * 3
    assert {variant.rows for variant in variants} == {("last",), ("keyword",), ("option",)}
    assert (settings.model, settings.limit, settings.shard, settings.out) == (None,) * 4
    assert request.engine == "auto"
    assert request.n_generated > 0

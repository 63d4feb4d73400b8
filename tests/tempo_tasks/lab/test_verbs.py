"""`tempo sweep`, `share`, `fit`, `compare`, `merge` on the embedded model and a few short items."""

import csv
import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import lm_eval
import numpy as np
import pytest
import torch
from lm_eval.tasks import TaskManager

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import ConfigError, RunFolderError, RunMismatchError
from tempo_attn.hub.push import to_share
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.mass.run import MassMeter
from tempo_attn.lab.run_folder.folder import default_folder, read_run
from tempo_attn.lab.run_folder.manifest import Manifest
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.run import Sweeper
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab import compare as lab_compare
from tempo_tasks.lab import tasks_to_items as lab_items
from tempo_tasks.lab import verbs
from tempo_tasks.lab.options import Requested
from tempo_tasks.lab.study import Settings, Study
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.tiny import WEIGHTS_DIR
from tests.support.released_layout import write_beside

TASK = "tempo_synth_eo_aqa"
DATA = {"synth_scenes": 8}
pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=[TASK], metadata=DATA, batch_size=3)
GRID = Requested(["scale=0,2"], "0,3", ["last,option"], "all", "sign")
SMALL = Requested(["scale=2"], "all", ["last"], "all", "none")
TABLES = {"effects.csv", "effects.json", "summary.json"}
PICTURES = {"layers.png", "layers.svg", "heatmap.png", "heatmap.svg"}


def sweep(out, grid=GRID, way="auto", n_generated=5, **changes):
    settings = replace(SETTINGS, out=out, **changes)
    return verbs.sweep(settings, grid, way=way, n_generated=n_generated)


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


def copied(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def contents(folder, leave_out=()):
    """The bytes of all files but the locks."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in leave_out
    }


def table(folder):
    return json.loads((folder / "effects.json").read_text())


def number_of(folder, **fields):
    """The place of the one variant with these fields."""
    variants = json.loads((folder / "manifest.json").read_text())["settings"]["variants"]
    (found,) = [
        number
        for number, variant in enumerate(variants)
        if all(variant[name] == value for name, value in fields.items())
    ]
    return found


def nothing_more(monkeypatch, owner=Sweeper):
    def fail(self, items):
        raise AssertionError(f"{len(items)} items are computed again")

    monkeypatch.setattr(owner, "run_batch", fail)


def likelihoods(lm):
    """What lm_eval gets on the same questions: log-probabilities of the letters, and accuracy."""
    twin = f"{TASK}_ll"
    tasks = lab_items.load_tasks([twin], DATA)
    results = lm_eval.evaluate(lm=lm, task_dict=dict(tasks), bootstrap_iters=0)
    samples = sorted(results["samples"][twin], key=lambda sample: sample["doc_id"])
    scores = [[score for ((score, _),) in sample["resps"]] for sample in samples]
    return np.array(scores), results["results"][twin]["acc,none"]


def centred(logits):
    return np.asarray(logits) - np.asarray(logits).mean(-1, keepdims=True)


# ------------------------------------------------------------------------------ what is shared


def test_a_manifest_names_no_folder_of_this_machine(tmp_path, monkeypatch, released_folder):
    shutil.copytree(WEIGHTS_DIR, tmp_path / "models" / "x")
    shutil.copytree(released_folder("csv"), tmp_path / "sets" / "mine")
    write_beside(tmp_path / "sets" / "mine")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    settings = Settings(
        tasks=["tempo_eo_aqa"],
        metadata={"data": "../sets/mine", "data_intervals": ["../sets/mine/intervals.csv"]},
        model="../models/x",
        model_args={"processor": str(tmp_path / "models" / "x"), "dtype": "float32"},
    )
    manifest = Study(settings).manifest("mass", {}).to_dict()
    text = json.dumps(manifest)
    assert "../" not in text
    assert str(tmp_path) not in text
    assert manifest["fingerprints"]["model"]["name"] == "x"
    assert manifest["fingerprints"]["model"]["arguments"] == {"processor": "x", "dtype": "float32"}
    assert manifest["settings"]["metadata"] == {"data": "mine", "data_intervals": ["intervals.csv"]}


# ------------------------------------------------------------------------------ sweep: what it says


def test_the_files_of_a_sweep(whole):
    assert set(contents(whole)) == {"manifest.json", "items.jsonl", *TABLES, *PICTURES}
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
    found = json.loads((whole / "summary.json").read_text())
    assert (found["command"], found["model"], found["tasks"]) == ("sweep", "embedded", [TASK])
    assert (found["n"], found["n_clusters"], found["n_variants"]) == (8, 8, 4 + 8 + 8)
    assert found["way"] == ["fast"]
    assert found["recomputed_control"]["logits"] < 1e-4
    assert found["recomputed_control"]["n_changed"] == 0


def test_what_is_swept_is_what_lm_eval_measures(whole):
    """Without an edit, and with one as a saved configuration: the same letters' logits."""
    plain = centred([record["plain"] for record in read_run(whole).records])
    scores, accuracy = likelihoods(LALM(batch_size=3))
    assert plain == pytest.approx(centred(scores), abs=1e-3)
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["plain_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    edit = Variant(layers=(0,), rows=("option",), strength=0.0)
    number = number_of(whole, layers=[0], rows=["option"], strength=0.0, role="edit")
    edited = centred([record["logits"][number] for record in read_run(whole).records])
    scores, accuracy = likelihoods(LALM(batch_size=3, attn_scale=edit.config()))
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
    found = json.loads((whole / "summary.json").read_text())["generation"]
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
    found = json.loads((tmp_path / "summary.json").read_text())["generation"]
    assert (found["n"], found["n_agree"], found["n_unparsed"]) == (2, 0, 2)


def test_the_slow_way_gives_the_same_answers(small, tmp_path):
    sweep(tmp_path, SMALL, way="full")
    fast, slow = read_run(small).records, read_run(tmp_path).records
    assert [record["key"] for record in fast] == [record["key"] for record in slow]
    assert {record["engine"] for record in fast} == {"fast"}
    assert {record["engine"] for record in slow} == {"full"}
    for one, other in zip(fast, slow, strict=True):
        assert np.array(one["logits"]) == pytest.approx(np.array(other["logits"]), abs=2e-4)
        assert np.array(one["audio"]) == pytest.approx(np.array(other["audio"]), abs=1e-4)
    assert json.loads((tmp_path / "summary.json").read_text())["way"] == ["full"]


def test_an_edit_of_all_layers_has_no_layer_pictures(small):
    assert set(contents(small)) == {"manifest.json", "items.jsonl", *TABLES}
    assert [row["layers"] for row in table(small)] == ["0,1,2,3,4,5"]


@pytest.mark.slow
def test_a_positive_control(tmp_path, capsys):
    """Deaf text rows leave the model guessing: the largest effect there can be must be found."""
    grid = Requested(["knockout"], "all", ["all_text"], "all", "none")
    sweep(tmp_path, grid, n_generated=0, metadata={"synth_scenes": 40}, batch_size=8)
    (row,) = table(tmp_path)
    assert row["control_accuracy"] > 0.6
    assert row["change_high"] < -0.2
    assert row["p_holm"] < 0.01
    assert row["mass_before"] > 0.05
    assert row["mass_after"] == 0
    shown = capsys.readouterr().out
    assert "knockout" in shown
    assert "40 items of 40 clips" in shown


# ------------------------------------------------------------------------------ sweep: going on


def test_a_second_call_computes_nothing_and_changes_no_byte(whole, tmp_path, monkeypatch):
    folder = copied(whole, tmp_path)
    nothing_more(monkeypatch)
    monkeypatch.setattr(verbs, "generate", None)
    outcome = sweep(folder)
    assert contents(folder) == contents(whole)
    assert {path.name for path in outcome.files} == TABLES | PICTURES


def test_an_interrupted_sweep_goes_on_where_it_was(small, tmp_path, monkeypatch):
    run_batch, sizes = Sweeper.run_batch, []

    def interrupted(self, items):
        sizes.append(len(items))
        if len(sizes) == 3:
            raise KeyboardInterrupt
        return run_batch(self, items)

    monkeypatch.setattr(Sweeper, "run_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, SMALL)
    assert len(read_run(tmp_path).records) == 6
    assert not set(contents(tmp_path)) & TABLES
    sweep(tmp_path, SMALL)
    assert sizes == [3, 3, 2, 2]
    assert contents(tmp_path) == contents(small)


def test_a_batch_that_was_written_in_part_is_completed(small, tmp_path):
    """Killed while it wrote: the second of the last batch's two lines is broken."""
    folder = copied(small, tmp_path)
    lines = (folder / "items.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "items.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    sweep(folder, SMALL)
    assert contents(folder) == contents(small)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seed": 1}, "settings.seed: the folder has 0, this run has 1"),
        ({"limit": 7}, "settings.limit: the folder has null, this run has 7"),
        ({"batch_size": 2}, "settings.batch_size: the folder has 3, this run has 2"),
        ({"memory": 2**20}, "settings.memory: the folder has 67108864, this run has 1048576"),
        ({"metadata": {"synth_scenes": 7}}, "settings.metadata.synth_scenes: the folder has 8"),
        ({"tasks": ["tempo_synth_eo_acqa"]}, "settings.tasks: the folder has"),
        ({"way": "full"}, 'settings.way: the folder has "auto", this run has "full"'),
        ({"n_generated": 4}, "settings.n_generated: the folder has 5, this run has 4"),
        ({"grid": replace(GRID, edits=["scale=0,3"])}, "settings.variants: "),
        ({"model_args": {"max_length": 99}}, "fingerprints.model.arguments.max_length: "),
        ({"shard": (0, 2)}, "shard: the folder has null, this run has [0, 2]"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_another_run_does_not_mix(whole, tmp_path, changes, field):
    folder = copied(whole, tmp_path)
    with pytest.raises(RunMismatchError) as caught:
        sweep(folder, **changes)
    assert "two must not mix; choose another --out" in str(caught.value)
    assert f"\n  {field}" in str(caught.value)
    assert contents(folder) == contents(whole)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("model_fingerprint", "fingerprints.model.weights"),
        ("code_fingerprint", "fingerprints.code"),
    ],
)
def test_another_model_or_program_does_not_mix(small, name, field, monkeypatch):
    monkeypatch.setattr(f"tempo_tasks.lab.study.{name}", lambda *_: "another")
    with pytest.raises(RunMismatchError, match=rf'(?s)What differs:.*{field}: .* has "another"'):
        sweep(small, SMALL)


def test_out_of_memory_loses_nothing(small, tmp_path, monkeypatch, caplog):
    """Wherever a forward takes more than one item, in the check of the two ways, too."""
    call, sizes = ModelUnderStudy.call, []

    def scarce(self, batch):
        sizes.append(len(batch.items))
        if len(batch.items) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return call(self, batch)

    monkeypatch.setattr(ModelUnderStudy, "call", scarce)
    sweep(tmp_path, SMALL)
    assert max(sizes) > 1
    assert "out of memory" in caplog.text
    for one, other in zip(read_run(tmp_path).records, read_run(small).records, strict=True):
        assert one["key"] == other["key"]
        assert np.array(one["logits"]) == pytest.approx(np.array(other["logits"]), abs=1e-4)
    assert [row["accuracy"] for row in table(tmp_path)] == [row["accuracy"] for row in table(small)]


# ------------------------------------------------------------------------------ folders and shards


def test_without_out_the_folder_is_named_after_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [sweep(None, SMALL, limit=1, n_generated=0, seed=seed).folder for seed in (0, 0, 1)]
    assert folders[0] == folders[1] != folders[2]
    for folder in folders:
        assert folder.parent == Path("runs")
        assert folder.name.startswith("sweep-")
        assert set(contents(folder)) == {"manifest.json", "items.jsonl", *TABLES}


def test_what_is_only_for_the_reader_does_not_name_the_folder(whole):
    manifest = read_run(whole).manifest
    other = manifest.to_dict()
    other["fingerprints"]["environment"]["info"]["python"] = "3.99"
    assert default_folder(Manifest.from_dict(other, "the other")) == default_folder(manifest)


def test_shards_put_together_are_one_run(small, tmp_path, monkeypatch):
    """Three batches dealt to four shards: the last has nothing to do."""
    parts = [tmp_path / f"part-{number}" for number in range(4)]
    for number, part in enumerate(parts):
        outcome = sweep(part, SMALL, shard=(number, 4))
        assert outcome.files == []
        assert set(contents(part)) == {"manifest.json", "items.jsonl"}
    assert [len(read_run(part).records) for part in parts] == [3, 3, 2, 0]
    merged = tmp_path / "merged"
    outcome = verbs.merge(parts[::-1], merged)
    assert {path.name for path in outcome.files} == TABLES
    # Records are in the order of the items, not in that of finding them.
    assert contents(merged, ["items.jsonl"]) == contents(small, ["items.jsonl"])
    assert read_run(merged) == read_run(small)
    nothing_more(monkeypatch)
    sweep(merged, SMALL)  # the unsharded command finds it finished


def test_shards_that_are_missing_or_unfinished_are_not_put_together(tmp_path, monkeypatch):
    parts = [tmp_path / f"part-{number}" for number in range(2)]
    for number, part in enumerate(parts):
        sweep(part, SMALL, shard=(number, 2), n_generated=0)
    with pytest.raises(RunFolderError, match="shards missing: 1/2"):
        verbs.merge(parts[:1], tmp_path / "merged")
    lines = (parts[0] / "items.jsonl").read_bytes().splitlines(keepends=True)
    (parts[0] / "items.jsonl").write_bytes(b"".join(lines[:-3]))
    with pytest.raises(RunFolderError, match="shard 0/2 misses 3 of its 5 items"):
        verbs.merge(parts, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


# ------------------------------------------------------------------------------ share


def share(out, **changes):
    settings = Settings(
        tasks=[TASK, "tempo_synth_eo_silence"],
        metadata={"synth_scenes": 4},
        batch_size=4,
        out=out,
    )
    return verbs.share(replace(settings, **changes), [("last",)])


def test_share(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    outcome = share(run)
    names = ["mass.csv", "mass.json", "mass.png", "mass.svg"]
    assert sorted(path.name for path in outcome.files) == names
    rows = json.loads((run / "mass.json").read_text())
    with (run / "mass.csv").open(newline="") as file:
        assert [row["share"] for row in csv.DictReader(file)] == [str(r["share"]) for r in rows]
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
    before = contents(run)
    parts = [tmp_path / f"part-{number}" for number in range(2)]
    for number, part in enumerate(parts):
        assert share(part, shard=(number, 2)).files == []
    verbs.merge(parts, tmp_path / "merged")
    left_out = ["items.jsonl"]
    assert contents(tmp_path / "merged", left_out) == contents(run, left_out)
    nothing_more(monkeypatch, MassMeter)
    share(run)
    assert contents(run) == before


def test_shares_and_a_sweeps_masses_are_the_same_numbers(whole, tmp_path):
    """Two verbs, one thing: the mean mass on audio of the last rows before the edit."""
    share(tmp_path, tasks=[TASK], metadata=DATA)
    rows = json.loads((tmp_path / "mass.json").read_text())
    shares = {
        str(row["layer"]): row["mass"]
        for row in rows
        if (row["group"], row["rows"]) == ("all", "last")
    }
    for row in table(whole):
        if row["rows"] == "last":
            assert row["mass_before"] == pytest.approx(shares[row["layers"]], abs=1e-5)


# ------------------------------------------------------------------------------ fit


def plant(folder, whole, helps, n_items=40):
    """Write a finished sweep that nobody ran, with the grid of another one.

    Every second item is wrong, and under the variants that `helps` chooses, none is. Two items
    share a clip.
    """
    manifest = json.loads((whole / "manifest.json").read_text())
    variants = manifest["settings"]["variants"]
    manifest["n_items"] = n_items
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with (folder / "items.jsonl").open("w") as file:
        for index in range(n_items):
            right, wrong = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]
            plain = right if index % 2 else wrong
            record = {
                "key": f"{index:064x}",
                "index": index,
                "id": f"item {index}",
                "cluster": f"clip {index // 2}",
                "kind": "eo",
                "condition": "aqa",
                "answer": 0,
                "plain": plain,
                "logits": [right if helps(variant) else plain for variant in variants],
                "audio": [[0.5, 0.6, 1.0, 1.1]] * len(variants),
                "way": "fast",
                "generated": None,
            }
            file.write(json.dumps(record) + "\n")
    return folder


def the_planted(variant):
    return (variant["layers"], variant["rows"], variant["strength"], variant["role"]) == (
        [0],
        ["option"],
        2.0,
        "edit",
    )


@pytest.fixture
def planted(whole, tmp_path):
    return plant(tmp_path / "planted", whole, the_planted)


def test_fit_finds_what_was_planted_and_says_where_it_comes_from(planted, tmp_path):
    out = tmp_path / "edit"
    choice, folder = verbs.fit(None, None, run=planted, out=out, folds=4)
    assert folder == out
    assert choice.held_out == pytest.approx(0.5)
    config = AttnScaleConfig.from_pretrained(out)
    assert (config.mode, config.strength) == ("scale", 2.0)
    assert (config.layers, config.queries, config.heads) == ([0], ["option"], None)
    assert config.base_model_name_or_path == "embedded"
    about = config.provenance
    assert about["fit"] == choice.to_dict() == json.loads((out / "fit.json").read_text())
    low, high = about["fit"]["interval"]
    assert 0 < low <= about["fit"]["held_out"] <= high
    assert about["fit"]["n"] == 40
    assert about["fit"]["optimism"] == pytest.approx(0.0)
    manifest = json.loads((planted / "manifest.json").read_text())
    assert about["data"] == manifest["fingerprints"]["data"]
    assert about["data"][TASK]["data_name"] == "tempo-synth-1[:8]"
    assert about["model_weights"] == manifest["fingerprints"]["model"]["weights"]
    assert about["tasks"] == [TASK]
    assert (out / "README.md").exists()
    # It is a folder that `tempo push` takes.
    assert set(to_share(out, "me/edit").files) == {"attn_scale_config.json", "README.md"}


def test_lm_eval_evaluates_what_fit_wrote(planted, whole, tmp_path):
    out = tmp_path / "edit"
    verbs.fit(None, None, run=planted, out=out, folds=4)
    manager = TaskManager(include_defaults=False, include_path=task_yamls_dir(), metadata=DATA)
    results = lm_eval.simple_evaluate(
        model="lalm",
        model_args={"attn_scale": str(out)},
        tasks=[f"{TASK}_ll"],
        limit=3,
        batch_size=3,
        task_manager=manager,
        bootstrap_iters=0,
    )
    info = results["config"]["tempo"]["attn_scale"]
    assert info["sha256"] == AttnScaleConfig.from_pretrained(out).fingerprint()
    number = number_of(whole, layers=[0], rows=["option"], strength=2.0, role="edit")
    samples = sorted(results["samples"][f"{TASK}_ll"], key=lambda sample: sample["doc_id"])
    scores = [[score for ((score, _),) in sample["resps"]] for sample in samples]
    swept = [record["logits"][number] for record in read_run(whole).records[:3]]
    assert centred(scores) == pytest.approx(centred(swept), abs=1e-3)


def test_the_written_edit_fits_the_model_that_it_was_chosen_on(planted, tmp_path):
    out = tmp_path / "edit"
    verbs.fit(None, None, run=planted, out=out, folds=4)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*was made for")
        LALM(attn_scale=str(out))


def test_fit_writes_nothing_where_no_edit_helps(whole, tmp_path, capsys):
    planted = plant(tmp_path / "planted", whole, lambda variant: False)
    out = tmp_path / "edit"
    choice, folder = verbs.fit(None, None, run=planted, out=out)
    assert folder is choice.variant is None
    assert choice.apparent == choice.held_out == 0
    assert {path.name for path in out.iterdir()} == {"fit.json"}
    assert json.loads((out / "fit.json").read_text())["variant"] is None


def test_a_fit_that_finds_nothing_leaves_no_older_edit_behind(planted, whole, tmp_path):
    """Else fit.json says that nothing helps, beside a configuration ready to push."""
    out = tmp_path / "edit"
    verbs.fit(None, None, run=planted, out=out)
    useless = plant(tmp_path / "useless", whole, lambda variant: False)
    assert verbs.fit(None, None, run=useless, out=out)[1] is None
    with pytest.raises(ConfigError):
        AttnScaleConfig.from_pretrained(out)


def test_fit_runs_a_sweep_where_it_is_given_tasks(tmp_path, monkeypatch):
    out = tmp_path / "edit"
    requested = Requested(["scale=0,3"], "0,3", ["last"], "all", "none")

    def fitted():
        return verbs.fit(SETTINGS, requested, out=out, folds=3, objective="margin")

    choice, folder = fitted()
    run = read_run(out / "sweep")
    assert run.complete
    assert choice.n == len(run.records) == 8
    assert (choice.objective, len(choice.per_fold)) == ("margin", 3)
    # So few items may well choose none; then there is no configuration.
    assert (out / "attn_scale_config.json").exists() == (folder is not None)
    before = contents(out, ["sweep"])
    nothing_more(monkeypatch)
    assert fitted()[0] == choice
    assert contents(out, ["sweep"]) == before


def test_fit_chooses_on_one_kind(whole, tmp_path):
    planted = plant(tmp_path / "planted", whole, the_planted)
    with pytest.raises(ConfigError, match="no item is of the kind 'lo'; expected one of"):
        verbs.fit(None, None, run=planted, out=tmp_path / "edit", kind="lo")
    choice, _ = verbs.fit(None, None, run=planted, out=tmp_path / "edit", kind="eo")
    assert choice.kind == "eo"


def test_fit_refuses_an_unfinished_sweep(planted, tmp_path):
    lines = (planted / "items.jsonl").read_text().splitlines(keepends=True)
    (planted / "items.jsonl").write_text("".join(lines[:-3]))
    with pytest.raises(ConfigError, match="3 items are missing; run the same `tempo sweep` again"):
        verbs.fit(None, None, run=planted, out=tmp_path / "edit")
    assert not (tmp_path / "edit").exists()


def test_fit_refuses_a_shard(tmp_path):
    sweep(tmp_path / "part", SMALL, shard=(0, 2), n_generated=0)
    with pytest.raises(ConfigError, match="is one shard of a run; put all of them together"):
        verbs.fit(None, None, run=tmp_path / "part", out=tmp_path / "edit", folds=2)


def test_fit_refuses_a_run_of_another_verb(tmp_path):
    share(tmp_path / "shares", limit=1)
    with pytest.raises(RunFolderError, match="a run of `tempo mass` has no variants; expected"):
        verbs.fit(None, None, run=tmp_path / "shares", out=tmp_path / "edit")


def test_fit_refuses_too_few_clips(small, tmp_path):
    with pytest.raises(ConfigError, match="8 clusters; expected at least one for each of the 9"):
        verbs.fit(None, None, run=small, out=tmp_path / "edit", folds=9)


# ------------------------------------------------------------------------------ compare


def compare(out, **changes):
    settings = replace(SETTINGS, out=out, limit=6, **changes)
    return lab_compare.compare(
        settings, strengths=(0.5, 2.0), layers=[(3,)], rows=[("keyword", "last")], nulls=()
    )


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("compare") / "compared"
    compare(folder)
    return folder


def test_compare_has_scaling_its_two_parts_and_a_constant_bias(compared):
    files = {"manifest.json", "items.jsonl", "mass.png", "mass.svg", *TABLES}
    assert set(contents(compared)) == files
    rows = table(compared)
    by_mode = {}
    for row in rows:
        by_mode.setdefault(row["mode"], []).append((row["rows"], row["strength"]))
    same = [("last+keyword", 0.5), ("last+keyword", 2.0)]
    for mode in ("scale", "scale_preserving", "upweight_matched"):
        assert sorted(by_mode.pop(mode)) == same
    (biases,) = by_mode.values()
    assert list(by_mode) == ["upweight"]
    assert [rows for rows, _ in biases] == ["last+keyword"] * 2
    assert json.loads((compared / "summary.json").read_text())["command"] == "compare"


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
    rows = table(compared)
    manifest = json.loads((compared / "manifest.json").read_text())
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


def test_shards_of_a_comparison_are_one_run(compared, tmp_path, capsys):
    """Biases are chosen on the first items of the whole run, whatever the shard."""
    parts = [tmp_path / f"part-{number}" for number in range(2)]
    for number, part in enumerate(parts):
        assert compare(part, shard=(number, 2)).files == []
    verbs.merge(parts, tmp_path / "merged")
    left_out = ["items.jsonl"]
    assert contents(tmp_path / "merged", left_out) == contents(compared, left_out)
    shown = capsys.readouterr().out  # the four side by side
    for words in ("scaling", "one bias", "6 items of 6 clips"):
        assert words in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cluster": 3}, "cluster is 3, expected str"),
        ({"plain": [0.0, "1", 2.0, 3.0]}, r"plain\[1\] is '1', expected float"),
        ({"added": 1}, r"\['added'\] are not known"),
        ({"answer": 9}, "has the answer 9"),
        ({"logits": []}, "has 0 variants"),
    ],
)
def test_a_damaged_record_is_named_with_its_folder(whole, tmp_path, change, message):
    folder = copied(whole, tmp_path)
    items = folder / "items.jsonl"
    first, *rest = items.read_text().splitlines()
    items.write_text("\n".join([json.dumps({**json.loads(first), **change}), *rest, ""]))
    with pytest.raises((RunFolderError, ConfigError), match=rf"copy: .*item .*{message}"):
        verbs.fit(None, None, run=folder, out=tmp_path / "edit")
    assert not (tmp_path / "edit").exists()


def test_settings_of_the_command_that_are_damaged_are_named(whole, tmp_path):
    folder = copied(whole, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["settings"]["variants"] = 3
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunFolderError, match=r"copy: .* damaged \(TypeError: "):
        verbs.fit(None, None, run=folder, out=tmp_path / "edit")


def test_a_manifest_without_its_parts_is_named(whole, tmp_path):
    folder = copied(whole, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["fingerprints"]["model"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    message = r"copy/manifest\.json: \['model'\] are missing in fingerprints"
    with pytest.raises(RunFolderError, match=message):
        verbs.fit(None, None, run=folder, out=tmp_path / "edit")

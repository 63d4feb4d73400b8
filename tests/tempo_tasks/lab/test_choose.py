"""`tempo choose`, from finished sweeps and from one that it runs first."""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import lm_eval
import pytest
import torch
from lm_eval.tasks import TaskManager

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import ConfigError, OptionError, RunFolderError
from tempo_attn.hub.push import to_share
from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.sweep.choose import choose
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab import choose as lab_choose
from tempo_tasks.lab.choose import ChooseRequest, Chosen, choose_from, sweep_and_choose
from tempo_tasks.lab.grid_request import parse_grid
from tempo_tasks.lab.mass import MassRequest, run_mass
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.sweep import SweepRequest, run_sweep
from tempo_tasks.paths import task_yamls_dir
from tests.support import sweep_results
from tests.support.lab_commands import centred, number_of, tempo

TASK = "tempo_synth_eo_aqa"
DATA = {"synth_scenes": 8}
TYPED = ["--tasks", TASK, "--metadata", json.dumps(DATA)]
pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=[TASK], metadata=DATA, batch_size=3)
SMALL = parse_grid(["scale=2"], "all", ["last"], nulls="none")


def sweep(out, grid=SMALL, n_generated=0, **changes):
    torch.set_num_threads(1)
    settings = replace(SETTINGS, out=out, **changes)
    return run_sweep(settings, SweepRequest(grid=grid, n_generated=n_generated))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, loaded_once):
    """A finished sweep: 8 edits with their controls and nulls."""
    folder = tmp_path_factory.mktemp("sweep") / "whole"
    sweep(folder, parse_grid(["scale=0,2"], "0,3", ["last,option"]))
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory, loaded_once):
    """A finished sweep of a single edit, of all layers at once, on the same items."""
    folder = tmp_path_factory.mktemp("sweep") / "small"
    sweep(folder)
    return folder


def copied(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copy"))


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
                "engine": "fast",
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


def test_choose_finds_what_was_planted_and_says_where_it_comes_from(planted, tmp_path):
    out = tmp_path / "edit"
    choice, folder = choose_from(planted, ChooseRequest(out=out, folds=4))
    assert folder == out
    assert choice.held_out == pytest.approx(0.5)
    config = AttnScaleConfig.from_pretrained(out)
    assert (config.mode, config.strength) == ("scale", 2.0)
    assert (config.layers, config.queries, config.heads) == ([0], ["option"], None)
    assert config.base_model_name_or_path == "embedded"
    about = config.provenance
    assert about["choice"] == choice.to_dict() == json.loads((out / "choice.json").read_text())
    low, high = about["choice"]["interval"]
    assert 0 < low <= about["choice"]["held_out"] <= high
    assert about["choice"]["n"] == 40
    assert about["choice"]["optimism"] == pytest.approx(0.0)
    manifest = json.loads((planted / "manifest.json").read_text())
    assert about["data"] == manifest["fingerprints"]["data"]
    assert about["data"][TASK]["data_name"] == "tempo-synth-1[:8]"
    assert about["model_weights"] == manifest["fingerprints"]["model"]["weights"]
    assert about["tasks"] == [TASK]
    assert (out / "README.md").exists()
    # It is a folder that `tempo push` takes.
    assert set(to_share(out, "me/edit").files) == {"attn_scale_config.json", "README.md"}


def test_lm_eval_evaluates_what_choose_wrote(planted, whole, tmp_path):
    out = tmp_path / "edit"
    choose_from(planted, ChooseRequest(out=out, folds=4))
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
    choose_from(planted, ChooseRequest(out=out, folds=4))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*was made for")
        LALM(attn_scale=str(out))


def test_choose_writes_nothing_where_no_edit_helps(whole, tmp_path, capsys):
    planted = plant(tmp_path / "planted", whole, lambda variant: False)
    out = tmp_path / "edit"
    choice, folder = choose_from(planted, ChooseRequest(out=out))
    assert folder is choice.variant is None
    assert choice.apparent == choice.held_out == 0
    assert {path.name for path in out.iterdir()} == {"choice.json"}
    assert json.loads((out / "choice.json").read_text())["variant"] is None


def test_a_choice_that_finds_nothing_leaves_no_older_edit_behind(planted, whole, tmp_path):
    """Else choice.json says that nothing helps, beside a configuration ready to push."""
    out = tmp_path / "edit"
    choose_from(planted, ChooseRequest(out=out))
    useless = plant(tmp_path / "useless", whole, lambda variant: False)
    assert choose_from(useless, ChooseRequest(out=out))[1] is None
    with pytest.raises(ConfigError):
        AttnScaleConfig.from_pretrained(out)


def test_choose_runs_a_sweep_where_it_is_given_tasks(tmp_path):
    out = tmp_path / "edit"
    grid = parse_grid(["scale=0,3"], "0,3", ["last"], nulls="none")
    request = ChooseRequest(out=out, folds=3, objective="margin")
    choice, folder = sweep_and_choose(SETTINGS, grid, request)
    run = read_run(out / "sweep")
    assert run.complete
    assert choice.n == len(run.records) == 8
    assert (choice.objective, len(choice.per_fold)) == ("margin", 3)
    # So few items may well choose none; then there is no configuration.
    assert (out / "attn_scale_config.json").exists() == (folder is not None)


def test_choose_chooses_on_one_kind(whole, tmp_path):
    planted = plant(tmp_path / "planted", whole, the_planted)
    with pytest.raises(OptionError, match="no item is of the kind 'lo'; expected one of"):
        choose_from(planted, ChooseRequest(out=tmp_path / "edit", kind="lo"))
    choice, _ = choose_from(planted, ChooseRequest(out=tmp_path / "edit", kind="eo"))
    assert choice.kind == "eo"


def test_choose_refuses_an_unfinished_sweep(planted, tmp_path):
    lines = (planted / "items.jsonl").read_text().splitlines(keepends=True)
    (planted / "items.jsonl").write_text("".join(lines[:-3]))
    with pytest.raises(RunFolderError, match="3 items are missing; run the same `tempo"):
        choose_from(planted, ChooseRequest(out=tmp_path / "edit"))
    assert not (tmp_path / "edit").exists()


def test_choose_refuses_a_shard(tmp_path):
    sweep(tmp_path / "part", shard=(0, 2))
    with pytest.raises(RunFolderError, match="is one shard of a run; put all of them together"):
        choose_from(tmp_path / "part", ChooseRequest(out=tmp_path / "edit", folds=2))


def test_choose_refuses_a_run_of_another_command(tmp_path):
    run_mass(replace(SETTINGS, out=tmp_path / "mass", limit=1), MassRequest(rows=[("last",)]))
    with pytest.raises(RunFolderError, match="a run of `tempo mass` has no variants; expected"):
        choose_from(tmp_path / "mass", ChooseRequest(out=tmp_path / "edit"))


def test_choose_refuses_too_few_clusters(small, tmp_path):
    with pytest.raises(OptionError, match="8 clusters; expected at least one for each of the 9"):
        choose_from(small, ChooseRequest(out=tmp_path / "edit", folds=9))


# ------------------------------------------------------------------------------ damage


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
        choose_from(folder, ChooseRequest(out=tmp_path / "edit"))
    assert not (tmp_path / "edit").exists()


def test_settings_of_the_command_that_are_damaged_are_named(whole, tmp_path):
    folder = copied(whole, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["settings"]["variants"] = 3
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunFolderError, match=r"copy: .* damaged \(TypeError: "):
        choose_from(folder, ChooseRequest(out=tmp_path / "edit"))


def test_a_manifest_without_its_parts_is_named(whole, tmp_path):
    folder = copied(whole, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["fingerprints"]["model"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    message = r"copy/manifest\.json: \['model'\] are missing in fingerprints"
    with pytest.raises(RunFolderError, match=message):
        choose_from(folder, ChooseRequest(out=tmp_path / "edit"))


# ------------------------------------------------------------------------------ the command


def chosen(helps):
    """What `tempo choose` chooses from 20 items, half of them wrong, that one edit makes right."""
    edit = sweep_results.edit(2.0)
    plain = [0, 1] * 10
    return choose(sweep_results.sweep({edit.control: plain, edit: [0] * 20 if helps else plain}))


def test_choose_ends_with_status_1_where_no_edit_helps(monkeypatch, capsys):
    nothing = Chosen(chosen(helps=False), None)
    monkeypatch.setattr(lab_choose, "choose_from", lambda *_: nothing)
    assert tempo(monkeypatch, "choose", "--from", "run", "--out", "edit") == 1
    output = " ".join(capsys.readouterr().out.split())
    assert "no edit: none is better than leaving the model alone" in output
    assert "Nothing is written" in output


def test_choose_says_what_it_chose_and_how_to_evaluate_it(monkeypatch, capsys):
    told = []

    def from_run(*args):
        told.append(args)
        return Chosen(chosen(helps=True), Path("edit"))

    monkeypatch.setattr(lab_choose, "choose_from", from_run)
    typed = "choose --from run --out edit --folds 4 --objective margin --kind eo --seed 3"
    assert tempo(monkeypatch, *typed.split()) == 0
    request = ChooseRequest(out=Path("edit"), folds=4, objective="margin", kind="eo", seed=3)
    assert told == [(Path("run"), request)]
    output = " ".join(capsys.readouterr().out.split())
    assert "Chosen on all 20 items of 20 clusters: scale 2, layer 3, last" in output
    assert "+50.0 points" in output
    assert "lm_eval --model lalm --model_args attn_scale=edit" in output


def test_choose_on_tasks(monkeypatch):
    told = []

    def from_tasks(*args):
        told.append(args)
        return Chosen(chosen(helps=True), Path("edit"))

    monkeypatch.setattr(lab_choose, "sweep_and_choose", from_tasks)
    typed = ["choose", *TYPED, "--out", "edit", "--layers", "2", "--limit", "9", "--seed", "4"]
    assert tempo(monkeypatch, *typed) == 0
    ((settings, grid, request),) = told
    assert (settings.tasks, settings.limit, settings.seed) == ([TASK], 9, 4)
    assert (grid.layers, grid.nulls) == ([(2,)], [])
    assert request == ChooseRequest(out=Path("edit"), seed=4)


def test_another_process_tells(monkeypatch, capsys):
    monkeypatch.setattr(lab_choose, "sweep_and_choose", lambda *_: None)
    assert tempo(monkeypatch, "choose", *TYPED, "--out", "edit") == 0
    assert capsys.readouterr().out == ""


def test_a_sweep_folder_of_another_kind_is_refused_before_anything_is_loaded(
    tmp_path, nothing_loads
):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "thesis.tex").touch()
    with pytest.raises(RunFolderError, match="is not empty and no run folder"):
        sweep_and_choose(SETTINGS, SMALL, ChooseRequest(out=tmp_path))

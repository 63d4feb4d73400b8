"""`tempo presets` on the embedded model and a few short items: its files, what they mean."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import OptionError
from tempo_attn.lab.presets.published import PRESETS, compared
from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.sweep.adaptive import composed
from tempo_attn.lab.sweep.records import SweepResults
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab import presets as lab_presets
from tempo_tasks.lab.presets import PresetsRequest, parse_presets, run_presets
from tempo_tasks.lab.settings import Settings
from tests.support.lab_commands import centred, contents, likelihoods, tempo
from tests.support.lab_commands import read as read_json

TASK = "tempo_synth_eo_aqa"
DATA = {"synth_scenes": 4}
pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=[TASK], metadata=DATA, batch_size=2)
FEW = ["mata", "adaptvis"]
FILES = {f"{name}.{kind}" for name in ("effects", "presets") for kind in ("csv", "json")} | {
    "summary.json",
    "presets.png",
    "presets.svg",
}


def compare(out, names=FEW, **changes):
    return run_presets(replace(SETTINGS, out=out, **changes), PresetsRequest(names=names))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished comparison of all presets."""
    torch.set_num_threads(1)  # the number of threads is a part of the manifest
    folder = tmp_path_factory.mktemp("presets") / "whole"
    compare(folder, list(PRESETS))
    return folder


def read(folder, name):
    return read_json(folder, f"{name}.json")


def results(folder):
    return SweepResults.of_run(read_run(folder))


def entry(name, n_layers=6, usable=None, **fields):
    (config, *_) = PRESETS[name]()
    return compared(name, config, n_layers, usable or range(n_layers), **fields)


# ------------------------------------------------------------------------------ which presets


def test_all_and_some_presets():
    assert parse_presets("all") == list(PRESETS)
    assert parse_presets("pai, mata,pai") == ["pai", "mata"]


@pytest.mark.parametrize(
    ("value", "words"),
    [("mta", r"unknown 'mta'\. Did you mean 'mata'\?"), ("", "unknown ''"), ("pai,x", "'x'")],
)
def test_an_unknown_preset_gives_the_list(value, words):
    with pytest.raises(OptionError, match=rf"--presets: .*{words}.*Available: all, mata, mata_add"):
        parse_presets(value)


# ------------------------------------------------------------------------------ what it says


def test_the_files(whole):
    assert set(contents(whole)) == {"manifest.json", "items.jsonl", *FILES}
    lines = read(whole, "presets")
    with (whole / "presets.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == [row["label"] for row in lines]
    assert len(lines) == 5 + 4 * 3
    assert {line["preset"] for line in lines} == set(PRESETS)
    assert [line["chosen_here"] for line in lines].count(True) == 4
    about = read(whole, "summary")
    assert about["command"] == "presets"
    by_preset = {found["preset"]: found for found in about["presets"]}
    assert "-> 2-3 of 6" in by_preset["mata"]["layers"]
    assert "-> 0-5 of 6" in by_preset["pai"]["layers"]
    sources = {found["config"]["provenance"]["source"] for found in about["presets"]}
    assert {"arXiv:2509.18816", "arXiv:2407.21771", "arXiv:2503.01773"} <= sources
    assert by_preset["mata"]["prefill_part_only"]
    assert not by_preset["adaptvis"]["prefill_part_only"]
    assert 0 <= by_preset["adaptvis"]["items_with_low"] <= 4
    words = " ".join(about["notes"])
    assert "mata, mata_add, pai: the source edits every decoding step" in words
    assert "chosen on these very items" in words


def test_lines_are_the_effects_and_their_mean_and_best(whole):
    lines = {line["label"]: line for line in read(whole, "presets")}
    effects = read(whole, "effects")
    layers = [e for e in effects if (e["preset"], e["strength"]) == ("scaling", 0.2)]
    assert len(layers) == 6
    (own,) = [e for e in layers if e["layers"] == lines["scaling 0.2"]["layers"]]
    best = lines["scaling 0.2: best of 6 layers"]
    mean = lines["scaling 0.2: mean of 6 layers"]
    same = ("change", "accuracy", "p_holm", "fix_rate", "break_rate", "mass_after", "entropy_after")
    for name in same:
        assert lines["scaling 0.2"][name] == own[name]
    assert best["change"] == max(e["change"] for e in layers)
    ranked = [e for e in layers if e["change"] == best["change"]]
    assert best["layers"] == max(ranked, key=lambda e: e["margin_change"])["layers"]
    assert lines["scaling 0.2"]["null_change"] == own["null_sign_change"]
    for name in ("change", "accuracy", "mass_before", "mass_after", "entropy_after"):
        assert mean[name] == pytest.approx(np.mean([e[name] for e in layers]), abs=1e-5)
    assert mean["null_change"] == pytest.approx(
        np.mean([e["null_sign_change"] for e in layers]), abs=1e-5
    )
    assert mean["p"] is mean["p_holm"] is None
    assert mean["change_low"] <= mean["change"] <= mean["change_high"]
    assert (lines["knockout"]["null"], lines["mata"]["null"]) == ("keys", "sign")
    assert lines["knockout"]["mass_after"] == 0
    assert lines["mata_add"]["entropy_after"] == pytest.approx(
        lines["mata_add"]["entropy_before"], abs=0.02
    )


def test_upweighting_has_scalings_mass_and_keeps_the_shape(whole):
    lines = {line["label"]: line for line in read(whole, "presets")}
    for alpha in ("2", "0.2"):
        scaled, biased = lines[f"scaling {alpha}"], lines[f"upweighting {alpha}"]
        assert biased["mass_after"] == pytest.approx(scaled["mass_after"], abs=1e-4)
        assert biased["entropy_after"] == pytest.approx(biased["entropy_before"], abs=1e-4)
        assert abs(scaled["entropy_after"] - scaled["entropy_before"]) > 0.1


def test_matas_readings_are_run_as_different_edits(whole):
    found = results(whole)
    multiply, add = (found.logits[:, found.number[entry(n).own]] for n in ("mata", "mata_add"))
    control = found.logits[:, found.number[entry("mata").own.control]]
    assert np.abs(multiply - add).max() > 1e-3
    assert np.abs(multiply - control).max() > 1e-3
    assert np.abs(add - control).max() > 1e-3


def test_several_kinds_have_lines_for_each_and_for_all(tmp_path, capsys):
    compare(tmp_path, tasks=[TASK, "tempo_synth_ld_aqa"], metadata={"synth_scenes": 2})
    lines = read(tmp_path, "presets")
    assert [(line["kind"], line["label"]) for line in lines] == [
        (kind, name) for kind in ("ld", "eo", "all") for name in FEW
    ]
    shown = capsys.readouterr().out
    for words in (
        "all kinds, aqa (n = 4)",
        "2-3*",
        "layers 10-20 of 32 (Qwen2-Audio) -> 2-3 of 6",
        "of 4 items take the low strength",
        "only the prefill part is compared",
    ):
        assert words in shown.replace("\n", " ")


# ------------------------------------------------------------------------------ what it means


def scores_of(config):
    """What lm_eval gets for the letters under a saved configuration."""
    return centred(likelihoods(LALM(batch_size=2, attn_scale=config), TASK, DATA)[0])


@pytest.mark.parametrize("name", ["mata", "pai", "upweighting"])
def test_a_saved_preset_evaluates_to_what_was_compared(whole, name, tmp_path):
    """Also one that edits every step: the first letter comes from the prefill."""
    config = AttnScaleConfig.from_dict(
        next(p for p in read(whole, "summary")["presets"] if p["preset"] == name)["config"]
    )
    config.save_pretrained(tmp_path)
    found = results(whole)
    expected = found.logits[:, found.number[entry(name).own]]
    scores = scores_of(str(tmp_path))
    assert scores == pytest.approx(centred(expected), abs=1e-3)


def test_composed_adaptvis_is_what_lm_eval_measures(whole, tmp_path):
    """At a threshold between the items' confidences, so that both strengths are taken."""
    found = results(whole)
    confidences = sorted(record.confidence for record in found.records)
    threshold = float(np.mean(confidences[1:3]))
    own = entry("adaptvis").own
    edit = replace(own, adaptive=(threshold, *own.adaptive[1:]))
    found = composed(found, [edit])
    edit.config().save_pretrained(tmp_path)
    assert scores_of(str(tmp_path)) == pytest.approx(
        centred(found.logits[:, found.number[edit]]), abs=1e-3
    )


# ------------------------------------------------------------------------------ the command


TYPED = ["presets", "--tasks", TASK, "--metadata", json.dumps(DATA)]


def test_options(monkeypatch):
    told = []
    monkeypatch.setattr(lab_presets, "run_presets", lambda *args: told.append(args[1]))
    assert tempo(monkeypatch, *TYPED) == 0
    assert tempo(monkeypatch, *TYPED, "--presets", "pai") == 0
    typed = ["--presets", "all", "--layers", "2+3", "--nulls", "keys", "--engine", "full"]
    assert tempo(monkeypatch, *TYPED, *typed) == 0
    assert told == [
        PresetsRequest(names=list(PRESETS), nulls=["sign"]),
        PresetsRequest(names=["pai"], nulls=["sign"]),
        PresetsRequest(names=list(PRESETS), layers=(2, 3), nulls=["keys"], engine="full"),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--presets", "matta"], "Did you mean 'mata'? Available: all, mata"),
        (["--presets", "pai", "--layers", "2-3"], "expected one set for all presets"),
        (["--presets", "pai", "--layers", "each"], "expected one set for all presets"),
        (["--presets", "pai", "--layers", "9"], "layer 9 is out of range"),
        # They bring their own.
        (["--presets", "all", "--rows", "option"], "No such option: --rows"),
        (["--presets", "all", "--strengths", "0.5,2"], "No such option: --strengths"),
    ],
)
def test_mistakes_are_told(monkeypatch, capsys, arguments, words, tmp_path):
    assert tempo(monkeypatch, *TYPED, *arguments, "--out", tmp_path / "run") != 0
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_a_name_that_is_none_is_refused_before_anything_is_loaded(nothing_loads, tmp_path):
    for names in ([], ["matta"]):
        with pytest.raises(OptionError, match="--presets: unknown"):
            compare(tmp_path, names)

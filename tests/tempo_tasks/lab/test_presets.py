"""`tempo compare --presets` on the embedded model and a few short items."""

import csv
import json
import sys
from dataclasses import replace

import lm_eval
import numpy as np
import pytest
import torch

from tempo_attn import AttnScaleConfig, presets
from tempo_attn.attention.mode_formulas import edit_logits
from tempo_attn.errors import ConfigError
from tempo_attn.lab.presets.table import Compared, ranges
from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.sweep.adaptive import composed
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.lab.sweep.run import Sweeper
from tempo_tasks import cli
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab import presets as lab_presets
from tempo_tasks.lab import tasks_to_items as lab_items
from tempo_tasks.lab import verbs
from tempo_tasks.lab.presets import PRESETS, compare_presets, compared, parse_presets, variants_of
from tempo_tasks.lab.study import Settings

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
    layers = changes.pop("layers", None)
    return compare_presets(replace(SETTINGS, out=out, **changes), names, layers=layers)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished comparison of all presets."""
    torch.set_num_threads(1)  # the number of threads is a part of the manifest
    folder = tmp_path_factory.mktemp("presets") / "whole"
    compare(folder, parse_presets("all"))
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("presets") / "few"
    compare(folder)
    return folder


def contents(folder, leave_out=()):
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in leave_out
    }


def read(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def results(folder):
    return SweepResults.of_run(read_run(folder))


def entry(name, n_layers=6, usable=None, **fields):
    (config, *_) = PRESETS[name]()
    return compared(name, config, n_layers, usable or range(n_layers), **fields)


def centred(logits):
    return np.asarray(logits) - np.asarray(logits).mean(-1, keepdims=True)


# ------------------------------------------------------------------------------ which presets


def test_all_and_some_presets():
    assert parse_presets("all") == list(PRESETS)
    assert parse_presets("pai, mata,pai") == ["pai", "mata"]


@pytest.mark.parametrize(
    ("value", "words"),
    [("mta", r"unknown 'mta'\. Did you mean 'mata'\?"), ("", "unknown ''"), ("pai,x", "'x'")],
)
def test_an_unknown_preset_gives_the_list(value, words):
    with pytest.raises(ConfigError, match=rf"--presets: .*{words}.*Available: all, mata, mata_add"):
        parse_presets(value)


def test_the_constants_are_those_of_the_configurations():
    for name, config in (
        ("mata", AttnScaleConfig.mata("multiply")),
        ("mata_add", AttnScaleConfig.mata("add")),
        ("pai", AttnScaleConfig.pai()),
    ):
        own = entry(name, n_layers=32).own
        assert (own.mode, own.strength) == (config.mode, config.strength)
        assert list(own.layers) == config.layers
        assert list(own.rows) == config.queries == ["last"]
    rule = AttnScaleConfig.adaptvis().adaptive
    assert entry("adaptvis").own.adaptive == (rule.threshold, rule.low, rule.high)
    alphas = [config.strength for config in PRESETS["scaling"]()]
    assert alphas == [alpha for _, alpha, _ in presets.PAPER_MODELS.values()] == [2.0, 0.2]


def test_matas_two_readings_are_different_edits():
    """(1 + alpha) L and L + alpha, on the chosen keys alone."""
    logits = torch.tensor([[[[2.0, -3.0, 0.5]]]])
    keys = torch.tensor([True, True, False])
    found = {}
    for name in ("mata", "mata_add"):
        own = entry(name).own
        found[name] = edit_logits(logits, keys, own.mode, own.strength).flatten().tolist()
    assert found["mata"] == pytest.approx([2.2, -3.3, 0.5])
    assert found["mata_add"] == pytest.approx([2.1, -2.9, 0.5])


# ------------------------------------------------------------------------------ layers


@pytest.mark.parametrize(
    ("layers", "n_source", "n_layers", "expected"),
    [
        (range(10, 21), 32, 6, [2, 3]),
        (range(10, 21), 28, 6, [2, 3]),  # whichever depth MATA's layers are counted in
        (range(10, 21), 32, 28, list(range(9, 18))),
        (range(2, 32), 32, 6, [0, 1, 2, 3, 4, 5]),
        (range(2, 32), 32, 24, list(range(1, 24))),
        ([20], 28, 6, [4]),
        ([9], 32, 6, [1]),
        ([0], 32, 2, [0]),  # no layer's middle lies in it
        ([31], 32, 2, [1]),
        ([3, 5], 8, 8, [3, 5]),
    ],
)
def test_layers_at_the_same_relative_depth(layers, n_source, n_layers, expected):
    assert presets.map_layers(layers, n_source, n_layers) == expected


@pytest.mark.parametrize(
    ("n_layers", "layers", "words"),
    [
        (6, "2-3", "layers 10-20 of 32 (Qwen2-Audio) -> 2-3 of 6, at the same relative depth"),
        (24, "7-15", "layers 10-20 of 32 (Qwen2-Audio) -> 7-15 of 24"),
        (28, "10-20", "layers 10-20 of 28, as published"),  # Qwen2.5-Omni, a source's own depth
        (32, "10-20", "layers 10-20 of 32, as published"),
        (40, "10-20", "layers 10-20 of 40, as published (for Qwen2-Audio, of 32)"),
    ],
)
def test_layers_are_mapped_and_said(n_layers, layers, words):
    found = entry("mata", n_layers)
    assert ranges(found.own.layers) == layers
    assert found.layers.startswith(words)
    assert found.config["layers"] == list(found.own.layers)
    assert found.config["provenance"]["layers"] == found.layers


def test_given_layers_are_those_of_all():
    for name in PRESETS:
        found = entry(name, given=[3, 5])
        assert {edit.layers for edit in found.edits} == {(3, 5)}
        assert found.layers == "layers 3,5 of 6, by --layers"


def test_layers_without_attention_are_left_out_and_said():
    found = entry("mata", usable=[0, 2, 4])
    assert found.own.layers == (2,)
    assert found.layers.endswith("without 3, which have no attention to edit")
    with pytest.raises(ConfigError, match=r"preset 'mata': .*no layer is left"):
        entry("mata", usable=[0, 5])


def test_scaling_is_run_at_every_layer_that_can_be_edited():
    found = entry("scaling", usable=[0, 1, 2, 4])
    assert [edit.layers for edit in found.edits] == [(0,), (1,), (2,), (4,)]
    assert found.own == replace(found.edits[0], layers=(4,))
    assert found.own.rows == ("last", "keyword")


def test_every_edit_has_its_control_and_nulls():
    entries = [entry(name) for name in PRESETS]
    variants = variants_of(entries, ["sign"])
    edits = [v for v in variants if v.role == "edit"]
    assert len(set(variants)) == len(variants)
    assert all(v.adaptive is None for v in variants)  # its two strengths are run instead
    assert {0.5, 1.5} <= {v.strength for v in edits}
    for edit in edits:
        assert edit.control in variants
        assert edit.null("keys" if edit.mode == "knockout" else "sign") in variants
    assert not [v for v in variants_of(entries, []) if v.role in ("sign", "keys")]


def test_what_the_manifest_holds_is_read_back():
    for name in PRESETS:
        data = json.loads(json.dumps(entry(name).to_dict()))
        assert Compared.from_dict(data) == Compared.from_dict(entry(name).to_dict())
        assert Compared.from_dict(data).edits == entry(name).edits


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


# ------------------------------------------------------------------------------ what it means


def likelihoods(config):
    lm = LALM(batch_size=2, attn_scale=config)
    twin = f"{TASK}_ll"
    tasks = lab_items.load_tasks([twin], DATA)
    found = lm_eval.evaluate(lm=lm, task_dict=dict(tasks), bootstrap_iters=0)
    samples = sorted(found["samples"][twin], key=lambda sample: sample["doc_id"])
    return centred([[score for ((score, _),) in sample["resps"]] for sample in samples])


@pytest.mark.parametrize("name", ["mata", "pai", "upweighting"])
def test_a_saved_preset_evaluates_to_what_was_compared(whole, name, tmp_path):
    """Also one that edits every step: the first letter comes from the prefill."""
    config = AttnScaleConfig.from_dict(
        next(p for p in read(whole, "summary")["presets"] if p["preset"] == name)["config"]
    )
    config.save_pretrained(tmp_path)
    found = results(whole)
    expected = found.logits[:, found.number[entry(name).own]]
    scores = likelihoods(str(tmp_path))
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
    assert likelihoods(str(tmp_path)) == pytest.approx(
        centred(found.logits[:, found.number[edit]]), abs=1e-3
    )


# ------------------------------------------------------------------------------ going on


def test_a_second_call_computes_nothing_and_changes_no_byte(few, monkeypatch):
    before = contents(few)

    def fail(self, items):
        raise AssertionError(f"{len(items)} items are computed again")

    monkeypatch.setattr(Sweeper, "run_batch", fail)
    outcome = compare(few)
    assert {path.name for path in outcome.files} == FILES
    assert contents(few) == before


def test_an_interrupted_run_goes_on_where_it_was(few, tmp_path, monkeypatch):
    run_batch, sizes = Sweeper.run_batch, []

    def interrupted(self, items):
        sizes.append(len(items))
        if len(sizes) == 2:
            raise KeyboardInterrupt
        return run_batch(self, items)

    monkeypatch.setattr(Sweeper, "run_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare(tmp_path)
    assert len(read_run(tmp_path).records) == 2
    assert not set(contents(tmp_path)) & FILES
    compare(tmp_path)
    assert sizes == [2, 2, 2]
    assert contents(tmp_path) == contents(few)


def test_shards_put_together_are_one_run(few, tmp_path):
    parts = [tmp_path / f"part-{number}" for number in range(2)]
    for number, part in enumerate(parts):
        assert compare(part, shard=(number, 2)).files == []
    verbs.merge(parts[::-1], tmp_path / "merged")
    left_out = ["items.jsonl"]
    assert contents(tmp_path / "merged", left_out) == contents(few, left_out)


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


# ------------------------------------------------------------------------------ command line


def tempo(monkeypatch, *arguments):
    base = ["tempo", "compare", "--tasks", TASK, "--metadata", json.dumps(DATA)]
    monkeypatch.setattr(sys, "argv", [*base, *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code or 0


def test_the_command_asks_for_presets_and_layers(monkeypatch):
    asked = []
    monkeypatch.setattr(
        lab_presets, "compare_presets", lambda *args, **fields: asked.append((args[1], fields))
    )
    assert tempo(monkeypatch, "--presets", "pai") == 0
    assert tempo(monkeypatch, "--presets", "all", "--layers", "2+3", "--nulls", "keys") == 0
    assert asked == [
        (["pai"], {"layers": None, "nulls": ["sign"], "way": "auto"}),
        (list(PRESETS), {"layers": [(2, 3)], "nulls": ["keys"], "way": "auto"}),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--presets", "matta"], "Did you mean 'mata'? Available: all, mata"),
        (["--presets", "all", "--rows", "option"], "presets bring their own rows"),
        (["--presets", "all", "--strengths", "0.5,2"], "presets bring their own strengths"),
        (["--presets", "pai", "--layers", "2-3"], "expected one set for all presets"),
        (["--presets", "pai", "--layers", "each"], "expected one set for all presets"),
        (["--presets", "pai", "--layers", "9"], "layer 9 is out of range"),
    ],
)
def test_mistakes_are_told(monkeypatch, capsys, arguments, words, tmp_path):
    assert tempo(monkeypatch, *arguments, "--out", tmp_path / "run") != 0
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_without_presets_the_command_is_as_before(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "tempo_tasks.lab.compare.compare", lambda settings, **fields: asked.append(fields)
    )
    assert tempo(monkeypatch) == 0
    assert asked == [
        {
            "strengths": (0.5, 2.0),
            "layers": "each",
            "rows": [("last",), ("keyword",), ("keyword", "last"), ("option",)],
            "nulls": ["sign"],
            "way": "auto",
        }
    ]

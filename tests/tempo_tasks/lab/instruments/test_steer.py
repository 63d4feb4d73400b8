"""`tempo steer` on the embedded model and a few items."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tempo_attn import AttnScaleConfig, apply_attn_scale
from tempo_attn.errors import OptionError
from tempo_attn.lab.engine.option_names import name_rows
from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.steer.pushes import Push
from tempo_attn.lab.steer.records import SteerRecord
from tempo_attn.lab.steer.table import steer_rows
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab.instruments.steer import SteerRequest, run_steer
from tempo_tasks.lab.instruments.timeline_directions import read_timeline
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.study import Study
from tests.support.lab_commands import contents, likelihoods, read, tempo
from tests.support.timeline_files import tensors, write_timeline

pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=["tempo_synth_eo_aqa"], metadata={"synth_scenes": 6}, batch_size=4)


@pytest.fixture(scope="module")
def timeline(tmp_path_factory):
    return write_timeline(tmp_path_factory.mktemp("timeline"))


@pytest.fixture(scope="module")
def steered(tmp_path_factory, timeline):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("steer") / "out"
    settings = replace(SETTINGS, tasks=["tempo_synth_eo_aqa", "tempo_synth_lo_aqa"])
    run_steer(settings, request(timeline, out, layers=[(1, 2)], write=-1.5))
    return out


def request(timeline, out, **fields):
    defaults = {"layers": [(1,)], "strengths": (2.0, -1.0), "random": 1}
    return SteerRequest(run=timeline, out=out, **(defaults | fields))


def test_the_files_are_the_records_tables(steered):
    run = read_run(steered / "trial")
    records = [SteerRecord.from_dict(record) for record in run.records]
    found = [Push.from_dict(push) for push in run.manifest.settings.of_command["pushes"]]
    assert read(steered / "trial", "steer.json") == steer_rows(records, found)
    assert {"steer.csv", "steer.png", "steer.svg", "summary.json"} <= set(
        contents(steered / "trial")
    )
    assert [row["kind"] for row in steer_rows(records, found)] == [
        kind for kind in ("all", "eo", "lo") for _ in range(2)
    ]
    summary = read(steered / "trial", "summary.json")
    assert summary["control_change"] < 1e-4
    assert summary["directions"]["n_left_out"] == 0
    assert summary["directions"]["clips_known"] is False


def test_earlier_for_the_earliest_and_later_for_the_latest(steered, timeline):
    """One item of each kind, against the wrapper with the sign that its question asks for."""
    run = read_run(steered / "trial")
    settings = replace(SETTINGS, tasks=["tempo_synth_eo_aqa", "tempo_synth_lo_aqa"])
    study = Study(settings)
    directions = read_timeline(timeline).later
    moved = []
    for kind, sign in (("eo", -1), ("lo", 1)):
        item = next(item for item in study.items if item.kind == kind)
        (record,) = [record for record in run.records if record["key"] == item.key]
        batch = study.subject.read_whole([item])
        config = AttnScaleConfig(
            mode="steer", strength=2.0 * sign, layers=[1, 2], directions=directions
        )
        wrapped = apply_attn_scale(study.subject.model, config)
        try:
            with torch.no_grad(), wrapped.positions(query_mask=name_rows(batch)[3]):
                logits = wrapped(**batch.inputs).logits[:, -1]
        finally:
            wrapped.unload()
        expected = logits[0, list(item.candidates)].tolist()
        assert record["pushed"][0][3] == pytest.approx(expected, abs=2e-4)
        moved.append(np.abs(np.subtract(expected, record["plain"])).max())
    assert min(moved) > 1e-3


def test_the_configuration_is_evaluated_by_lm_eval(steered, timeline):
    config = AttnScaleConfig.from_pretrained(steered)
    assert (config.mode, config.strength, config.layers) == ("steer", -1.5, [1, 2])
    assert config.queries == ["option"]
    assert config.directions == read_timeline(timeline).later
    assert config.provenance["trial"] == read(steered / "trial", "steer.json")
    assert "path" not in json.dumps(config.provenance)
    scores = {}
    for name, arguments in {
        "plain": {},
        "edited": {"attn_scale": str(steered)},
        "each alone": {"attn_scale": str(steered), "share_prefix": False, "batch_size": 1},
    }.items():
        lm = LALM(**({"batch_size": 4} | arguments))
        scores[name], _ = likelihoods(lm, "tempo_synth_eo_aqa", {"synth_scenes": 6})
    # Exact with a shared beginning and in batches: only rows behind the audio are moved.
    np.testing.assert_allclose(scores["edited"], scores["each alone"], atol=1e-3)
    assert np.abs(scores["edited"] - scores["plain"]).max() > 1e-2


def test_again_gives_the_same_bytes(timeline, tmp_path):
    first = request(timeline, tmp_path / "a", write=1.0)
    run_steer(SETTINGS, first)
    before = contents(tmp_path / "a" / "trial"), contents_of_edit(tmp_path / "a")
    run_steer(SETTINGS, first)  # finds all there
    assert (contents(tmp_path / "a" / "trial"), contents_of_edit(tmp_path / "a")) == before
    run_steer(SETTINGS, request(timeline, tmp_path / "b", write=1.0))
    assert (contents(tmp_path / "b" / "trial"), contents_of_edit(tmp_path / "b")) == before


def contents_of_edit(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_clips_of_the_directions_are_left_out(tmp_path, capsys):
    clusters = [item.cluster for item in Study(SETTINGS).items]
    folder = write_timeline(tmp_path / "t", clips_used=json.dumps(sorted(set(clusters))[:4]))
    run_steer(SETTINGS, request(folder, tmp_path / "o", strengths=(1.0,), random=0))
    n_left = sum(cluster in sorted(set(clusters))[:4] for cluster in clusters)
    run = read_run(tmp_path / "o" / "trial")
    assert len(run.records) == len(clusters) - n_left > 0
    assert run.manifest.settings.of_command["directions"]["n_left_out"] == n_left
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{n_left} items of clips that the directions" in shown
    folder = write_timeline(tmp_path / "all", clips_used=json.dumps(clusters))
    with pytest.raises(OptionError, match="made from the clips of all 6 items"):
        run_steer(SETTINGS, request(folder, tmp_path / "p"))


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"layers": [(6,)]}, {}, "layer 6 is out of range"),
        ({"strengths": (0.0,)}, {}, "strength 0 changes nothing"),
        ({"strengths": (1.0, 1.0)}, {}, "is named twice"),
        ({"engine": "quick"}, {}, "--engine: unknown 'quick'"),
        ({"write": 1.0, "layers": "each"}, {}, "a configuration has one set of layers"),
        ({"write": 1.0, "layers": [(1,), (2,)]}, {}, "a configuration has one set of layers"),
        ({"write": float("inf")}, {}, "--write is inf; expected a finite number"),
        ({}, {"tasks": ["tempo_synth_ld_aqa"]}, "tempo_synth_ld_aqa asks which event is longest"),
        ({}, {"tasks": ["tempo_synth_eo_cqa"]}, "gives no audio"),
        ({}, {"limit": 0}, "limit must be 1 or more"),
    ],
)
def test_wrong_requests(nothing_loads, timeline, tmp_path, changes, settings, message):
    with pytest.raises(OptionError, match=message):
        run_steer(replace(SETTINGS, **settings), request(timeline, tmp_path / "o", **changes))
    assert not (tmp_path / "o").exists()


def test_another_models_directions(tmp_path):
    narrow = write_timeline(tmp_path / "narrow", tensors(width=64))
    with pytest.raises(OptionError, match=r"directions have 64 components, and the states .* 128"):
        run_steer(SETTINGS, request(narrow, tmp_path / "o"))
    other = write_timeline(tmp_path / "other", model="f" * 64)
    with pytest.raises(OptionError, match=r"a model with other weights \(ffffffff\)"):
        run_steer(SETTINGS, request(other, tmp_path / "o"))


def test_as_a_user_types_it(timeline, tmp_path, monkeypatch, capsys):
    data = ["--tasks", "tempo_synth_eo_aqa", "--metadata", '{"synth_scenes": 2}']
    out = tmp_path / "o"
    how = ["--from", timeline, "--layers", "1", "--strengths=-1", "--random", "0", "--out", out]
    assert tempo(monkeypatch, "steer", *data, *how) == 0
    shown = capsys.readouterr().out
    assert "the timeline does not say which clips" in " ".join(shown.split())
    assert read(out / "trial", "steer.json")[0]["strength"] == -1
    assert tempo(monkeypatch, "steer", *data, "--from", tmp_path, "--out", tmp_path / "p") == 2
    assert "no such file; give the run folder" in " ".join(capsys.readouterr().err.split())
    assert tempo(monkeypatch, "steer", *data, *how[:-2], "--strengths", "much", "--out", out) == 2
    sweep = ["sweep", *data, "--edit", "steer=1", "--out", tmp_path / "s"]
    assert tempo(monkeypatch, *sweep) == 2
    assert "run `tempo steer --from TIMELINE`" in " ".join(capsys.readouterr().err.split())

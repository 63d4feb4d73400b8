"""The whole way: a model answers, the run becomes a bundle, the bundle gets on a board."""

import csv
import json
import subprocess
import sys

import pytest

from tempo_attn.config import AttnScaleConfig
from tests.support.lab_commands import tempo
from tests.support.report_runs import run_on

EDIT = AttnScaleConfig(strength=2.0, layers=[2], queries=["last"])
SCENES = 12
VERSION = "tempo-prompt-1"


def run(*words):
    """Run a command as a user does; its output, and nothing but success."""
    words = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def leaves(site):
    with (site / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_run_submit_validate_leaderboard(tmp_path):
    EDIT.save_pretrained(tmp_path / "edit")
    harness = ("lm_eval", "--model", "lalm", "--batch_size", "16", "--log_samples")
    harness += ("--metadata", json.dumps({"synth_scenes": SCENES}))
    run(*harness, "--tasks", "tempo_synth", "--output_path", tmp_path / "plain")
    edit = ("--model_args", f"attn_scale={tmp_path / 'edit'}")
    heard = ",".join(f"tempo_synth_{kind}_aqa" for kind in ("eo", "lo", "ld"))
    run(*harness, *edit, "--tasks", heard, "--output_path", tmp_path / "edited")
    for name, n_tasks in (("plain", 12), ("edited", 3)):
        bundle = tmp_path / "bundles" / name
        run("tempo_tasks", "submit", tmp_path / name, "-o", bundle, "--label", name)
        said = run("tempo_tasks", "validate", bundle)
        assert f"Accepted: {name}, {n_tasks} tasks, {n_tasks * SCENES} answers" in said
        (results,) = (tmp_path / name).rglob("results_*.json")
        of_harness = json.loads(results.read_text())["results"]
        ours = json.loads((bundle / "results.json").read_text())
        assert ours["tempo_synth_eo_aqa"]["acc"] == of_harness["tempo_synth_eo_aqa"]["acc,none"]
    about = json.loads((tmp_path / "bundles" / "edited" / "bundle.json").read_text())
    assert about["attention"]["fingerprint"] == EDIT.fingerprint()
    site = tmp_path / "site"
    said = run("tempo_tasks", "leaderboard", tmp_path / "bundles", "-o", site)
    assert "2 entries on 1 boards, 0 rejected" in said
    rows = [row for row in leaves(site) if row["sort"] == "entry"]
    assert {row["label"] for row in rows} == {"plain", "edited"}
    assert {row["attention"] for row in rows} == {"", EDIT.fingerprint()}
    shown = {row["column"]: row["accuracy"] for row in rows if row["label"] == "plain"}
    (results,) = (tmp_path / "plain").rglob("results_*.json")
    for task, found in json.loads(results.read_text())["results"].items():
        if "acc,none" in found and task.count("_") == 3:
            _, _, kind, condition = task.split("_")
            assert float(shown[f"{condition}_{kind}"]) == pytest.approx(found["acc,none"])


def test_released_data_by_option(tmp_path, monkeypatch, capsys, released_folder):
    """A bundle names no file of a machine: the validator says where its data are."""
    data = released_folder("csv")
    metadata = {"data": str(data), "data_name": data.name, "prompt_version": VERSION}
    of_run = run_on(tmp_path / "run", source="tempo", metadata=metadata)
    bundle = tmp_path / "bundles" / "one"
    assert tempo(monkeypatch, "audit", data, "--out", tmp_path / "audit") == 0
    audit = tmp_path / "audit" / "audit.json"
    monkeypatch.delenv("TEMPO_DATA", raising=False)
    assert tempo(monkeypatch, "submit", of_run, "-o", bundle, "--audit", audit) == 0
    assert str(data) not in "".join(
        path.read_text() for path in bundle.rglob("*") if path.is_file()
    )
    assert tempo(monkeypatch, "validate", bundle, "--data", data) == 0
    capsys.readouterr()
    site = tmp_path / "site"
    assert tempo(monkeypatch, "leaderboard", bundle, "-o", site, "--data", data) == 0
    sorts = {row["sort"] for row in leaves(site)}
    assert {"entry", "baseline", "published", "strategy"} <= sorts


def test_an_audit_of_other_data_is_refused(tmp_path, monkeypatch, capsys, released_folder):
    data = released_folder("csv")
    metadata = {"data": str(data), "data_name": data.name, "prompt_version": VERSION}
    of_run = run_on(tmp_path / "run", source="tempo", metadata=metadata)
    assert tempo(monkeypatch, "audit", data, "--out", tmp_path / "audit") == 0
    path = tmp_path / "audit" / "audit.json"
    found = json.loads(path.read_text())
    found["parts"][0]["shortcuts"][0]["accuracy"] = 0.01
    path.write_text(json.dumps(found))
    bundle = tmp_path / "bundle"
    assert tempo(monkeypatch, "submit", of_run, "-o", bundle, "--audit", path) == 0
    assert tempo(monkeypatch, "validate", bundle, "--data", data) == 1
    assert "audit.json: parts[0].shortcuts[0].accuracy" in capsys.readouterr().out

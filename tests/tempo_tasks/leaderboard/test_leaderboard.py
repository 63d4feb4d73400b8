"""`tempo leaderboard`: what is accepted is on the site, what is not is named; ranks are honest."""

import csv
import json
import shutil

import numpy as np
import pytest

from tempo_tasks.leaderboard import check_bundles
from tempo_tasks.leaderboard.gather import found_bundles, gather
from tempo_tasks.leaderboard.groups import standings
from tempo_tasks.leaderboard.remembered import name_of, recall
from tempo_tasks.submission.asked_documents import AskedData
from tests.support.bundles import (
    change_json,
    put_sums_right,
    sums_of,
    write_synth_bundle,
    write_synth_run,
)
from tests.support.lab_commands import tempo

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Three bundles: a good one with a hostile name, a poor one, and one whose score was raised."""
    base = tmp_path_factory.mktemp("bundles")
    for number, (name, skill, label) in enumerate(
        [("good", 0.9, HOSTILE), ("poor", 0.1, "=1+1"), ("raised", 0.5, "raised")]
    ):
        run = write_synth_run(base / "runs" / name, skill=skill, seed=number, model=f"me/{name}")
        (base / "all").mkdir(exist_ok=True)
        write_synth_bundle(base / "all" / name, run, label=label)
    change_json(
        base / "all" / "raised" / "results.json",
        lambda results: results["tempo_synth_eo_aqa"].update(acc=1.0),
    )
    put_sums_right(base / "all" / "raised")
    return base / "all"


def test_the_site_has_what_was_accepted_and_names_what_was_not(
    bundles, tmp_path, monkeypatch, capsys
):
    site = tmp_path / "site"
    assert tempo(monkeypatch, "leaderboard", bundles, "-o", site) == 1
    errors = capsys.readouterr().err
    assert "results.json: tempo_synth_eo_aqa.acc is 1.0" in errors
    (rejected,) = json.loads((site / "rejected.json").read_text())
    assert rejected["bundle"].endswith("raised")
    found = json.loads((site / "leaderboard.json").read_text())
    assert {entry["label"] for entry in found["boards"][0]["rows"]} == {HOSTILE, "=1+1"}
    assert len(list((site / "entries").iterdir())) == 2
    with (site / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert "'=1+1" in {row["label"] for row in rows}
    assert "=1+1" not in {row["label"] for row in rows}
    first = json.loads((bundles / "good" / "leaderboard.json").read_text())
    (expected,) = [
        score["accuracy"]
        for score in first["scores"]
        if (score["kind"], score["condition"]) == ("eo", "aqa")
    ]
    (shown,) = [
        row["accuracy"] for row in rows if row["label"] == HOSTILE and row["column"] == "aqa_eo"
    ]
    assert float(shown) == pytest.approx(expected)


def test_text_of_strangers_is_text(bundles, tmp_path, monkeypatch):
    tempo(monkeypatch, "leaderboard", bundles, "-o", tmp_path / "site")
    for page in (tmp_path / "site").rglob("*.html"):
        assert HOSTILE not in page.read_text()
    assert "&lt;script&gt;alert(1)" in (tmp_path / "site" / "index.html").read_text()


def test_the_same_bundles_give_the_same_bytes(bundles, tmp_path, monkeypatch):
    for name in ("one", "other"):
        tempo(monkeypatch, "leaderboard", bundles, "-o", tmp_path / name)
    assert sums_of(tmp_path / "one") == sums_of(tmp_path / "other")


def test_entries_that_cannot_be_told_apart_share_ranks():
    rng = np.random.default_rng(0)
    easy = rng.random((2, 200)) < 0.9
    hard = rng.random((1, 200)) < 0.3
    credits = np.concatenate([easy, hard]).astype(np.float32)
    first, second, third = standings(credits.mean(1).tolist(), credits, list(range(200)))
    assert (first.group, first.first, first.last, list(first.alike)) == (1, 1, 2, [1])
    assert (second.group, second.first, second.last, list(second.alike)) == (1, 1, 2, [0])
    assert (third.group, third.first, third.last, list(third.alike)) == (2, 3, 3, [])


def test_items_of_one_clip_are_no_independent_evidence():
    """Two hundred answers about four clips tell nobody apart."""
    credits = np.zeros((2, 200), dtype=np.float32)
    credits[0] = 1
    apart = standings([1.0, 0.0], credits, list(range(200)))
    alike = standings([1.0, 0.0], credits, [number // 50 for number in range(200)])
    assert [one.group for one in apart] == [1, 2]
    assert [one.group for one in alike] == [1, 1]


def test_one_entry_alone():
    (alone,) = standings([0.5], np.ones((1, 4), dtype=np.float32), list("abcd"))
    assert (alone.group, alone.first, alone.last) == (1, 1, 1)


def test_an_average_over_kinds_is_told_apart_by_the_average():
    """Pooled, the large kind would decide: 60 of 400 items against 40 of 40."""
    credits = np.zeros((2, 440), dtype=np.float32)
    credits[0, :60] = 1
    credits[1, 400:] = 1
    kinds = ["eo"] * 400 + ["lo"] * 40
    first, second = standings([0.075, 0.5], credits, list(range(440)), kinds)
    assert (first.group, first.first, second.group, second.first) == (2, 2, 1, 1)


@pytest.fixture(scope="module")
def remembered(bundles, tmp_path_factory):
    """A site, and the cache that its making left."""
    base = tmp_path_factory.mktemp("remembered")
    found = gather(found_bundles([bundles]), AskedData(), base / "cache")
    return found, base / "cache"


def test_accepted_bundles_are_remembered(bundles, remembered, monkeypatch):
    found, cache = remembered
    assert len(list(cache.iterdir())) == 2  # of three: the third was rejected
    asked = []
    real = check_bundles.validate
    monkeypatch.setattr(check_bundles, "validate", lambda b, d: asked.append(b.name) or real(b, d))
    assert gather(found_bundles([bundles]), AskedData(), cache) == found
    assert asked == ["raised"]


def test_what_is_remembered_counts_for_the_same_bytes_only(bundles, remembered, tmp_path):
    _, cache = remembered
    shutil.copytree(bundles / "good", tmp_path / "good")
    path = tmp_path / "good" / "samples" / "tempo_synth_eo_aqa.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"acc":1.0', b'"acc":0.0', 1))
    found = gather([tmp_path / "good"], AskedData(), cache)
    assert not found["entries"]
    assert "SHA-256" in found["rejected"][0]["faults"][0]


def test_what_is_remembered_counts_for_the_same_data_only(bundles, remembered, monkeypatch):
    _, cache = remembered
    name = name_of(bundles / "good")
    assert recall(cache, name, AskedData()) is not None
    (cache / "other").mkdir()
    accepted = json.loads((cache / f"{name}.json").read_text())
    accepted["about"]["tasks"]["tempo_synth_eo_aqa"]["data_fingerprint"] = "0" * 64
    (cache / "other" / f"{name}.json").write_text(json.dumps(accepted))
    assert recall(cache / "other", name, AskedData()) is None
    (cache / "other" / f"{name}.json").write_text("cut sho")
    assert recall(cache / "other", name, AskedData()) is None


def test_another_release_remembers_nothing(bundles, monkeypatch):
    before = name_of(bundles / "good")
    monkeypatch.setattr("tempo_tasks.leaderboard.remembered.code_fingerprint_of_tempo", str)
    assert name_of(bundles / "good") != before


def test_several_processes_find_the_same(bundles, remembered, monkeypatch):
    monkeypatch.setattr(check_bundles, "A_PROCESS", 1)
    found = gather(found_bundles([bundles]), AskedData(), workers=2)
    assert found == remembered[0]

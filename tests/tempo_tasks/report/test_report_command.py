"""`tempo report`: what is read, what is refused, and what the page says of what is missing."""

import json
import re

import pytest

from tempo_attn.lab.sweep.choice import Choice, Fold
from tempo_attn.lab.sweep.grid import Variant
from tests.support.lab_commands import tempo
from tests.support.report_runs import run_on
from tests.support.sample_files import answers, write_run


def page(monkeypatch, *arguments, out):
    assert tempo(monkeypatch, "report", *arguments, "-o", out) == 0
    return out.read_text(encoding="utf-8")


def data_of(text):
    """What the page's scripts read."""
    return json.loads(re.search(r'id="data">(.*?)</script>', text)[1])


def test_the_same_run_gives_the_same_bytes(plain_run, tmp_path, monkeypatch):
    first = page(monkeypatch, plain_run, out=tmp_path / "a.html")
    assert page(monkeypatch, plain_run, out=tmp_path / "b.html") == first
    assert str(tmp_path) not in first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_items_carry_answers_events_and_baselines(plain_run, tmp_path, monkeypatch):
    data = data_of(page(monkeypatch, plain_run, out=tmp_path / "r.html"))
    assert [column["condition"] for column in data["columns"]] == ["aqa", "silence"]
    assert len(data["items"]) == 12
    item = data["items"][0]
    assert item["answers"]["0"][:3] == [item["answer"], 1.0, "ABCD"[item["answer"]]]
    assert item["answers"]["1"][:3] == [-1, 0.0, "I cannot tell"]
    clip = data["clips"][item["clip"]]
    assert clip["seconds"] == 10.0
    assert item["options"][item["answer"]] in {label for label, _ in clip["events"]}
    names = {(row["kind"], row["name"]) for row in data["baselines"]}
    assert {("eo", "chance"), ("eo", "presence oracle")} <= names
    assert ("macro", "detector, timing error 0.5 s") in names


def test_sound_over_the_limit_lies_beside_the_page(plain_run, tmp_path, monkeypatch):
    text = page(monkeypatch, plain_run, "--max-audio", 0.1, "--no-audit", out=tmp_path / "r.html")
    files = sorted(path.name for path in (tmp_path / "r_audio").iterdir())
    assert 0 < len(files) < 6
    assert text.count('<script type="text/plain"') == 6 - len(files)
    assert "has to stay beside the page" in text
    named = [clip["file"] for clip in data_of(text)["clips"] if "file" in clip]
    assert sorted(named) == [f"r_audio/{name}" for name in files]


def test_data_that_are_gone_are_said(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", {"tempo_eo_aqa": answers("110-")})
    results = next(run.glob("results_*.json"))
    found = json.loads(results.read_text())
    found["configs"]["tempo_eo_aqa"]["metadata"]["data"] = str(tmp_path / "gone")
    results.write_text(json.dumps(found))
    text = page(monkeypatch, run, out=tmp_path / "r.html")
    assert "shown without sound, pictures and events" in text
    assert "no baselines but chance" in text
    assert data_of(text)["clips"] == []
    assert "I cannot tell" in text  # the parse failure, word for word


def test_audio_that_is_gone_is_said(tmp_path, monkeypatch, released_folder):
    import shutil

    shutil.copytree(released_folder("csv"), tmp_path / "data")
    metadata = {"data": str(tmp_path / "data")}
    run = run_on(tmp_path / "run", source="tempo", metadata=metadata, conditions=("aqa",))
    victim = sorted((tmp_path / "data" / "audio").iterdir())[0]
    text = page(monkeypatch, run, out=tmp_path / "r.html")
    assert "without sound" not in text.split("<main", 1)[1].split("</main>")[0]
    victim.unlink()
    text = page(monkeypatch, run, out=tmp_path / "gone.html")
    assert "without sound" in text


def test_other_data_than_the_run_asked_are_not_shown(plain_run, tmp_path, monkeypatch):
    run = run_on(tmp_path / "run", conditions=("aqa",))
    results = next(run.glob("results_*.json"))
    results.write_text(
        re.sub(r'"data_fingerprint": "\w+"', '"data_fingerprint": "0"', results.read_text())
    )
    text = page(monkeypatch, run, out=tmp_path / "r.html")
    assert "are not those that the run asked" in text
    both = page(monkeypatch, plain_run, run, out=tmp_path / "both.html")
    assert "the runs asked different data" in both


def test_another_version_is_said(tmp_path, monkeypatch):
    run = run_on(tmp_path / "run", conditions=("aqa",), version="0.0.7")
    text = page(monkeypatch, run, "--no-audit", "--max-audio", 0, out=tmp_path / "r.html")
    assert "made by tempo 0.0.7" in text


def test_an_audit_of_the_same_questions_is_taken(plain_run, tmp_path, monkeypatch):
    """It is not made again, and one of other questions is not taken for it."""
    from tempo_tasks.report import baselines

    made = []
    real = baselines.audit
    monkeypatch.setattr(baselines, "audit", lambda sets: made.append(real(sets)) or made[-1])
    page(monkeypatch, plain_run, out=tmp_path / "r.html")
    (tmp_path / "audit.json").write_text(json.dumps(made[0]))
    page(monkeypatch, plain_run, tmp_path / "audit.json", out=tmp_path / "r.html")
    assert len(made) == 1
    other = {**made[0], "data": [{**made[0]["data"][0], "fingerprint": "0"}]}
    (tmp_path / "audit.json").write_text(json.dumps(other))
    page(monkeypatch, plain_run, tmp_path / "audit.json", out=tmp_path / "r.html")
    assert len(made) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["run", "--max-audio", "-1"], "--max-audio is -1.0; expected megabytes"),
        (["run", "--level", "3"], "level is 3.0; expected"),
        (["run", "-o", "page.pdf"], "page.pdf: expected the name of a page"),
        (["run", "run"], "is given twice"),
        (["bad.json"], "bad.json: no audit; expected"),
        (["old.json"], "old.json: an audit of format 0"),
        (["broken.json"], "broken.json: cannot be read as an audit"),
        (["scores"], "results without samples"),
        (["lab"], "manifest.json: has schema 1"),
    ],
)
def test_bad_input_is_one_message(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run", {"tempo_eo_aqa": answers("10")})
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "results_2026-11-21T10-00-00.000000.json").write_text("{}")
    (tmp_path / "bad.json").write_text('{"results": 1}')
    (tmp_path / "old.json").write_text('{"format": 0, "parts": []}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "manifest.json").write_text('{"schema": 1}')
    assert tempo(monkeypatch, "report", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.html"))


def test_without_plotly_the_error_says_how_to_install_it(tmp_path, monkeypatch, capsys):
    import importlib.resources

    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib.resources, "files", missing)
    write_run(tmp_path / "run", {"tempo_eo_aqa": answers("10")})
    assert tempo(monkeypatch, "report", tmp_path / "run", "-o", tmp_path / "r.html") == 2
    assert "pip install 'tempo-lalm[report]'" in capsys.readouterr().err


def test_a_choice_is_shown(plain_run, tmp_path, monkeypatch):
    folder = tmp_path / "my-edit"
    folder.mkdir()
    edit = Variant(layers=(2,), rows=("last",), strength=2.0)
    fold = Fold(variant=edit, n=6, n_clusters=3, training_change=0.25, held_out_change=-0.125)
    choice = Choice(
        **{"variant": edit, "objective": "accuracy", "condition": "aqa", "kind": None, "n": 12},
        **{"n_clusters": 6, "folds": 2, "seed": 0, "control_accuracy": 0.5, "accuracy": 0.625},
        **{"held_out": 0.125, "interval": (-0.1, 0.3), "level": 0.95, "resamples": 2000, "p": 0.5},
        **{"p_procedure": 0.25, "fix_rate": 0.5, "break_rate": None, "apparent": 0.25},
        **{"optimism": 0.125, "per_fold": (fold, fold)},
    )
    (folder / "choice.json").write_text(json.dumps(choice.to_dict()))
    assert Choice.from_dict(choice.to_dict()) == choice
    text = page(monkeypatch, plain_run, folder, "--no-audit", out=tmp_path / "r.html")
    for said in (
        "my-edit <small>tempo choose",
        "scale 2, layer 2, last",
        "+12.5 points (-10.0 to +30.0, 95 % by cluster; p = 0.250)",
        "no evidence that it helps",
        "none to change",
    ):
        assert said in text, said
    (folder / "choice.json").write_text(json.dumps({**choice.to_dict(), "accuracy": "high"}))
    assert tempo(monkeypatch, "report", folder, "-o", tmp_path / "s.html") == 2
    assert not (tmp_path / "s.html").exists()

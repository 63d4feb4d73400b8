"""`tempo lens` on the embedded model and a few items: its files, its command line."""

import csv
from dataclasses import replace

import pytest
import torch

from tempo_attn.errors import RunFolderError
from tempo_attn.lab.lens.critical import correlation_rows, critical_rows
from tempo_attn.lab.lens.records import LensRecord
from tempo_attn.lab.lens.table import lens_rows
from tempo_attn.lab.run_folder.folder import read_run
from tempo_tasks.lab import lens as lab_lens
from tempo_tasks.lab.lens import LensRequest, run_lens
from tempo_tasks.lab.settings import Settings
from tests.support.lab_commands import contents, read, tempo

TASKS = ["tempo_synth_eo_aqa", "tempo_synth_eo_silence"]
pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=TASKS, metadata={"synth_scenes": 4}, batch_size=3)
TABLES = {"lens.csv", "lens.json", "critical.csv", "critical.json", "summary.json"}
FILES = TABLES | {"lens.png", "lens.svg"}


def lens(out, rows=("last", "option"), candidates=("letters", "labels"), **changes):
    request = LensRequest(rows=rows, candidates=candidates)
    return run_lens(replace(SETTINGS, out=out, **changes), request)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run: 8 items in 3 batches."""
    torch.set_num_threads(1)  # the number of threads is a part of the manifest
    folder = tmp_path_factory.mktemp("lens") / "whole"
    lens(folder)
    return folder


# ------------------------------------------------------------------------------ what it writes


def test_the_files_are_the_records_tables(whole):
    assert set(contents(whole)) == {"manifest.json", "items.jsonl", *FILES}
    records = [LensRecord.from_dict(record) for record in read_run(whole).records]
    assert len(records) == 8
    assert read(whole, "lens.json") == lens_rows(records)
    assert read(whole, "critical.json") == critical_rows(records)
    summary = read(whole, "summary.json")
    assert summary["correlations"] == correlation_rows(records)
    assert (summary["command"], summary["n"], summary["n_clusters"]) == ("lens", 8, 4)
    assert (summary["margin"], summary["n_without_labels"]) == (0.2, 0)
    for name in ("lens", "critical"):
        with (whole / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row, data in zip(rows, read(whole, f"{name}.json"), strict=True):
            weights = data.get("weights")
            if weights is not None:
                assert [float(weight) for weight in row.pop("weights").split(" ")] == weights
                del data["weights"]
            assert row == {key: "" if v is None else str(v) for key, v in data.items()}


def test_every_layer_row_set_and_kind_of_candidates_has_its_rows(whole):
    places = {
        (row["condition"], row["candidates"], row["rows"], row["layer"])
        for row in read(whole, "lens.json")
        if row["group"] == "all"
    }
    assert places == {
        (condition, candidates, rows, layer)
        for condition in ("aqa", "silence")
        for candidates in ("letters", "labels")
        for rows in ("last", "option")
        for layer in range(6)
    }


def test_the_last_layers_last_row_is_the_models_accuracy(whole):
    """Which is why right against wrong is circular there: 1 and 0."""
    records = read_run(whole).records
    right = sum(record["plain"][record["answer"]] == max(record["plain"]) for record in records)
    last = {
        (row["condition"], row["group"]): row
        for row in read(whole, "lens.json")
        if (row["candidates"], row["rows"], row["layer"]) == ("letters", "last", 5)
    }
    hits = sum(last[c, "all"]["score"] * last[c, "all"]["n"] for c in ("aqa", "silence"))
    assert hits == pytest.approx(right)
    scores = {
        group: row["score"] for (_, group), row in last.items() if group in ("right", "wrong")
    }
    assert scores == {"right": 1, "wrong": 0}
    assert read(whole, "summary.json")["plain_accuracy"] == right / 8


def test_what_the_terminal_shows(tmp_path, capsys):
    lens(tmp_path / "run", tasks=TASKS[:1])
    shown = capsys.readouterr().out
    assert "information score" in shown
    assert "critical layer" in shown
    assert "eo aqa (4)" in shown
    assert "4 items of 4 clusters" in shown
    assert "0 have no reading of labels" in shown
    assert "right against wrong says nothing there" in " ".join(shown.split())


def test_all_items_without_labels_are_an_error_of_the_tables(tmp_path, monkeypatch):
    """If nothing but labels was asked for."""
    monkeypatch.setattr("tempo_attn.lab.lens.run.first_tokens", lambda batch, row: (7, 7, 8, 9))
    with pytest.raises(RunFolderError, match="begin with the same token"):
        lens(tmp_path, ["last"], ["labels"], limit=1)
    lens(tmp_path / "both", ["last"], limit=1)
    assert read(tmp_path / "both", "summary.json")["n_without_labels"] == 2


# ------------------------------------------------------------------------------ the command


def test_the_same_rows_written_otherwise_are_the_same_run(whole):
    lens(whole, rows=(["last"], "option"))


@pytest.fixture
def told(monkeypatch):
    calls = []
    monkeypatch.setattr(lab_lens, "run_lens", lambda *args: calls.append(args))
    return calls


def test_options(told, monkeypatch):
    typed = (
        "lens --tasks a,b --model m/n --rows last,keyword+last --rows audio --candidates labels"
        " --limit 7 --out folder --batch-size 2 --shard 1/4 --device cpu"
    )
    assert tempo(monkeypatch, *typed.split()) == 0
    ((settings, request),) = told
    assert request == LensRequest(
        rows=[("last",), ("keyword", "last"), ("audio",)], candidates=["labels"]
    )
    assert (settings.tasks, settings.model, settings.limit) == (["a", "b"], "m/n", 7)
    assert (settings.shard, settings.batch_size, settings.device) == ((1, 4), 2, "cpu")


def test_options_by_default(told, monkeypatch):
    assert tempo(monkeypatch, "lens", "--tasks", "a") == 0
    ((_, request),) = told
    assert request == LensRequest(
        rows=[("last",), ("keyword",), ("option",), ("audio",)], candidates=["letters", "labels"]
    )


def test_a_mistake_is_told_without_a_traceback(tmp_path, monkeypatch, capsys):
    typed = ["lens", "--tasks", TASKS[0], "--metadata", '{"synth_scenes": 4}', "--out", tmp_path]
    assert tempo(monkeypatch, *typed, "--rows", "frist") != 0
    shown = capsys.readouterr()
    assert "'frist'" in shown.err + shown.out
    assert "Traceback" not in shown.err + shown.out


def test_help_has_an_example(monkeypatch, capsys):
    assert tempo(monkeypatch, "lens", "--help") == 0
    assert "Example: tempo lens --tasks" in capsys.readouterr().out

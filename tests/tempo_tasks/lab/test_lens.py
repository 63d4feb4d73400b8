"""`tempo lens` on the embedded model and a few items: files, a kill, shards, the command line."""

import csv
import json
import sys
from dataclasses import replace

import pytest
import torch

from tempo_attn.errors import RunFolderError, RunMismatchError
from tempo_attn.lab.lens.critical import correlation_rows, critical_rows
from tempo_attn.lab.lens.records import LensRecord
from tempo_attn.lab.lens.run import Lens
from tempo_attn.lab.lens.table import lens_rows
from tempo_attn.lab.run_folder.folder import read_run
from tempo_tasks import cli
from tempo_tasks.lab import lens_verb, verbs
from tempo_tasks.lab.study import Settings

TASKS = ["tempo_synth_eo_aqa", "tempo_synth_eo_silence"]
pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=TASKS, metadata={"synth_scenes": 4}, batch_size=3)
TABLES = {"lens.csv", "lens.json", "critical.csv", "critical.json", "summary.json"}
FILES = TABLES | {"lens.png", "lens.svg"}


def lens(out, rows=("last", "option"), **changes):
    return lens_verb.lens(replace(SETTINGS, out=out, **changes), rows)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run: 8 items in 3 batches."""
    torch.set_num_threads(1)  # the number of threads is a part of the manifest
    folder = tmp_path_factory.mktemp("lens") / "whole"
    lens(folder)
    return folder


def contents(folder, leave_out=()):
    """The bytes of all files but the locks."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in leave_out
    }


def read(folder, name):
    return json.loads((folder / name).read_text())


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
    assert "4 items of 4 clips" in shown
    assert "0 have no reading of labels" in shown
    assert "right against wrong says nothing there" in " ".join(shown.split())


def test_all_items_without_labels_are_an_error_of_the_tables(tmp_path, monkeypatch):
    """If nothing but labels was asked for."""
    monkeypatch.setattr("tempo_attn.lab.lens.run.first_tokens", lambda batch, row: (7, 7, 8, 9))
    settings = replace(SETTINGS, out=tmp_path, limit=1)
    with pytest.raises(RunFolderError, match="begin with the same token"):
        lens_verb.lens(settings, ["last"], ["labels"])
    lens_verb.lens(replace(settings, out=tmp_path / "both"), ["last"])
    assert read(tmp_path / "both", "summary.json")["n_without_labels"] == 2


# ------------------------------------------------------------------------------ going on, shards


def test_a_killed_run_goes_on_to_the_same_bytes(whole, tmp_path, monkeypatch):
    run_batch, sizes = Lens.run_batch, []

    def interrupted(self, items):
        sizes.append(len(items))
        if len(sizes) == 3:
            raise KeyboardInterrupt
        return run_batch(self, items)

    monkeypatch.setattr(Lens, "run_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lens(tmp_path)
    assert len(read_run(tmp_path).records) == 6
    assert not set(contents(tmp_path)) & TABLES
    lens(tmp_path)
    assert sizes == [3, 3, 2, 2]
    assert contents(tmp_path) == contents(whole)

    def fail(self, items):
        raise AssertionError("items are computed again")

    monkeypatch.setattr(Lens, "run_batch", fail)
    assert {path.name for path in lens(tmp_path).files} == FILES
    assert contents(tmp_path) == contents(whole)


def test_a_batch_that_was_written_in_part_is_completed(whole, tmp_path):
    """Killed while it wrote: the second of the last batch's two lines is broken."""
    tmp_path.joinpath("manifest.json").write_bytes((whole / "manifest.json").read_bytes())
    lines = (whole / "items.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "items.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    lens(tmp_path)
    assert contents(tmp_path) == contents(whole)


def test_shards_put_together_are_one_run(whole, tmp_path):
    parts = [tmp_path / f"part-{number}" for number in range(2)]
    for number, part in enumerate(parts):
        assert lens(part, shard=(number, 2)).files == []
    outcome = verbs.merge(parts[::-1], tmp_path / "merged")
    assert {path.name for path in outcome.files} == FILES
    left_out = ["items.jsonl"]
    assert contents(tmp_path / "merged", left_out) == contents(whole, left_out)
    assert read_run(tmp_path / "merged") == read_run(whole)


def test_other_rows_or_candidates_do_not_mix(whole):
    with pytest.raises(RunMismatchError, match=r"settings\.rows"):
        lens(whole, rows=("last",))
    with pytest.raises(RunMismatchError, match=r"settings\.candidates"):
        lens_verb.lens(replace(SETTINGS, out=whole), ["last", "option"], ["letters"])
    lens(whole, rows=(["last"], "option"))  # the same, written otherwise


# ------------------------------------------------------------------------------ the command


def tempo(monkeypatch, *arguments):
    """Run `tempo` in this process and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["tempo", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code or 0


@pytest.fixture
def told(monkeypatch):
    calls = []
    monkeypatch.setattr(lens_verb, "lens", lambda *args: calls.append(args))
    return calls


def test_options(told, monkeypatch):
    typed = (
        "lens --tasks a,b --model m/n --rows last,keyword+last --rows audio --candidates labels"
        " --limit 7 --out folder --batch-size 2 --shard 1/4 --device cpu"
    )
    assert tempo(monkeypatch, *typed.split()) == 0
    ((settings, rows, candidates),) = told
    assert (rows, candidates) == (["last", "keyword+last", "audio"], ["labels"])
    assert (settings.tasks, settings.model, settings.limit) == (["a", "b"], "m/n", 7)
    assert (settings.shard, settings.batch_size, settings.device) == ((1, 4), 2, "cpu")


def test_options_by_default(told, monkeypatch):
    assert tempo(monkeypatch, "lens", "--tasks", "a") == 0
    ((_, rows, candidates),) = told
    assert rows == ["last", "keyword", "option", "audio"]
    assert candidates == ["letters", "labels"]


def test_a_mistake_is_told_without_a_traceback(tmp_path, monkeypatch, capsys):
    typed = ["lens", "--tasks", TASKS[0], "--metadata", '{"synth_scenes": 4}', "--out", tmp_path]
    assert tempo(monkeypatch, *typed, "--rows", "frist") != 0
    shown = capsys.readouterr()
    assert "'frist'" in shown.err + shown.out
    assert "Traceback" not in shown.err + shown.out


def test_help_has_an_example(monkeypatch, capsys):
    assert tempo(monkeypatch, "lens", "--help") == 0
    assert "Example: tempo lens --tasks" in capsys.readouterr().out

"""`tempo trace` on the embedded model and a few items: what it says, which items, options."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tempo_attn.errors import OptionError
from tempo_attn.lab.items import Item
from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.trace import write
from tempo_attn.lab.trace.records import TraceRecord
from tempo_attn.lab.trace.sites import GROUPS, Site, sites
from tempo_attn.lab.trace.table import agreement_rows, dropped_rows, trace_rows
from tempo_attn.lab.trace.write import TraceReport
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab import corruptions as trace_items
from tempo_tasks.lab import tasks_to_items as lab_items
from tempo_tasks.lab import trace as lab_trace
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.show.trace import show
from tempo_tasks.lab.trace import TraceRequest, run_trace
from tests.support.lab_commands import centred, likelihoods, read, tempo

TASK, MIRROR = "tempo_synth_eo_aqa", "tempo_synth_eo_mirror"
DATA = {"synth_scenes": 7}
pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=[TASK], metadata=DATA, batch_size=3)
REQUEST = TraceRequest(layers=[1, 4], groups=["option", "last"])
TWINS = TraceRequest(
    corrupt="mirror",
    directions=["recover", "shift"],
    layers=[1, 4],
    groups=["option", "last"],
    method="both",
    nulls=False,
)
TABLES = {"trace.csv", "trace.json", "summary.json"}


def figures(*names):
    return {f"{name}.{kind}" for name in names for kind in ("png", "svg")}


def trace(out, request=REQUEST, **changes):
    return run_trace(replace(SETTINGS, out=out, **changes), request)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run against silence: 7 items in 3 batches, 4 patches and their nulls."""
    torch.set_num_threads(1)  # the number of threads is a part of the manifest
    folder = tmp_path_factory.mktemp("trace") / "whole"
    trace(folder)
    return folder


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """A finished run against mirrored twins: both directions, patches and attribution."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trace") / "mirrored"
    trace(folder, TWINS, tasks=[MIRROR])
    return folder


@pytest.fixture
def unseen(monkeypatch):
    """No figures: they take longer than all else. Who drew what is returned."""
    drawn = []

    def draw(rows, path, *, value="rate"):
        drawn.append((path.name, value))
        return []

    monkeypatch.setattr(write, "rate_table", draw)
    monkeypatch.setattr(write, "rates_by_layer", draw)
    return drawn


def names(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def records_of(folder):
    return [TraceRecord.from_dict(record) for record in read_run(folder).records]


def scores_of(task):
    """What lm_eval gets for the letters of a task's documents, but for a constant of each."""
    return centred(likelihoods(LALM(batch_size=3), task, DATA)[0])


# ------------------------------------------------------------------------------ what it writes


def test_the_files_are_the_records_tables(whole):
    expected = {"manifest.json", "items.jsonl", *TABLES, *figures("trace", "trace-layers")}
    assert names(whole) == expected
    records = records_of(whole)
    chosen = sites(6, groups=["option", "last"], layers=[1, 4])
    assert len(records) == 7
    assert read(whole, "trace.json") == trace_rows(records, chosen)
    with (whole / "trace.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, data in zip(rows, read(whole, "trace.json"), strict=True):
        assert row == {key: "" if v is None else str(v) for key, v in data.items()}
    assert [(row["group"], row["layer"], row["direction"]) for row in rows] == [
        (group, layer, "recover") for group in ("option", "last") for layer in "14"
    ]
    assert all(row["null_low"] != "" and row["twin"] == "" for row in rows)
    summary = read(whole, "summary.json")
    assert summary["items"] == dropped_rows(records)
    del summary["items"]
    assert summary == {
        "command": "trace",
        "model": "embedded",
        "tasks": [TASK],
        "corrupt": "silence",
        "method": "patching",
        "single_positions": False,
        "n_patches": 8,
        "engine": ["fast"],
        "attribution": [],
    }


def test_the_files_of_a_run_on_twins(mirrored):
    drawn = figures("trace", "trace-layers", "trace-twin", "attribution")
    assert names(mirrored) == {"manifest.json", "items.jsonl", *TABLES, *drawn}
    records = records_of(mirrored)
    rows = trace_rows(records, sites(6, groups=["option", "last"], layers=[1, 4], nulls=False))
    assert read(mirrored, "trace.json") == rows
    assert [row["direction"] for row in rows] == ["recover"] * 4 + ["shift"] * 4
    assert all(row["twin"] is not None and row["attributed"] is not None for row in rows)
    assert all(row["null"] is None for row in rows)
    summary = read(mirrored, "summary.json")
    assert summary["attribution"] == agreement_rows(rows)
    assert [row["sites"] for row in summary["attribution"]] == [4, 4]
    assert (summary["corrupt"], summary["method"], summary["n_patches"]) == ("mirror", "both", 4)


def test_every_item_has_both_runs_and_only_some_are_patched(whole, mirrored):
    for folder, fields in ((whole, {"patched": 8}), (mirrored, {"patched": 4, "twin": 4})):
        directions = {whole: ["recover"], mirrored: ["recover", "shift"]}[folder]
        records = records_of(folder)
        assert {record.dropped is None for record in records} == {True, False}
        for record in records:
            kept = record.dropped is None
            for name, length in fields.items():
                found = getattr(record, name)
                assert {key: len(found[key]) for key in found} == (
                    dict.fromkeys(directions, length) if kept else {}
                )
            right = np.argmax(record.plain) == record.answer
            assert right or record.dropped == "clean answer wrong"
            assert (record.twin_answer is None) == (folder == whole)


def test_the_clean_and_the_silent_run_are_what_lm_eval_measures(whole):
    records = records_of(whole)
    assert centred([r.plain for r in records]) == pytest.approx(scores_of(TASK), abs=1e-3)
    silent = scores_of("tempo_synth_eo_silence")
    assert centred([r.corrupted for r in records]) == pytest.approx(silent, abs=1e-3)
    assert float(np.abs(silent - scores_of(TASK)).min(-1).max()) > 0.1  # not the same anyway


def test_the_clean_and_the_mirrored_run_are_what_lm_eval_measures(mirrored):
    """Documents and their twins take turns."""
    records, scores = records_of(mirrored), scores_of(MIRROR)
    assert len(scores) == 2 * len(records)
    assert centred([r.plain for r in records]) == pytest.approx(scores[::2], abs=1e-3)
    assert centred([r.corrupted for r in records]) == pytest.approx(scores[1::2], abs=1e-3)
    documents = lab_items.load_tasks([MIRROR], DATA)[MIRROR].dataset["test"]
    assert [r.answer for r in records] == ["ABCD".index(a) for a in documents["answer"][::2]]
    assert [r.twin_answer for r in records] == ["ABCD".index(a) for a in documents["answer"][1::2]]


def test_what_the_terminal_shows(whole, mirrored, capsys):
    for folder in (whole, mirrored):
        rows, summary = read(folder, "trace.json"), read(folder, "summary.json")
        show(TraceReport(rows=rows, summary=summary, files=[]))
        shown = " ".join(capsys.readouterr().out.split())
        (items,) = summary["items"]
        assert f"eo aqa: {items['traced']} of 7 items traced ({summary['corrupt']})" in shown
        assert f"{items['clean answer wrong']} clean answer wrong" in shown
        assert f"(n = {items['traced']}, {items['traced']} clusters), residual" in shown
        assert "recovery rate" in shown
        assert ("belief shift" in shown) == (folder == mirrored)
        assert ("of the twin's right answer" in shown) == (folder == mirrored)
        assert ("Random changes of the same size" in shown) == (folder == whole)
        assert ("Attribution against true patches, eo, shift" in shown) == (folder == mirrored)
        assert not re.search(r"-0(?![.\d])", shown)
        (row,) = [r for r in rows if (r["layer"], r["group"]) == (4, "last")][:1]
        cell = "{} ({} to {})".format(*(round(100 * row[n]) for n in ("rate", "low", "high")))
        assert cell in shown


def test_a_zero_has_no_sign_in_the_terminal(whole, capsys):
    rows = [row | {"rate": -0.001, "null": -0.001} for row in read(whole, "trace.json")]
    show(TraceReport(rows=rows, summary=read(whole, "summary.json"), files=[]))
    shown = " ".join(capsys.readouterr().out.split())
    assert "same size: 0 to 0 (" in shown
    assert "-0 " not in shown


def test_a_rate_that_is_none_is_shown_as_none(mirrored, capsys):
    first, *rest = read(mirrored, "trace.json")
    rows = [first, *(row | {"twin": None, "twin_low": None, "twin_high": None} for row in rest)]
    show(TraceReport(rows=rows, summary=read(mirrored, "summary.json"), files=[]))
    assert re.search(r"│ +- │", capsys.readouterr().out)


def test_if_no_item_is_left_the_summary_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempo_attn.lab.trace.run.dropped", lambda *_: "no gap")
    outcome = trace(tmp_path, limit=2)
    assert [path.name for path in outcome.files] == ["summary.json"]
    assert names(tmp_path) == {"manifest.json", "items.jsonl", "summary.json"}
    (items,) = read(tmp_path, "summary.json")["items"]
    assert (items["n"], items["traced"], items["no gap"]) == (2, 0, 2)
    assert read(tmp_path, "summary.json")["engine"] == []
    assert "0 of 2 items traced (silence)" in capsys.readouterr().out


def test_attribution_alone_ranks_sites_and_draws_no_patches(tmp_path, unseen, capsys):
    request = replace(TWINS, method="attribution", nulls=True, directions=())
    trace(tmp_path, request, tasks=[MIRROR], limit=8)
    assert unseen == [("attribution", "attributed")]
    rows = read(tmp_path, "trace.json")
    assert {row["direction"] for row in rows} == {"shift"}
    assert all(row["rate"] is row["twin"] is row["null"] is None for row in rows)
    summary = read(tmp_path, "summary.json")
    assert (summary["n_patches"], summary["attribution"]) == (4, [])  # no nulls
    shown = capsys.readouterr().out
    assert "to first order, the 10 largest" in " ".join(shown.split())
    largest = max(rows, key=lambda row: abs(row["attributed"]))
    cells = [re.split(r"\s*│\s*", line)[1:4] for line in shown.splitlines() if line[:1] == "│"]
    assert cells[0][:2] == [largest["group"], str(largest["layer"])]
    assert len(cells) == 4


def test_the_usual_direction_may_be_said(whole, unseen):
    trace(whole, replace(REQUEST, directions=["recover"]))


# ------------------------------------------------------------------------------ which items


def test_tasks_that_a_corruption_does_not_fit_are_refused(tmp_path):
    silent = "tempo_synth_eo_silence"
    with pytest.raises(OptionError, match=f"{silent} gives silence.*choose \\*_aqa"):
        trace(tmp_path, tasks=[TASK, silent])
    with pytest.raises(OptionError, match=r"--corrupt mirror needs items .*tempo_synth_eo_mirror"):
        trace(tmp_path, replace(TWINS), tasks=[TASK])
    with pytest.raises(
        OptionError, match="--corrupt is 'noise'; expected one of 'silence', 'mirror'"
    ):
        trace(tmp_path, TraceRequest(corrupt="noise"))
    with pytest.raises(OptionError, match="hold the same items"):
        trace(tmp_path, TWINS, tasks=[TASK, MIRROR])
    assert not list(tmp_path.iterdir())


def item(number, condition, *, question=None, prompt="prompt", answer=0):
    question = question or f"clip {number}/eo"
    return Item(
        key=f"{number:064x}",
        index=number,
        id=f"{question}/mirror/mirror" if condition == "mirror" else f"{question}/{condition}",
        cluster=f"clip {number}",
        kind="eo",
        condition=condition,
        candidates=(1, 2, 3, 4),
        answer=answer,
        length=1,
        content=(prompt, [{"sha256": f"{number}", "silence": False}]),
    )


def test_silence_takes_the_place_of_the_audio_alone():
    items = [item(0, "aqa"), item(1, "acqa")]
    found, corrupt = trace_items.corruption("silence", items)
    assert found == items
    silent = corrupt(items[1])
    assert silent.content == ("prompt", [{"sha256": "1", "silence": True}])
    assert replace(silent, content=items[1].content) == items[1]
    assert items[1].content[1][0]["silence"] is False  # the item is as it was


def test_twins_against_silence_are_the_originals_alone():
    """They are another question about the same clip."""
    items = [item(0, "aqa"), item(1, "mirror", question="clip 0/eo"), item(2, "aqa")]
    found, _ = trace_items.corruption("silence", items)
    assert [(one.id, one.index) for one in found] == [("clip 0/eo/aqa", 0), ("clip 2/eo/aqa", 1)]


def test_a_pair_is_the_same_question():
    pairs = [
        item(0, "aqa", question="a/eo"),
        item(1, "mirror", question="a/eo", answer=1),
        item(2, "aqa", question="a/lo"),
        item(3, "mirror", question="a/lo", answer=2),
        item(4, "aqa", question="b/eo"),
        item(5, "acqa", question="a/eo", prompt="caption and prompt"),
    ]
    found, corrupt = trace_items.corruption("mirror", pairs[::-1])
    assert {one.id: corrupt(one).answer for one in found} == {"a/lo/aqa": 2, "a/eo/aqa": 1}
    assert [one.index for one in found] == [0, 1]
    assert [corrupt(one).condition for one in found] == ["mirror", "mirror"]


def test_a_limit_that_cuts_a_pair_leaves_whole_ones(tmp_path, unseen):
    trace(tmp_path, TWINS, tasks=[MIRROR], limit=5)
    documents = lab_items.load_tasks([MIRROR], DATA)[MIRROR].dataset["test"]
    records = records_of(tmp_path)
    assert [r.id for r in records] == [f"{documents[n]['id']}/aqa" for n in (0, 2)]
    assert [r.index for r in records] == [0, 1]
    with pytest.raises(OptionError, match=r"--corrupt mirror needs .* --limit of at least 2"):
        trace(tmp_path / "none", TWINS, tasks=[MIRROR], limit=1)


# ------------------------------------------------------------------------------ options


class StopError(Exception):
    """Before anything runs."""


@pytest.fixture
def made(monkeypatch):
    """What tracers are made with; none of them runs."""
    calls = []

    def stop(subject, corrupt, chosen, **settings):
        calls.append((chosen, settings))
        raise StopError

    monkeypatch.setattr("tempo_attn.lab.trace.run.Tracer", stop)
    return calls


def test_what_is_patched_by_default(made):
    with pytest.raises(StopError):
        trace(None, TraceRequest())
    with pytest.raises(StopError):
        trace(None, TraceRequest(corrupt="mirror"), tasks=[MIRROR])
    for chosen, settings in made:
        assert chosen == sites(6)
        assert {site.group for site in chosen} == set(GROUPS)
        assert {site.layer for site in chosen} == {-1, 0, 1, 2, 3, 4, 5}
        assert (settings["method"], settings["single"], settings["engine"]) == (
            "patching",
            False,
            "auto",
        )
    assert [settings["directions"] for _, settings in made] == [("recover",), ("shift",)]


def test_what_was_asked_for_reaches_the_tracer(made):
    request = TraceRequest(
        directions=["shift", "recover"],
        components=["mlp", "attention"],
        groups=["last"],
        layers=[5, 0],
        single=True,
        nulls=False,
        engine="full",
    )
    with pytest.raises(StopError):
        trace(None, request, seed=7)
    ((chosen, settings),) = made
    assert chosen == [
        Site(component=component, layer=layer, group="last")
        for component in ("mlp", "attention")
        for layer in (0, 5)
    ]
    assert settings["directions"] == ("shift", "recover")
    assert (settings["single"], settings["engine"], settings["seed"]) == (True, "full", 7)
    assert settings["plan"].batch_size == 3


def test_attribution_alone_has_no_nulls(made):
    for method, random in (("attribution", False), ("both", True)):
        with pytest.raises(StopError):
            trace(None, replace(REQUEST, method=method))
        chosen, settings = made.pop()
        assert any(site.random for site in chosen) == random
        assert settings["method"] == method


@pytest.fixture
def told(monkeypatch):
    calls = []
    monkeypatch.setattr(lab_trace, "run_trace", lambda *args: calls.append(args))
    return calls


def test_options(told, monkeypatch):
    typed = (
        "trace --tasks a,b --model m/n --corrupt mirror --direction shift,recover --components"
        " residual,mlp --groups option,last --layers 0,2-4 --method both --single --no-nulls"
        " --limit 7 --out folder --batch-size 2 --shard 1/4 --device cpu --seed 3 --engine full"
    )
    assert tempo(monkeypatch, *typed.split()) == 0
    ((settings, request),) = told
    assert request == TraceRequest(
        corrupt="mirror",
        directions=["shift", "recover"],
        components=["residual", "mlp"],
        groups=["option", "last"],
        layers=[0, 2, 3, 4],
        method="both",
        single=True,
        nulls=False,
        engine="full",
    )
    assert (settings.tasks, settings.model, settings.limit) == (["a", "b"], "m/n", 7)
    assert (settings.shard, settings.batch_size, settings.device) == ((1, 4), 2, "cpu")
    assert settings.seed == 3


def test_options_by_default_are_those_of_python(told, monkeypatch):
    assert tempo(monkeypatch, "trace", "--tasks", "a") == 0
    ((_, request),) = told
    assert request == TraceRequest(components=["residual"], groups=list(GROUPS))


def test_the_command_runs_and_says_what_it_wrote(tmp_path, unseen, monkeypatch, capsys):
    typed = ["trace", "--tasks", TASK, "--metadata", json.dumps(DATA), "--layers", "4"]
    more = ["--groups", "last", "--limit", 4, "--single", "--no-nulls", "--engine", "fast"]
    assert tempo(monkeypatch, *typed, *more, "--out", tmp_path) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "trace.csv, trace.json, summary.json" in shown
    settings = read(tmp_path, "manifest.json")["settings"]
    assert settings["sites"] == [Site(layer=4, group="last").to_dict()]
    assert (settings["single"], settings["method"]) == (True, "patching")
    # One position is the whole group, so it makes no difference here.
    (row,) = read(tmp_path, "trace.json")
    assert row["rate"] > 0.9


# ------------------------------------------------------------------------------ the embedded model


@pytest.mark.slow
def test_what_the_embedded_model_shows(tmp_path, unseen):
    """Sounds are heard into the options' rows and read off the last one, in the middle layers."""
    request = TraceRequest(groups=["option", "last", "audio"], layers=[-1, 0, 1, 2, 4])
    trace(tmp_path, request, metadata={"synth_scenes": 26}, batch_size=8)
    rows = {(row["group"], row["layer"]): row for row in read(tmp_path, "trace.json")}
    assert rows["last", 4]["n"] >= 16
    assert rows["audio", -1]["rate"] == pytest.approx(1, abs=1e-3)
    assert rows["option", 2]["rate"] > 0.8
    assert rows["last", 4]["rate"] > 0.9
    assert all(rows["last", layer]["rate"] < 0.1 for layer in (-1, 0, 1, 2))
    assert rows["audio", 4]["rate"] == pytest.approx(0, abs=0.02)
    # What carries the answer does so as it is, and not by any change of that size.
    for place in (("option", 2), ("last", 4), ("audio", -1)):
        assert rows[place]["low"] > rows[place]["null_high"]

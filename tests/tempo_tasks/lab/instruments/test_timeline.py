"""`tempo timeline` on the embedded model and a few items, and what it refuses before loading."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tempo_attn.errors import MissingExtraError, OptionError, PositionError, RunFolderError
from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.timeline.records import EventTimes
from tempo_tasks.errors import MissingIntervalsError
from tempo_tasks.lab.instruments import prompt_events
from tempo_tasks.lab.instruments.timeline import TimelineRequest, run_timeline
from tempo_tasks.lab.merge import run_merge
from tempo_tasks.lab.settings import Settings
from tests.support.lab_commands import contents, read

pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=["tempo_synth_eo_aqa"], metadata={"synth_scenes": 8}, batch_size=3)
REQUEST = TimelineRequest(probes=["ridge"], folds=2)


def files(folder):
    return contents_of(folder) | {f"states/{n}": b for n, b in contents(folder / "states").items()}


def contents_of(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.name[0] != "."}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("timeline") / "whole"
    run_timeline(replace(SETTINGS, out=folder), REQUEST)
    return folder


def test_the_files_and_the_states(whole):
    assert {"timeline.csv", "paths.csv", "summary.json", "directions.safetensors"} <= set(
        contents_of(whole)
    )
    records = read_run(whole).records
    states = np.load(whole / "states" / f"{records[0]['key']}.npy")
    # The model, on silence, with random weights; the embeddings and six layers.
    assert states.shape == (3, 7, len(records[0]["events"]), 128)
    assert np.allclose(states[0, 0], states[1, 0])  # the embeddings of names hear nothing
    assert not np.allclose(states[0, 6], states[1, 6])
    rows = read(whole, "timeline.json")
    assert {row["source"] for row in rows} == {
        *("mean", "states", "shuffled", "silence", "random_weights"),
    }
    assert read(whole, "summary.json")["one_length_of_clips"] is True


def test_shards_make_the_same_run_and_a_changed_file_is_told(whole, tmp_path):
    parts = [tmp_path / str(number) for number in range(2)]
    for number, part in enumerate(parts):
        run_timeline(replace(SETTINGS, out=part, shard=(number, 2)), REQUEST)
    run_merge(parts, tmp_path / "merged")
    merged, one = files(tmp_path / "merged"), files(whole)
    assert {n: b for n, b in merged.items() if n != "items.jsonl"} == {
        n: b for n, b in one.items() if n != "items.jsonl"
    }
    next((tmp_path / "merged" / "states").iterdir()).write_bytes(b"")
    with pytest.raises(RunFolderError, match=r"was changed; expected the states of"):
        run_timeline(replace(SETTINGS, out=tmp_path / "merged"), REQUEST)


@pytest.mark.parametrize(
    ("changes", "request_changes", "error", "message"),
    [
        ({"tasks": ["tempo_synth_eo_silence"]}, {}, OptionError, "gives silence"),
        ({"tasks": ["tempo_synth_eo_mirror"]}, {}, OptionError, "gives mirror"),
        ({}, {"folds": 1}, OptionError, "expected 2 or more"),
        ({}, {"folds": 9}, OptionError, "clips; expected at least one for each of the 9"),
        ({}, {"bin_seconds": 0.0}, OptionError, "--bin-seconds"),
    ],
)
def test_what_is_refused_before_the_model_is_loaded(
    monkeypatch, changes, request_changes, error, message
):
    monkeypatch.setattr("tempo_tasks.lab.study.load_model", None)
    with pytest.raises(error, match=message):
        run_timeline(replace(SETTINGS, **changes), replace(REQUEST, **request_changes))


def test_without_intervals_or_scikit_learn(monkeypatch):
    with pytest.raises(MissingIntervalsError, match="no event's times are known"):
        prompt_events.prompt_events({}, None, 2, 0)
    monkeypatch.setattr("tempo_attn.lab.timeline.probes.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"tempo-lalm\[probe\]"):
        run_timeline(SETTINGS, REQUEST)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("Is it a Rain?\nA. Rain\nB. Wind", "stands 2 times"),
        ("Is it a?\nRain and nothing", "is not in the prompt"),
        ("Is it a?\nA. Rain\nB. Wind", None),
    ],
)
def test_names_in_prompts(prompt, message):
    event = EventTimes(option=0, label="Rain", onset=0.0, offset=1.0, duration=1.0)
    question = prompt.split("\n")[0]
    if message is None:
        prompt_events.check_names(prompt, ["Rain", "Wind"], [event], question)
        return
    with pytest.raises(PositionError, match=message):
        prompt_events.check_names(prompt, ["Rain", "Wind"], [event], question)

"""`tempo listen` on the embedded model, and what is refused before a model is loaded."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tempo_attn.errors import OptionError, UnsupportedModelError
from tempo_attn.families import get_family
from tempo_attn.lab.listen.records import ListenRecord
from tempo_attn.lab.listen.table import best_rows, listen_rows
from tempo_attn.lab.run_folder.folder import read_run
from tempo_tasks.errors import EventError, MissingIntervalsError, QuestionError
from tempo_tasks.harness.arguments import model_config
from tempo_tasks.lab import tasks_to_items
from tempo_tasks.lab.instruments.heads import HeadsRequest, run_heads
from tempo_tasks.lab.instruments.listen import ListenRequest, run_listen
from tempo_tasks.lab.instruments.listen_truths import Truths
from tempo_tasks.lab.settings import Settings
from tempo_tasks.questions.events import Clip, Event
from tests.support.lab_commands import contents, read
from tests.support.tiny_checkpoints import save

pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=["tempo_synth_eo_aqa"], metadata={"synth_scenes": 12}, batch_size=8)
LAST = ListenRequest(rows=[("last",)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("listen") / "whole"
    run_listen(replace(SETTINGS, out=folder), replace(LAST, rows=[("option",)], over_time=[0]))
    return folder


@pytest.fixture
def tasks():
    """The task's data, which a test may spoil; the others' are as they were afterwards."""
    (task,) = tasks_to_items.load_tasks(["tempo_synth_eo_aqa"], {"synth_scenes": 4}).values()
    before = task.clips, task.dataset
    yield {"tempo_synth_eo_aqa": task}
    task.clips, task.dataset = before


@pytest.fixture
def unloaded(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("a model is loaded")

    monkeypatch.setattr("tempo_tasks.lab.study.LALM", fail)


# ------------------------------------------------------------------------------ a run


def test_the_files_are_the_records_tables(whole):
    records = [ListenRecord.from_dict(record) for record in read_run(whole).records]
    assert read(whole, "listen.json") == listen_rows(records)
    assert read(whole, "best.json") == best_rows(records)
    assert {"listen.csv", "best.csv", "listen.png", "listen.svg"} <= set(contents(whole))
    summary = read(whole, "summary.json")
    assert (summary["n"], summary["n_clusters"]) == (12, 12)


def test_the_embedded_models_names_look_at_their_events(whole):
    """In layer 0, where sweep and trace find the options' rows reading audio."""
    (layer,) = [
        row
        for row in read(whole, "listen.json")
        if (row["rows"], row["target"], row["layer"], row["head"]) == ("name", "right", 0, "mean")
    ]
    assert layer["iou"] > layer["chance"] + 0.3
    assert layer["iou"] > layer["silence"] + 0.3


def test_attention_in_the_event_is_what_tempo_heads_has(whole, tmp_path):
    """Over time, from all options' rows: what lies in the right event's own positions."""
    run_heads(replace(SETTINGS, out=tmp_path / "heads"), HeadsRequest(rows=[("option",)]))
    for mine, other in zip(
        read_run(whole).records, read_run(tmp_path / "heads").records, strict=True
    ):
        assert mine["key"] == other["key"]
        inside = np.zeros(mine["n_positions"], bool)
        for start, end in mine["events"][mine["answer"]]:
            inside[int(np.floor(start * mine["rate"])) : int(np.ceil(end * mine["rate"]))] = True
        shown = np.array(mine["over_time"]["option"]["0"])
        assert shown[inside].sum() == pytest.approx(np.mean(other["event"]["option"][0]), abs=2e-4)


# ------------------------------------------------------------------------------ refused


def test_families_without_order_in_time_are_refused_by_name(tmp_path, unloaded):
    model = str(save("desta25", tmp_path / "desta"))
    assert not get_family(model_config(model, {})).audio_in_time_order
    with pytest.raises(UnsupportedModelError, match=r"audio positions of desta.* do not follow"):
        run_listen(replace(SETTINGS, model=model), LAST)


def test_one_clip_cannot_be_halved(unloaded):
    with pytest.raises(
        OptionError, match="eo aqa: the items come from 1 clip; expected at least 2"
    ):
        run_listen(replace(SETTINGS, limit=1), LAST)


def test_a_window_longer_than_the_clip(unloaded):
    with pytest.raises(OptionError, match=r"--window 11: longer than the clip tempo-synth.* \("):
        run_listen(SETTINGS, replace(LAST, window=11.0))


def test_captions_name_events_a_second_time(unloaded):
    with pytest.raises(QuestionError, match="stands twice in the prompt: tempo-synth"):
        run_listen(replace(SETTINGS, tasks=["tempo_synth_eo_acqa"]), LAST)


def test_a_name_within_another_option_is_not_twice(tasks):
    (task,) = tasks.values()
    options = ["Dog", "Dog Barking", "Rain", "Bell"]
    document = {**task.dataset["test"][0], "options": options}
    texts = "Which first?\nA. Dog\nB. Dog Barking\nC. Rain\nD. Bell\nAnswer."
    from tempo_tasks.lab.instruments.listen_truths import _twice

    assert _twice({**document, "prompt": texts}) == []
    assert len(_twice({**document, "prompt": f"The rain fell. {texts}"})) == 1


def test_clips_without_intervals(tasks):
    (task,) = tasks.values()
    task.clips = {}
    with pytest.raises(MissingIntervalsError, match=r"not known of .* and 1 more, and tempo"):
        Truths(None, None).read(tasks)


def test_an_event_that_is_not_in_the_clip(tasks):
    (task,) = tasks.values()
    task.clips = {
        name: Clip(id=name, events=(Event("Something else", ((0.0, 1.0),)),)) for name in task.clips
    }
    with pytest.raises(EventError, match="right answer's event is not in its clip: tempo-synth"):
        Truths(None, None).read(tasks)


def test_an_event_behind_the_clips_end(tasks):
    (task,) = tasks.values()
    task.clips = {
        name: replace(
            clip, events=tuple(Event(event.label, ((1.0, 99.0),)) for event in clip.events)
        )
        for name, clip in task.clips.items()
    }
    with pytest.raises(EventError, match=r"sounds until 99 s, the clip lasts 10.00 s"):
        Truths(None, None).read(tasks)

"""`tempo heads` and `tempo try-heads` on the embedded model and a few items."""

from dataclasses import replace

import pytest
import torch

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import OptionError, RunFolderError
from tempo_attn.lab.heads.records import HeadRecord
from tempo_attn.lab.heads.scores import head_rows
from tempo_attn.lab.run_folder.folder import read_run
from tempo_tasks.lab.instruments import event_times, heads_to_try
from tempo_tasks.lab.instruments.heads import HeadsRequest, run_heads
from tempo_tasks.lab.instruments.heads_to_try import TryHeadsRequest
from tempo_tasks.lab.instruments.try_heads import run_trial
from tempo_tasks.lab.mass import MassRequest, run_mass
from tempo_tasks.lab.settings import Settings
from tests.support.lab_commands import contents, read

pytestmark = pytest.mark.usefixtures("loaded_once")
SETTINGS = Settings(tasks=["tempo_synth_eo_aqa"], metadata={"synth_scenes": 24}, batch_size=8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("heads") / "whole"
    run_heads(replace(SETTINGS, out=folder), HeadsRequest(rows=[("option",)]))
    return folder


@pytest.fixture
def easy_and_hard(monkeypatch):
    """Half of the items count as wrong: of so few, the embedded model answers nearly all right."""
    monkeypatch.setattr(
        "tempo_attn.lab.heads.scores.rightness",
        lambda records: torch.arange(len(records)).numpy() % 2 == 0,
    )


def test_the_files_are_the_records_tables(whole):
    found = set(contents(whole))
    assert {"manifest.json", "items.jsonl", "heads.csv", "heads.json", "summary.json"} <= found
    records = [HeadRecord.from_dict(record) for record in read_run(whole).records]
    assert read(whole, "heads.json") == head_rows(records)
    summary = read(whole, "summary.json")
    assert (summary["n"], summary["n_clusters"], summary["n_with_event_times"]) == (24, 24, 24)


def test_the_mean_over_heads_is_what_tempo_mass_has(whole, tmp_path):
    run_mass(replace(SETTINGS, out=tmp_path), MassRequest(rows=[("option",)]))
    records = read_run(whole).records
    for mine, other in zip(records, read_run(tmp_path).records, strict=True):
        assert mine["key"] == other["key"]
        means = [sum(heads) / len(heads) for heads in mine["audio"]["option"]]
        assert means == pytest.approx(other["audio"]["option"], abs=2e-5)
        # An event is a part of the audio, and never all of a scene of several.
        for event, audio in zip(mine["event"]["option"], mine["audio"]["option"], strict=True):
            assert all(e < a for e, a in zip(event, audio, strict=True))


def test_a_trial_and_its_configuration(whole, tmp_path, easy_and_hard, capsys):
    out = tmp_path / "tried"
    request = TryHeadsRequest(run=whole, out=out, top=[1, 2], random=2, write=2)
    run_trial(request)
    rows = read(out / "trial", "try_heads.json")
    assert [(row["heads"], row["n"], row["random_sets"]) for row in rows] == [
        (1, 12, 2),
        (2, 12, 2),
    ]
    config = AttnScaleConfig.from_pretrained(out)
    chosen = sorted(tuple(map(int, head.split("."))) for head in rows[1]["which"].split(" "))
    assert sorted((layer, h) for layer, hs in config.heads.items() for h in hs) == chosen
    assert (config.mode, config.queries) == ("knockout", ["option"])
    assert config.provenance["trial"] == rows[1]
    assert "12 items of 12 clusters" in " ".join(capsys.readouterr().out.split())
    first = contents(out / "trial")
    run_trial(request)  # finds all there, and writes the same bytes
    assert contents(out / "trial") == first


def test_the_halves_have_no_clip_in_common(whole, easy_and_hard):
    records, rows = heads_to_try.scored_records(
        read_run(whole), TryHeadsRequest(run=whole, out=whole)
    )
    request = TryHeadsRequest(run=whole, out=whole, top=[1])
    chosen_on, tried_on, _ = heads_to_try.halves(records, rows, request)
    assert len(chosen_on) == len(tried_on) == 12
    assert not {r.cluster for r in chosen_on} & {r.cluster for r in tried_on}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top": [50]}, "expected 1 to 12"),
        ({"write": 3}, "not tried"),
        ({"rows": "last"}, "--rows: unknown 'last'"),
        ({"kind": "lo"}, "--kind: unknown 'lo'"),
        ({"target": "sound"}, "--target: unknown 'sound'"),
        ({"edit": "scale=1,2"}, "expected one strength"),
        ({"edit": "enrich=0.5"}, "have no heads"),
    ],
)
def test_wrong_requests(whole, tmp_path, easy_and_hard, changes, message):
    request = replace(TryHeadsRequest(run=whole, out=tmp_path / "o", top=[1]), **changes)
    with pytest.raises(OptionError, match=message):
        run_trial(request)
    assert not (tmp_path / "o").exists()


def test_all_right_is_no_score_to_choose_by(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "tempo_attn.lab.heads.scores.rightness",
        lambda records: torch.ones(len(records), dtype=torch.bool).numpy(),
    )
    with pytest.raises(OptionError, match="all answered right"):
        run_trial(TryHeadsRequest(run=whole, out=tmp_path / "o", top=[1]))


def test_another_runs_folder_is_refused(whole, tmp_path):
    run_mass(replace(SETTINGS, out=tmp_path / "m", limit=1), MassRequest(rows=[("last",)]))
    with pytest.raises(RunFolderError, match="a run of tempo mass"):
        run_trial(TryHeadsRequest(run=tmp_path / "m", out=tmp_path / "o"))


def test_other_items_are_refused(whole, tmp_path, easy_and_hard):
    request = TryHeadsRequest(run=whole, out=tmp_path / "o", top=[1])
    with pytest.raises(OptionError, match="its items are others"):
        run_trial(request, metadata={"synth_scenes": 25})


def test_times_in_positions():
    assert event_times.in_positions({"a": ((0.0, 1.0), (2.0, 2.5))}, 12.5) == {
        "a": [(0.0, 12.5), (25.0, 31.25)]
    }

"""`tempo data render`: recordings in, a folder out that every other command reads."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tempo_attn.errors import OptionError
from tempo_tasks.audit.assemble import audit
from tempo_tasks.data.check.run import check_sets
from tempo_tasks.data.citations import credits_of
from tempo_tasks.data.commands.check import _margins
from tempo_tasks.data.facts import look_into
from tempo_tasks.data.render import rendering
from tempo_tasks.data.render.request import RenderRequest
from tempo_tasks.data.render.run import render
from tempo_tasks.errors import (
    BadRecordingsError,
    BuildMismatchError,
    DamagedBuildError,
    DataVersionError,
)
from tempo_tasks.harness.task import load_mirror, load_questions
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.without_audio import load_plain
from tests.support.recorded_sounds import (
    RATE,
    SIX,
    read_table,
    recording,
    write_esc50,
    write_folder,
    write_rows,
    write_wav,
)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("sounds") / "bank")


@pytest.fixture(scope="module")
def quartets(bank, tmp_path_factory):
    out = tmp_path_factory.mktemp("rendered") / "quartets"
    manifest, _ = render(RenderRequest(sounds=bank, kind="quartets", clips=32, licence="CC0"), out)
    return out, manifest


@pytest.fixture(scope="module")
def mirrored(bank, tmp_path_factory):
    out = tmp_path_factory.mktemp("rendered") / "mirrored"
    manifest, _ = render(RenderRequest(sounds=bank, kind="mirror", clips=12), out)
    return out, manifest


def bytes_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_strategy_on_quartets_is_at_chance(quartets):
    """The point of it all: what does not hear time is right in a quarter, and no more."""
    out, _ = quartets
    found = [row for part in audit([load_plain(out)])["parts"] for row in part["shortcuts"]]
    # The order of rows is no shortcut of a model that is asked item by item.
    rows = [row for row in found if row["strategy"] != "letter cycle"]
    assert len(rows) > 60
    assert len(rows) < len(found)
    assert [row for row in rows if row["accuracy"] > 0.25 + 1e-9] == []
    timeless = ("presence only", "label prior, 10 folds", "longest, characters", "in most clips")
    told = {row["strategy"]: row["accuracy"] for row in rows}
    assert {told[name] for name in timeless} == {0.25}


def test_a_quartet_is_read_back_with_its_group(quartets):
    out, manifest = quartets
    found = load_questions("released", Kind.EO, {"data": str(out)})
    assert len(found.questions) == 32
    assert {question.group for question in found.questions} == {f"{n:05d}" for n in range(8)}
    hard = load_questions("hard", Kind.LD, {"data": str(out)})
    assert len(hard.questions) == 32
    assert hard.name == "quartets, hard"
    assert set(found.captions) == set(found.clips) == {q.clip_id for q in found.questions}
    assert manifest["kinds"]["eo"]["in_clip"] == {"1": 0, "2": 0, "3": 0, "4": 32}


def test_answers_are_those_of_the_intervals(quartets, mirrored):
    for out, _ in (quartets, mirrored):
        plain = load_plain(out)
        checked = check_sets([plain], margins=_margins([str(out)], [plain]))
        assert checked.agrees, checked.findings
        assert {item.required for item in checked.items} == {1.0}


def test_info_verifies_and_finds_a_changed_clip(quartets, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(quartets[0], copy)
    assert look_into(str(copy), verify=True).problems == []
    (copy / "audio" / "00000-0.wav").write_bytes(b"x")
    assert look_into(str(copy), verify=True).problems == [
        "audio/00000-0.wav: not what was written (SHA-256 differs)"
    ]


def test_twins_are_rendered_and_have_the_opposite_answer(mirrored):
    out, manifest = mirrored
    assert manifest["twins"] == 12
    assert manifest["clips"] == 12
    pairs = load_mirror("released", Kind.EO, {"data": str(out)})
    assert pairs.form == "rendered in reverse order"
    assert pairs.pairs
    assert all(p.original.answer_text != p.twin.answer_text for p in pairs.pairs)
    asked = pairs.originals.questions[0].clip_id
    assert pairs.twins.audio[asked]["path"].endswith(asked.replace(".wav", "-mirror.wav"))
    assert "reversed" not in pairs.twins.audio[asked]
    other = load_questions("released", Kind.LO, {"data": str(out)})
    right = {question.clip_id: question.answer_text for question in other.questions}
    assert all(right[p.original.clip_id] == p.twin.answer_text for p in pairs.pairs)


def test_without_rendered_twins_a_clip_is_played_backwards(quartets):
    pairs = load_mirror("released", Kind.LO, {"data": str(quartets[0])})
    assert pairs.form == "time-reversed audio"


def test_the_same_bytes_whatever_the_number_of_processes(bank, quartets, tmp_path):
    request = RenderRequest(sounds=bank, kind="quartets", clips=32, licence="CC0", workers=2)
    render(request, tmp_path / "again")
    assert bytes_of(tmp_path / "again") == bytes_of(quartets[0])


def test_another_seed_is_another_set(bank, quartets, tmp_path):
    request = RenderRequest(sounds=bank, kind="quartets", clips=32, licence="CC0", seed=1)
    manifest, _ = render(request, tmp_path / "other")
    assert manifest["fingerprint"] != quartets[1]["fingerprint"]
    first = load_plain(quartets[0]).questions
    assert [q.answer for q in load_plain(tmp_path / "other").questions] != [q.answer for q in first]


def test_no_path_of_the_machine_is_written(bank, quartets):
    for name, content in bytes_of(quartets[0]).items():
        assert str(bank.parent).encode() not in content, name


def test_a_killed_rendering_goes_on(bank, tmp_path, monkeypatch):
    request = RenderRequest(sounds=bank, clips=6)
    whole, out = tmp_path / "whole", tmp_path / "out"
    render(request, whole)
    written = []

    def killed(path, scene, waves):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path.name)
        return real(path, scene, waves)

    real = rendering._render
    with monkeypatch.context() as patched:
        patched.setattr(rendering, "_render", killed)
        with pytest.raises(KeyboardInterrupt):
            render(request, out)
    assert not (out / "manifest.json").exists()
    kept = {name: (out / "audio" / name).stat().st_mtime_ns for name in written}
    _, was_there = render(request, out)
    assert not was_there
    assert {name: (out / "audio" / name).stat().st_mtime_ns for name in kept} == kept
    assert bytes_of(out) == bytes_of(whole)
    assert render(request, out)[1]  # complete: nothing is done


def test_another_rendering_and_other_files_are_refused(bank, tmp_path):
    render(RenderRequest(sounds=bank, clips=2), tmp_path / "out")
    with pytest.raises(BuildMismatchError, match="seed: 0 there, 1 now"):
        render(RenderRequest(sounds=bank, clips=2, seed=1), tmp_path / "out")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("x")
    with pytest.raises(BuildMismatchError, match="no build of ours"):
        render(RenderRequest(sounds=bank, clips=2), tmp_path / "theirs")
    (tmp_path / "out" / "questions.csv").write_text("mine now")
    with pytest.raises(DamagedBuildError, match=r"questions\.csv"):
        render(RenderRequest(sounds=bank, clips=2), tmp_path / "out")


@pytest.fixture
def flawed(tmp_path):
    """A bank with one recording of each fault."""
    folder = write_folder(tmp_path / "bank", each=1)
    write_wav(folder / "Rain" / "silent.wav", np.zeros(RATE))
    write_wav(folder / "Rain" / "short.wav", recording("Rain")[:1000])
    write_wav(folder / "Siren" / "clipped.wav", np.clip(9 * recording("Siren", 3), -1, 1))
    (folder / "Siren" / "text.wav").write_text("no sound")
    write_wav(folder / "Siren" / "copy.wav", recording("Siren", 0))
    both = recording("Whistle", 7)
    write_wav(folder / "Crickets" / "both.wav", both)
    write_wav(folder / "Whistle" / "both.wav", both)
    click = 1e-4 * np.ones(RATE)
    click[5000:5400] = 0.5
    write_wav(folder / "Rain" / "click.wav", click)
    return folder


def test_recordings_that_cannot_be_used_are_listed_in_one_error(flawed, tmp_path):
    with pytest.raises(BadRecordingsError) as raised:
        render(RenderRequest(sounds=flawed, clips=2), tmp_path / "out")
    told = str(raised.value)
    assert "6 recordings cannot be used" in told
    assert "--repair" in told
    assert "Rain/silent.wav: without sound" in told
    assert "Rain/short.wav: 0.062 s; expected at least 0.2 s" in told
    assert "Siren/clipped.wav: clipped" in told
    assert "Siren/text.wav: cannot be decoded" in told
    assert "Crickets/both.wav: the same sound has the labels Crickets, Whistle" in told
    assert not (tmp_path / "out").exists()


def test_with_repair_they_are_left_out_and_listed(flawed, tmp_path):
    manifest, _ = render(RenderRequest(sounds=flawed, clips=4, repair=True), tmp_path / "out")
    assert sorted(row["filename"] for row in manifest["repairs"]) == [
        *("Crickets/both.wav", "Rain/short.wav", "Rain/silent.wav"),
        *("Siren/clipped.wav", "Siren/text.wav", "Whistle/both.wav"),
    ]
    others = {row["recording"]: row["why"] for row in manifest["left_out"]}
    assert others["Siren/copy.wav"] == "the same sound as Siren/0.wav"
    assert others["Rain/click.wav"] == "no clear burst"
    used = {row["recording"] for row in manifest["recordings"]}
    assert used <= {f"{label.replace(' ', '_')}/0.wav" for label in SIX}


def test_a_label_with_too_few_recordings_is_named(bank, tmp_path):
    few = tmp_path / "bank"
    shutil.copytree(bank, few)
    (few / "Siren" / "1.wav").unlink()
    request = RenderRequest(sounds=few, clips=2, min_recordings=2)
    with pytest.raises(BadRecordingsError, match=r"'Siren' has 1 recordings.*asked for are 2"):
        render(request, tmp_path / "out")
    manifest, _ = render(replace(request, repair=True), tmp_path / "out")
    assert "Siren" not in manifest["labels"]


def test_backgrounds_shorter_than_the_clip_are_named(bank, tmp_path):
    noise = np.random.RandomState(0).standard_normal(11 * RATE) * 0.1
    write_wav(tmp_path / "rooms" / "long.wav", noise)
    write_wav(tmp_path / "rooms" / "short.wav", noise[: 3 * RATE])
    request = RenderRequest(sounds=bank, clips=2, background=str(tmp_path / "rooms"))
    with pytest.raises(BadRecordingsError, match=r"background/short.wav: 3 s, shorter than a clip"):
        render(request, tmp_path / "out")
    manifest, _ = render(replace(request, repair=True), tmp_path / "out")
    heard = {row["recording"]: row["clips"] for row in manifest["recordings"]}
    assert heard["background/long.wav"] == 2
    assert "background/short.wav" not in heard


def test_splits_share_no_recording(tmp_path):
    source = write_esc50(tmp_path / "esc50")
    used = {}
    for split in ("train", "test"):
        manifest, _ = render(RenderRequest(sounds=source, clips=8, split=split), tmp_path / split)
        used[split] = {row["recording"] for row in manifest["recordings"]}
    assert all(name.startswith("audio/5-") for name in used["test"])
    assert not any(name.startswith("audio/5-") for name in used["train"])
    recordings, entries = credits_of(tmp_path / "test")
    assert "piczak2015esc" in entries
    assert {row["licence"] for row in recordings} <= {"CC BY 3.0", "CC BY-NC 3.0"}
    assert all(row["link"].startswith("https://freesound.org/s/") for row in recordings)


def test_events_tell_of_what_each_interval_is_made(mirrored):
    out, manifest = mirrored
    rows = read_table(out / "events.csv")
    assert {row["filename"] for row in rows} == {
        f"{n:05d}{t}.wav" for n in range(12) for t in ("", "-mirror")
    }
    assert all(10 <= float(row["level_db"]) <= 25 for row in rows)
    assert all(0.4 <= float(row["from"]) < float(row["to"]) <= 2.1 for row in rows)
    assert {row["recording"] for row in rows} == {r["recording"] for r in manifest["recordings"]}


def test_labels_alike_are_never_options_together(bank, tmp_path):
    groups = [("Rain", "x"), ("Crickets", "x"), ("Siren", "y"), ("Car Horn", "y")]
    file = write_rows(tmp_path / "alike.csv", ("label", "group"), groups)
    request = RenderRequest(sounds=bank, clips=30, alike=str(file), events=(2, 3))
    manifest, _ = render(request, tmp_path / "out")
    assert manifest["alike"]["Rain"] == ["Crickets"]
    for question in load_plain(tmp_path / "out").questions:
        assert not {"Rain", "Crickets"} <= set(question.options)
        assert not {"Siren", "Car Horn"} <= set(question.options)


def test_too_few_labels_for_four_options_are_told(bank, tmp_path):
    few = tmp_path / "bank"
    shutil.copytree(bank, few)
    for label in ("Siren", "Whistle", "Rain"):
        shutil.rmtree(few / label)
    with pytest.raises(OptionError, match="3 labels are too few for four options"):
        render(RenderRequest(sounds=few, clips=3, events=(2, 3)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_hostile_labels_stay_text(bank, tmp_path):
    hostile = '[red]"><script>alert(1)</script>'.replace("/", "")
    rows = [(f"{label.replace(' ', '_')}/0.wav", label) for label in SIX[:5]]
    rows.append(("Whistle/0.wav", hostile))
    shutil.copytree(bank, tmp_path / "bank")
    table = write_rows(tmp_path / "bank" / "labels.csv", ("filename", "label"), rows)
    manifest, _ = render(RenderRequest(sounds=table, clips=8), tmp_path / "out")
    assert hostile in manifest["labels"]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["labels"]
    assert hostile in {o for q in load_plain(tmp_path / "out").questions for o in q.options}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "quartet"}, "Did you mean 'quartets'"),
        ({"kind": "quartets", "clips": 6}, "a multiple of 4"),
        ({"kind": "quartets", "events": (3, 5)}, "leave --events and --repeats out"),
        ({"seconds": 5.0}, "expected 10 to 30"),
        ({"events": (5, 3)}, "the fewest first"),
        ({"repeats": 4}, "expected 1 to 3"),
        ({"levels": (20.0, 10.0)}, "the lower first"),
        ({"levels": (float("nan"), 10.0)}, "the lower first"),
        ({"background": "pnk"}, "Did you mean 'pink'"),
        ({"max_overlap": 0}, "--max-overlap 0"),
        ({"split": "dev"}, "expected all, train, test"),
        ({"rate": 16_001}, "multiple of 100"),
        ({"workers": 0}, "--workers 0"),
    ],
)
def test_wrong_options_are_told_before_any_work(tmp_path, changes, told):
    with pytest.raises(OptionError, match=told):
        render(RenderRequest(sounds=tmp_path / "absent", **changes), tmp_path / "out")


def test_whom_to_thank_needs_a_rendered_folder(tmp_path):
    with pytest.raises(DataVersionError, match="says whose recordings"):
        credits_of(tmp_path)

"""Building: the same bytes for ever, whole or not at all, and only from what can be trusted."""

import csv
import hashlib
import json
import random
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tempo_attn.errors import OptionError
from tempo_tasks.data.build import run as building
from tempo_tasks.data.build.request import Request
from tempo_tasks.data.build.run import build
from tempo_tasks.data.build.written_tables import seconds
from tempo_tasks.errors import (
    AudioNotFoundError,
    BadIntervalsError,
    BuildMismatchError,
    ChecksumError,
    DamagedBuildError,
    DataUnavailableError,
    DataVersionError,
    QuestionError,
    UnreadableAudioError,
)
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.questions import Kind, right_event
from tempo_tasks.sources import tacos
from tempo_tasks.sources.hub import load_released
from tempo_tasks.sources.intervals import read_intervals
from tests.support.fake_tacos import events, make_tacos, write_csv, write_intervals


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small TACOS that counts as the published one."""
    monkeypatch.setattr(tacos, "FILES", make_tacos(tmp_path / "tacos"))
    return tmp_path / "tacos"


@pytest.fixture
def intervals(tmp_path):
    return write_intervals(tmp_path / "intervals.csv")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def request(intervals, **change) -> Request:
    return Request(intervals=(intervals,), margin=1.0, **change)


def test_questions_are_right_and_stand_in_the_released_columns(intervals, tmp_path):
    manifest, was_there = build(request(intervals), tmp_path / "out")
    assert not was_there
    clips = read_intervals(intervals).clips
    found = rows(tmp_path / "out" / "questions.csv")
    assert list(found[0]) == [
        *("audio", "filename", "question", "option_a", "option_b", "option_c", "option_d"),
        *("correct_answer", "correct_text", "task"),
    ]
    assert {row["task"] for row in found} == {"earliest_start", "latest_end", "longest_duration"}
    kinds = {kind.text: kind for kind in Kind}
    for row in found:
        right = right_event(clips[row["filename"]], kinds[row["question"]], 1.0)
        assert right.label == row["correct_text"]
        assert row[f"option_{row['correct_answer'].lower()}"] == right.label
    expected = {
        kind.value: sum(
            len(clip.events) >= 2 and right_event(clip, kind, 1.0) is not None
            for clip in clips.values()
        )
        for kind in Kind
    }
    assert {kind: count["questions"] for kind, count in manifest["kinds"].items()} == expected
    assert manifest["questions"] == len(found) == sum(expected.values())
    assert min(expected.values()) > 5


def test_the_bytes_of_a_seed_are_the_same_for_ever(intervals, tmp_path):
    build(request(intervals), tmp_path / "out")
    digest = hashlib.sha256((tmp_path / "out" / "questions.csv").read_bytes()).hexdigest()
    assert digest == "484023c36e12b83e8e5f3a6d17ca5b11eb7fe9e82870bc4dd75abfe4b824fa32"


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), st.sampled_from([None, 4]), st.sampled_from([1, 3]))
def test_the_order_of_rows_and_files_changes_no_byte(tmp_path_factory, draw, size, per_clip):
    place = tmp_path_factory.mktemp("order")
    mixed = events()
    draw.shuffle(mixed)
    half = len(mixed) // 2
    one = write_intervals(place / "one.csv")
    two = [
        write_intervals(place / "a.csv", mixed[:half]),
        write_intervals(place / "b.csv", mixed[half:]),
    ]
    for out, files in (("x", [one]), ("y", two)):
        build(
            Request(intervals=tuple(files), margin=1.0, size=size, per_clip=per_clip), place / out
        )
    for name in ("questions.csv", "intervals.csv"):
        assert (place / "x" / name).read_bytes() == (place / "y" / name).read_bytes()


def test_another_seed_asks_the_same_with_other_options(intervals, tmp_path):
    for seed in (0, 1):
        build(request(intervals, seed=seed), tmp_path / str(seed))
    first, second = (rows(tmp_path / str(seed) / "questions.csv") for seed in (0, 1))
    asked = [[(row["filename"], row["correct_text"]) for row in found] for found in (first, second)]
    assert asked[0] == asked[1]
    assert first != second


def test_a_built_folder_runs_as_the_released_data(folder, tmp_path):
    out = tmp_path / "out"
    manifest, _ = build(Request(tacos=folder, margin=1.0, split="test"), out)
    for kind in Kind:
        asked = load_released(kind, data=str(out))
        assert len(asked.questions) == manifest["kinds"][kind.value]["questions"] > 0
        assert set(asked.captions) == {question.clip_id for question in asked.questions}
        assert set(asked.clips) == set(asked.captions)
        assert "out/audio" in asked.audio[asked.questions[0].clip_id]["path"]


def test_everything_from_tacos(folder, tmp_path):
    out = tmp_path / "out"
    manifest, _ = build(Request(tacos=folder, margin=1.0, split="test"), out)
    used = {row["filename"] for row in rows(out / "questions.csv")}
    test_split = {row["filename"] for row in rows(folder / "test_split.csv")}
    assert used < test_split
    assert {path.name for path in (out / "audio").iterdir()} == used
    assert {row["filename"] for row in rows(out / "captions.csv")} == used
    with zipfile.ZipFile(folder / "audio.zip") as archive:
        for name in used:
            assert (out / "audio" / name).read_bytes() == archive.read(f"audio/{name}")
    # Texts of other clips may describe a sound of this one: all options are the clip's own.
    clips = read_intervals(out / "intervals.csv").clips
    for row in rows(out / "questions.csv"):
        options = {row[f"option_{letter}"] for letter in "abcd"}
        assert options <= clips[row["filename"]].labels
        assert next(iter(options)).startswith("a ")
    by_name = {row["filename"]: row for row in rows(folder / "metadata.csv")}
    for row in rows(out / "attribution.csv"):
        source = by_name[row["filename"]]
        assert row == {
            "filename": row["filename"],
            "author": source["manufacturer"],
            "licence": source["license"],
            "link": source["sound_link"],
        }
    assert manifest["licences"] == dict(Counter(by_name[name]["license"] for name in used))
    assert manifest["audio"] is True
    assert manifest["captions"] == manifest["clips"] == len(used)
    assert manifest["sources"]["audio"][0]["md5"] == tacos.FILES["audio.zip"].md5
    assert "free texts" in manifest["notes"][0]
    assert set(manifest["files"]) == set(contents(out)) - {"manifest.json"}


def test_classes_for_free_texts_allow_absent_distractors(folder, tmp_path):
    texts = {row["text"] for row in rows(folder / "annotations_strong.csv")}
    mapping = write_csv(
        tmp_path / "map.csv", ["text", "label"], [[t, t.split()[1].title()] for t in texts]
    )
    manifest, _ = build(Request(tacos=folder, mapping=mapping, margin=1.0), tmp_path / "out")
    assert manifest["kinds"]["eo"]["in_clip"]["2"] > 0
    assert "Trumpet" in {row["correct_text"] for row in rows(tmp_path / "out" / "questions.csv")}


def test_size_draws_clips_and_balances_letters_anew(intervals, tmp_path):
    manifest, _ = build(request(intervals, size=7), tmp_path / "out")
    for count in manifest["kinds"].values():
        assert count["questions"] == 7
        assert max(count["letters"].values()) - min(count["letters"].values()) <= 1
    build(request(intervals), tmp_path / "all")
    every = {
        (row["filename"], row["task"], row["correct_text"])
        for row in rows(tmp_path / "all" / "questions.csv")
    }
    some = {
        (row["filename"], row["task"], row["correct_text"])
        for row in rows(tmp_path / "out" / "questions.csv")
    }
    assert some < every
    names = [row["filename"] for row in rows(tmp_path / "out" / "questions.csv")][:7]
    assert names != sorted({name for name, task, _ in every if task == "earliest_start"})[:7]


def test_size_with_several_questions_a_clip(intervals, tmp_path):
    manifest, _ = build(request(intervals, size=8, per_clip=3), tmp_path / "out")
    assert {count["questions"] for count in manifest["kinds"].values()} == {8}
    assert manifest["kinds"]["eo"]["clips"] < 8


def test_hard_questions_have_all_options_in_the_clip(intervals, tmp_path, monkeypatch):
    manifest, _ = build(request(intervals, hard=True, kinds=(Kind.EO,)), tmp_path / "out")
    present = manifest["kinds"]["eo"]["in_clip"]
    assert present["4"] == manifest["questions"] > 0


def test_without_audio_the_folder_says_so(intervals, tmp_path):
    manifest, _ = build(request(intervals), tmp_path / "out")
    assert manifest["audio"] is False
    assert {row["audio"] for row in rows(tmp_path / "out" / "questions.csv")} == {""}
    assert not (tmp_path / "out" / "audio").exists()
    assert not (tmp_path / "out" / "captions.csv").exists()


def test_an_audio_folder_is_linked_or_copied(folder, intervals, tmp_path, monkeypatch):
    with zipfile.ZipFile(folder / "audio.zip") as archive:
        archive.extractall(tmp_path / "clips")
    clips = tmp_path / "clips" / "audio"
    build(request(intervals, audio=clips), tmp_path / "linked")

    def refuse(*names):
        raise OSError("another file system")

    monkeypatch.setattr("os.link", refuse)
    build(request(intervals, audio=clips), tmp_path / "copied")
    for path in (tmp_path / "linked" / "audio").iterdir():
        assert path.samefile(clips / path.name)
        copy = tmp_path / "copied" / "audio" / path.name
        assert copy.read_bytes() == path.read_bytes()
        assert not copy.samefile(path)


def test_a_killed_build_goes_on_to_the_same_bytes(folder, tmp_path, monkeypatch):
    asked = Request(tacos=folder, margin=1.0)
    build(asked, tmp_path / "whole")
    placed = []

    def killed(self, name, target, real=building.place_all.__globals__["ZipAudio"].place):
        if len(placed) == 3:
            raise KeyboardInterrupt
        placed.append(name)
        return real(self, name, target)

    with monkeypatch.context() as patch:
        patch.setattr("tempo_tasks.data.build.audio_files.ZipAudio.place", killed)
        with pytest.raises(KeyboardInterrupt):
            build(asked, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "audio").iterdir()}
    assert len(kept) == 3
    with pytest.raises(BuildMismatchError, match="seed: 0 there, 1 now"):
        build(Request(tacos=folder, margin=1.0, seed=1), tmp_path / "out")
    build(asked, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # not extracted again


def test_a_half_written_clip_is_extracted_again(folder, tmp_path):
    out = tmp_path / "out"
    asked = Request(tacos=folder, margin=1.0)
    build(asked, out)
    before = contents(out)
    victim = next((out / "audio").iterdir())
    (out / "manifest.json").rename(tmp_path / "manifest.json")
    spec = json.loads((tmp_path / "manifest.json").read_text())["spec"]
    (out / "build.json").write_text(json.dumps(spec))
    victim.write_bytes(victim.read_bytes()[:-5])
    build(asked, out)
    assert contents(out) == before


def test_a_complete_build_is_left_alone(intervals, tmp_path):
    build(request(intervals), tmp_path / "out", command="first")
    before = contents(tmp_path / "out")
    manifest, was_there = build(request(intervals), tmp_path / "out", command="second")
    assert was_there
    assert manifest["command"] == "first"
    assert contents(tmp_path / "out") == before


def test_a_file_that_went_missing_is_written_again(intervals, tmp_path):
    build(request(intervals), tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "intervals.csv").unlink()
    assert build(request(intervals), tmp_path / "out")[1] is False
    assert contents(tmp_path / "out") == before


def test_a_file_that_was_edited_is_not_overwritten(intervals, tmp_path):
    build(request(intervals), tmp_path / "out")
    edited = tmp_path / "out" / "questions.csv"
    edited.write_text(edited.read_text().replace("Trumpet", "Trombone"))
    with pytest.raises(DamagedBuildError, match=r"questions\.csv: not what was written"):
        build(request(intervals), tmp_path / "out")
    assert "Trombone" in edited.read_text()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 3}, "seed: 0 there, 3 now"),
        ({"margin": 2.0}, r"margin\.eo: 1\.0 there, 2\.0 now"),
        ({"kinds": (Kind.EO,)}, "kinds"),
        ({"size": 2}, "size: null there, 2 now"),
        ({"min_events": 3}, "min_events"),
        ({"min_present": 3}, "min_present"),
        ({"per_clip": 2}, "per_clip"),
        ({"repair": True}, "repair"),
    ],
)
def test_another_build_in_the_folder_is_refused_and_the_difference_named(
    intervals, tmp_path, change, named
):
    build(request(intervals), tmp_path / "out")
    before = contents(tmp_path / "out")
    options = {"intervals": (intervals,), "margin": 1.0, **change}
    with pytest.raises(BuildMismatchError, match=named):
        build(Request(**options), tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_other_annotations_are_another_build(intervals, tmp_path):
    build(request(intervals), tmp_path / "out")
    write_intervals(intervals, events(20))
    with pytest.raises(BuildMismatchError, match=r"sources\.intervals"):
        build(request(intervals), tmp_path / "out")


def test_a_folder_with_other_files_is_refused(intervals, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(BuildMismatchError, match="not empty, and no build of ours"):
        build(request(intervals), tmp_path)


def test_a_changed_file_of_tacos(folder, tmp_path):
    with (folder / "annotations_weak.csv").open("a") as file:
        file.write("9999.wav,One more.\n")
    with pytest.raises(ChecksumError, match=r"annotations_weak\.csv: .*Half a download"):
        build(Request(tacos=folder, margin=1.0), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    asked = Request(tacos=folder, margin=1.0, allow_modified=True)
    manifest, _ = build(asked, tmp_path / "out")
    modified = {part for part, (file, *_) in manifest["sources"].items() if file["modified"]}
    assert modified == {"captions"}


def archive_of(path: Path, names: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return path


def test_clips_without_audio_are_named_or_left_out(intervals, tmp_path):
    names = sorted({row[0] for row in events()})
    noise = {name: random.Random(name).randbytes(500) for name in names}
    build(request(intervals), tmp_path / "silent")
    used = sorted({row["filename"] for row in rows(tmp_path / "silent" / "questions.csv")})
    noise.pop(used[0])
    noise[used[1]] = b""
    archive = archive_of(tmp_path / "a.zip", noise)
    with pytest.raises(AudioNotFoundError, match=rf"2 clips(.|\n)*{used[0]}\n  {used[1]}"):
        build(request(intervals, audio=archive), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    asked = request(intervals, audio=archive, repair=True)
    manifest, _ = build(asked, tmp_path / "repaired")
    found = {row["filename"] for row in rows(tmp_path / "repaired" / "questions.csv")}
    assert found == set(used[2:])
    left_out = [repair["filename"] for repair in manifest["repairs"]]
    assert left_out == used[:2]
    assert {repair["file"] for repair in manifest["repairs"]} == {"a.zip"}


def test_a_damaged_archive_names_the_member(intervals, tmp_path):
    noise = {f"audio/{row[0]}": random.Random(row[0]).randbytes(500) for row in events()}
    archive = archive_of(tmp_path / "a.zip", noise)
    content = bytearray(archive.read_bytes())
    content[content.index(b"audio/1005.wav") + 100] ^= 255
    archive.write_bytes(content)
    with pytest.raises(UnreadableAudioError, match=r"a\.zip: audio/1005\.wav cannot be read"):
        build(request(intervals, audio=archive), tmp_path / "out")
    assert not (tmp_path / "out" / "audio" / "1005.wav").exists()
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_half_an_archive(intervals, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\3\4 and so on")
    with pytest.raises(UnreadableAudioError, match=r"not a readable ZIP archive.*half a download"):
        build(request(intervals, audio=tmp_path / "a.zip"), tmp_path / "out")


def test_an_archive_never_writes_outside_the_folder(intervals, tmp_path):
    noise = {f"../../{row[0]}": random.Random(row[0]).randbytes(500) for row in events()}
    noise |= {f"__MACOSX/audio/{row[0]}": b"shadow" for row in events()}
    archive = archive_of(tmp_path / "a.zip", noise)
    build(request(intervals, audio=archive), tmp_path / "in" / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"intervals.csv", "a.zip", "in"}
    placed = next((tmp_path / "in" / "out" / "audio").iterdir())
    assert placed.read_bytes() == noise[f"../../{placed.name}"]


def test_a_clip_that_an_archive_has_twice(intervals, tmp_path):
    noise = {f"{side}/{row[0]}": b"noise" for row in events() for side in "ab"}
    archive = archive_of(tmp_path / "a.zip", noise)
    with pytest.raises(UnreadableAudioError, match=r"in it 2 times: \['a/"):
        build(request(intervals, audio=archive), tmp_path / "out")


def test_filenames_of_intervals_that_lead_elsewhere(tmp_path):
    file = write_intervals(tmp_path / "i.csv", [*events(), ("../x.wav", "Crying", 0.0, 1.0)])
    with pytest.raises(BadIntervalsError, match=r"'\.\./x\.wav': no plain filename"):
        build(request(file), tmp_path / "out")


def test_labels_that_differ_in_spelling_only(tmp_path):
    changed = [
        (n, "stream river" if i == 40 else label, a, b)
        for i, (n, label, a, b) in enumerate(events())
    ]
    changed[40] = (changed[40][0], "stream river", *changed[40][2:])
    file = write_intervals(tmp_path / "i.csv", changed)
    with pytest.raises(BadIntervalsError, match=r"row 41: .*'stream river' differs from"):
        build(request(file), tmp_path / "out")
    manifest, _ = build(request(file, repair=True), tmp_path / "repaired")
    assert [repair["row"] for repair in manifest["repairs"] if "spelling" in repair["what"]] == [41]
    assert "stream river" not in (tmp_path / "repaired" / "questions.csv").read_text()


def test_a_split_of_ones_own(intervals, tmp_path):
    split = write_csv(
        tmp_path / "mine.csv", ["filename"], [["1003.wav"], ["1004.wav"], ["1005.wav"], ["x.wav"]]
    )
    manifest, _ = build(request(intervals, split=str(split)), tmp_path / "out")
    found = {row["filename"] for row in rows(tmp_path / "out" / "questions.csv")}
    assert found <= {"1003.wav", "1004.wav", "1005.wav"}
    assert manifest["notes"] == ["1 clips of mine.csv have no events"]
    assert manifest["clips_annotated"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"intervals": ()}, "nothing to build from"),
        ({"kinds": ()}, "no kind of question"),
        ({"size": 0}, "--size 0"),
        ({"size": 1000}, r"eo: --size 1000, and there are \d+ questions"),
        ({"margin": -1.0}, "--margin -1.0"),
        ({"margin": float("nan")}, "--margin nan"),
        ({"hard": True, "size": 5}, "leave out --size"),
        ({"hard": True, "per_clip": 2}, "leave out --per-clip"),
        ({"min_present": 9}, "--min-present 9: expected 1 to 4"),
    ],
)
def test_requests_that_cannot_be(intervals, tmp_path, change, message):
    options = {"intervals": (intervals,), "margin": 1.0, **change}
    with pytest.raises(OptionError, match=message):
        build(Request(**options), tmp_path / "out")


def test_a_margin_that_no_clip_has(intervals, tmp_path):
    with pytest.raises(QuestionError, match="eo: no question: in none of 24 clips"):
        build(Request(intervals=(intervals,), margin=60.0), tmp_path / "out")


def test_free_texts_as_absent_distractors_are_refused(folder, tmp_path):
    with pytest.raises(OptionError, match="--min-present 2: labels are free texts"):
        build(Request(tacos=folder, min_present=2), tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "absent.csv"}, "there is no file .*absent.csv"),
        ({"tacos": Path("nowhere")}, "there is no folder .*nowhere; tempo data download"),
        ({"audio": Path("nowhere.zip")}, "there is no .*nowhere.zip"),
    ],
)
def test_what_is_not_there(intervals, tmp_path, change, message):
    with pytest.raises(DataUnavailableError, match=message):
        build(request(intervals, **change), tmp_path / "out")


def test_a_split_of_a_source_that_is_not_named(intervals, tmp_path):
    with pytest.raises(OptionError, match="--split test is a file of TACOS"):
        build(request(intervals, split="test"), tmp_path / "out")


@given(st.floats(0, 1e5, allow_subnormal=True))
def test_times_read_back_as_the_same_numbers(value):
    shown = seconds(value)
    assert float(shown) == value
    assert "e" not in shown
    assert "-" not in shown


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 30), st.floats(1e-6, 9)), min_size=1, max_size=4))
def test_written_intervals_read_back_as_the_same_events(tmp_path_factory, spans):
    from tempo_tasks.data.build.written_tables import write_intervals as write

    spans = tuple((start, start + length) for start, length in spans)
    clip = Clip("1.mp3", (Event('A "b", [c]', spans),))
    path = tmp_path_factory.mktemp("spans") / "intervals.csv"
    write(path, [clip])
    assert read_intervals(path).clips == {"1.mp3": clip}


def test_a_build_can_be_built_again_from_its_own_intervals(intervals, tmp_path):
    split = write_csv(tmp_path / "mine.csv", ["filename"], [[f"10{n:02}.wav"] for n in range(18)])
    build(request(intervals, split=str(split)), tmp_path / "out")
    build(request(tmp_path / "out" / "intervals.csv"), tmp_path / "again")
    for name in ("questions.csv", "intervals.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_input_that_cannot_be_used_leaves_no_folder(intervals, tmp_path):
    with intervals.open("a") as file:
        file.write("1000.wav,Trumpet,[5-4]\n")
    with pytest.raises(BadIntervalsError):
        build(request(intervals), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_size_draws_absent_distractors_from_the_labels_of_all_clips(tmp_path):
    # Two labels a clip, and all clips together have sixteen: one clip alone has too few for four.
    pairs = [
        row
        for number in range(8)
        for row in (
            (f"{number}.wav", f"Sound {2 * number}", 0.0, 1.0),
            (f"{number}.wav", f"Sound {2 * number + 1}", 4.0, 9.0),
        )
    ]
    intervals = write_intervals(tmp_path / "pairs.csv", pairs)
    wanted = request(intervals, kinds=(Kind.EO,), size=1)
    manifest, _ = build(wanted, tmp_path / "one")
    assert manifest["kinds"]["eo"]["in_clip"] == {"1": 0, "2": 1, "3": 0, "4": 0}
    build(request(intervals, kinds=(Kind.EO,)), tmp_path / "all")
    (one,) = rows(tmp_path / "one" / "questions.csv")
    (same,) = [
        row
        for row in rows(tmp_path / "all" / "questions.csv")
        if row["filename"] == one["filename"]
    ]
    options = [f"option_{letter}" for letter in "abcd"]
    # A smaller benchmark asks the same questions; only letters are dealt anew.
    assert {one[name] for name in options} == {same[name] for name in options}


def test_min_events_three_leaves_clips_of_two_out_of_the_folder(tmp_path):
    intervals = write_intervals(tmp_path / "i.csv")
    events = Counter(row["filename"] for row in rows(intervals))
    build(request(intervals, min_events=2), tmp_path / "two")
    build(request(intervals, min_events=3), tmp_path / "three")
    two, three = (
        {(row["filename"], row["task"]) for row in rows(tmp_path / name / "questions.csv")}
        for name in ("two", "three")
    )
    assert three == {asked for asked in two if events[asked[0]] >= 3}
    assert three < two


def test_letters_are_balanced_over_what_is_kept_of_several_questions_a_clip(tmp_path):
    intervals = write_intervals(tmp_path / "i.csv")
    for size in (3, 5, 9):
        found, _ = build(
            request(intervals, kinds=(Kind.EO,), size=size, per_clip=3), tmp_path / f"{size}"
        )
        letters = found["kinds"]["eo"]["letters"].values()
        assert sum(letters) == size
        assert max(letters) - min(letters) <= 1


def test_what_a_kill_leaves_is_cleared_and_no_reason_to_refuse(tmp_path):
    intervals = write_intervals(tmp_path / "i.csv")
    out = tmp_path / "out"
    (out / "audio").mkdir(parents=True)
    (out / "audio" / "0123.partial.wav").write_bytes(b"half")
    (out / "4567.partial.json").write_text("{")
    with pytest.raises(BuildMismatchError):  # a folder of clips is not ours
        build(request(intervals), out)
    (out / "audio" / "0123.partial.wav").unlink()
    (out / "audio").rmdir()
    build(request(intervals), out)
    assert not list(out.rglob("*.partial*"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    intervals = write_intervals(tmp_path / "i.csv")
    with pytest.raises(BuildMismatchError, match="cannot be written"):
        build(request(intervals), intervals / "inside")


def test_a_manifest_that_was_cut_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text('{"what": "tempo data build", "format": 1}')
    with pytest.raises(DataVersionError, match="are missing"):
        build(request(write_intervals(tmp_path / "i.csv")), tmp_path)


def test_captions_of_other_clips_are_refused(tmp_path):
    captions = write_csv(tmp_path / "c.csv", ["filename", "text"], [["other.wav", "A dog."]])
    with pytest.raises(DataUnavailableError, match="none of its 1 captions"):
        build(request(write_intervals(tmp_path / "i.csv"), captions=captions), tmp_path / "out")

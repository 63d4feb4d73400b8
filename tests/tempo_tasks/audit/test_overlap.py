"""Doubles within and between data sets, and lists of training clips."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_tasks.audit.overlap import between, contamination, freesound_id, stem, within
from tempo_tasks.audit.training import TrainingList, read_training
from tempo_tasks.errors import DataUnavailableError, DataVersionError
from tempo_tasks.questions.questions import Kind
from tests.support.audit_sets import plain_set, question

OPTIONS = ("Dog", "Bell", "Rain", "Wind")


def asked(*clips, kind=Kind.EO, name="made", options=OPTIONS):
    made = [question(options, 0, clip=clip, kind=kind, n=n) for n, clip in enumerate(clips)]
    return plain_set(made, name=name)


def counts(levels):
    return {level: found["n"] for level, found in levels.items()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("100388.mp3", "100388"),
        ("audio/test/100388.WAV", "100388"),
        ("C:\\clips\\100388.flac", "100388"),
        ("100388__someone__birds.v2.wav", "100388__someone__birds.v2"),
        ("tempo-synth-1/hard/00003/2", "tempo-synth-1/hard/00003/2"),
    ],
)
def test_a_stem_has_no_folder_and_no_extension_unless_it_is_no_file(name, expected):
    assert stem(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("100388.mp3", "100388"),
        ("x/freesound_100388.wav", "100388"),
        ("FSD-100388.ogg", "100388"),
        ("100388__someone__birds.wav", "100388"),
        ("100388_0_10.wav", "100388"),
        ("100388-12.5.wav", "100388"),
        ("00012.wav", None),  # a number within a set
        ("12.wav", None),
        ("birds 100388.wav", None),
        ("100388birds.wav", None),
        ("tempo-synth-1/hard/00003/2", None),
    ],
)
def test_freesound_ids(name, expected):
    assert freesound_id(name) == expected


@given(st.text())
def test_any_text_is_a_name(text):
    stem(text)
    freesound_id(text)


def test_doubles_within_a_set():
    same = [question(OPTIONS, 0, clip="1.mp3"), question(OPTIONS[::-1], 3, clip="1.mp3", n=1)]
    others = [
        question(("Dog", "a", "b", "c"), 0, clip="1.mp3", n=2),  # same clip and kind
        question(OPTIONS, 0, clip="1.mp3", kind=Kind.LO),  # same clip
        question(OPTIONS, 0, clip="y/1.wav"),  # same filename
        question(OPTIONS, 0, clip="200__me__a.wav"),
        question(OPTIONS, 0, clip="200.wav"),  # same Freesound id
        question(OPTIONS, 0, clip="alone.wav"),
    ]
    found = within(plain_set([*same, *others]))
    assert counts(found) == {
        "question": 2,  # the order of options does not count
        "clip and kind": 3,
        "clip": 4,
        "filename": 5,
        "freesound": 2,
    }
    assert found["question"]["items"] == ["1.mp3/eo/0", "1.mp3/eo/1"]


def test_another_right_answer_is_another_question():
    made = [question(OPTIONS, 0), question(OPTIONS, 1, n=1)]
    assert counts(within(plain_set(made)))["question"] == 0


def test_doubles_between_sets():
    one = asked("1.mp3", "2.mp3", "300.mp3", "mine.mp3")
    other = asked("1.mp3", "b/2.wav", "300__x__y.wav", "theirs.mp3", name="other")
    assert counts(between(one, other)) == {
        "question": 1,
        "clip and kind": 1,
        "clip": 1,
        "filename": 1,
        "freesound": 1,
    }
    assert between(one, other)["filename"]["items"] == ["2.mp3/eo/1"]
    assert counts(between(one, asked("1.mp3", kind=Kind.LO)))["clip and kind"] == 0
    assert counts(between(one, asked("1.mp3", kind=Kind.LO)))["clip"] == 1


def test_contamination_by_kind():
    made = plain_set(
        [
            question(OPTIONS, 0, clip="100388.mp3"),
            question(OPTIONS, 0, clip="200500.mp3"),
            question(OPTIONS, 0, clip="100388.mp3", kind=Kind.LO),
            question(OPTIONS, 0, clip="birds.mp3", kind=Kind.LO),
        ]
    )
    listed = TrainingList("l", frozenset({"clips/100388", "200500__a__b.wav", "birdsong"}), 3, "id")
    found = contamination(made, listed)
    assert found["kinds"] == {"eo": {"n": 2, "share": 1.0}, "lo": {"n": 1, "share": 0.5}}
    assert found["items"] == ["100388.mp3/eo/0", "200500.mp3/eo/0", "100388.mp3/lo/0"]
    assert (found["n"], found["filename"], found["freesound"]) == (3, 2, 1)


def test_numbers_within_a_set_are_no_contamination():
    made = asked("tempo-synth-1/hard/00003/2")
    listed = TrainingList("l", frozenset({"other/2", "3/2", "2"}), 3)
    assert contamination(made, listed)["n"] == 0


# ---------------------------------------------------------------------- lists


@pytest.mark.parametrize("text", ['[{"id": 1, "id": 2}]', "[" * 100_000, '["a"', "{}"])
def test_a_json_list_that_cannot_be_read_is_named(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(DataVersionError, match=r"list\.json: (not JSON|expected a list)"):
        read_training(path)


def test_lists_of_every_format(tmp_path):
    names = {"1.mp3", "b/2.wav"}
    text = tmp_path / "list.txt"
    text.write_text("\ufeff1.mp3\n\n  b/2.wav \n", encoding="utf-8")
    table = tmp_path / "list.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["n", "audio_id"], [1, "1.mp3"], [2, "b/2.wav"]])
    lines = tmp_path / "list.jsonl"
    lines.write_text('{"id": 7, "audio_path": ["1.mp3"]}\n{"id": 8, "audio_path": "b/2.wav"}\n')
    embedded = tmp_path / "more.jsonl"
    embedded.write_text('{"audio": {"path": "1.mp3"}}\n{"audio": {"path": "b/2.wav"}}\n')
    plain = tmp_path / "list.json"
    plain.write_text(json.dumps(["1.mp3", "b/2.wav"]))
    for path, column in [
        (text, ""),
        (table, "audio_id"),
        (lines, "audio_path"),
        (embedded, "audio"),
        (plain, "filename"),
    ]:
        found = read_training(path)
        assert (set(found.names), found.rows, found.column) == (names, 2, column), path


def test_an_interval_table_is_a_list(tmp_path):
    file = tmp_path / "intervals.csv"
    file.write_text('filename,subclass,intervals\n1.mp3,Dog,"[0.1-0.5]"\n1.mp3,Cat,[1-2]\n')
    found = read_training(file)
    assert (found.names, found.rows) == (frozenset({"1.mp3"}), 2)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "100388.mp3\n200.mp3\n", "without a header"),
        ("a.csv", "filename\n", "none names a clip"),
        ("a.txt", " \n", "none names a clip"),
        ("a.jsonl", '{"id": 1\n', "not JSON"),
        ("a.json", '{"a": 1}', "expected a list"),
        ("a.json", "[", "not JSON"),
        ("a.xyz", "1", "expected a folder or"),
    ],
)
def test_bad_lists_are_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataVersionError, match=message):
        read_training(tmp_path / name)


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(DataUnavailableError, match=r"there is no list .*gone\.txt"):
        read_training(tmp_path / "gone.txt")

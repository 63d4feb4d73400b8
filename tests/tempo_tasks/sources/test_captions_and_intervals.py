"""Intervals and captions beside questions: named, in the folder, and wrong ones."""

import logging
from dataclasses import replace

import pytest

from tempo_tasks.errors import (
    BadIntervalsError,
    DataUnavailableError,
    DataVersionError,
    QuestionError,
)
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind, Question
from tempo_tasks.sources.captions_and_intervals import (
    find_captions,
    find_intervals,
    join,
    read_captions,
)
from tempo_tasks.sources.hub import load_released

TIMES = "filename,subclass,intervals\n"
TOLD = "filename,text\n"


def asked(*clips, captions=()):
    questions = tuple(
        Question(f"{clip}/eo", clip, Kind.EO, ("Dog", "Cat", "Rain", "Bell"), "A") for clip in clips
    )
    return QuestionSet("set", questions, {clip: {"sha256": clip} for clip in clips}, dict(captions))


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "data"
    found.mkdir()
    return found


# Intervals


def test_intervals_of_the_folder(folder):
    (folder / "intervals.csv").write_text(f"{TIMES}1.mp3,Dog,[1-2]\n")
    assert set(find_intervals(folder).clips) == {"1.mp3"}


def test_intervals_that_are_named_come_first(folder, tmp_path):
    (folder / "intervals.csv").write_text("this is not read")
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text(f"{TIMES}1.mp3,Dog,[1-2]\n")
    two.write_text(f"{TIMES}2.mp3,Dog,[1-2]\n")
    assert set(find_intervals(folder, [one, two]).clips) == {"1.mp3", "2.mp3"}
    assert set(find_intervals(None, [one]).clips) == {"1.mp3"}


def test_without_intervals_there_are_no_clips(folder):
    assert find_intervals(folder).clips == {}
    assert find_intervals(None).clips == {}


def test_intervals_that_are_named_must_exist(folder, tmp_path):
    (folder / "intervals.csv").write_text(f"{TIMES}1.mp3,Dog,[1-2]\n")
    with pytest.raises(DataUnavailableError, match=r"gone\.csv"):
        find_intervals(folder, [tmp_path / "gone.csv"])


def test_repairs_are_made_on_request_and_logged(folder, caplog):
    (folder / "intervals.csv").write_text(f"{TIMES}1.mp3,Dog,[2-1]\n")
    with pytest.raises(BadIntervalsError, match="row 1"):
        find_intervals(folder)
    with caplog.at_level(logging.INFO, logger="tempo_tasks"):
        (event,) = find_intervals(folder, repair=True).clips["1.mp3"].events
    assert event.intervals == ((1.0, 2.0),)
    assert "row 1, 1.mp3: interval 2-1 ends before it starts; turned round" in caplog.text


# Captions


@pytest.mark.parametrize("name", ["captions.csv", "annotations_weak.csv"])
@pytest.mark.parametrize("column", ["text", "caption"])
def test_captions_of_the_folder(folder, name, column):
    (folder / name).write_text(f'filename,{column}\n1.mp3," A dog, barking. "\n')
    assert find_captions(folder) == {"1.mp3": "A dog, barking."}


def test_our_captions_come_before_the_annotations(folder):
    (folder / "annotations_weak.csv").write_text(f"{TOLD}1.mp3,Weak.\n")
    (folder / "captions.csv").write_text(f"{TOLD}1.mp3,Ours.\n")
    assert find_captions(folder) == {"1.mp3": "Ours."}


def test_captions_that_are_named_come_first(folder, tmp_path):
    (folder / "captions.csv").write_text(f"{TOLD}1.mp3,Folder.\n")
    (tmp_path / "told.csv").write_text(f"{TOLD}1.mp3,Named.\n")
    assert find_captions(folder, tmp_path / "told.csv") == {"1.mp3": "Named."}
    assert find_captions(None, tmp_path / "told.csv") == {"1.mp3": "Named."}
    with pytest.raises(DataUnavailableError, match=r"gone\.csv"):
        find_captions(folder, tmp_path / "gone.csv")


def test_without_captions(folder):
    assert find_captions(folder) == find_captions(None) == {}


def test_one_caption_twice_is_one_caption(tmp_path):
    path = tmp_path / "told.csv"
    path.write_text(f"{TOLD}1.mp3,A dog.\n1.mp3, A dog. \n")
    assert read_captions(path) == {"1.mp3": "A dog."}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1.mp3,Another.", "row 2: 1.mp3 has another caption"),
        ("2.mp3,", "row 2: filename '2.mp3', text ''"),
        ("2.mp3", "row 2: filename '2.mp3', text ''"),
        (" ,A dog.", "row 2: filename ' '"),
    ],
)
def test_a_caption_row_that_cannot_be(tmp_path, row, message):
    path = tmp_path / "told.csv"
    path.write_text(f"{TOLD}1.mp3,A dog.\n{row}\n")
    with pytest.raises(QuestionError) as refused:
        read_captions(path)
    assert "told.csv, " in str(refused.value)
    assert message in str(refused.value)


@pytest.mark.parametrize("header", ["", "filename", "file,text", "filename,words"])
def test_missing_columns(tmp_path, header):
    path = tmp_path / "told.csv"
    path.write_text(f"{header}\n1.mp3,A dog.\n" if header else "")
    with pytest.raises(DataVersionError, match=r"told\.csv: columns .* expected filename"):
        read_captions(path)


def test_captions_that_are_no_text(tmp_path):
    path = tmp_path / "told.csv"
    path.write_bytes(TOLD.encode() + b"1.mp3,\xff\xfe\n")
    with pytest.raises(DataVersionError, match="not a readable CSV"):
        read_captions(path)


# Joined to questions


def test_only_what_is_asked_about_is_joined(folder):
    (folder / "intervals.csv").write_text(f"{TIMES}1.mp3,Dog,[1-2]\n9.mp3,Dog,[1-2]\n")
    (folder / "captions.csv").write_text(f"{TOLD}1.mp3,A dog.\n9.mp3,Another.\n")
    found = join(asked("1.mp3"), folder)
    assert set(found.clips) == {"1.mp3"}
    assert found.captions == {"1.mp3": "A dog."}


def test_captions_in_rows_and_in_the_file_must_agree(folder):
    (folder / "captions.csv").write_text(f"{TOLD}1.mp3,A dog.\n")
    same = join(asked("1.mp3", "2.mp3", captions={"1.mp3": "A dog.", "2.mp3": "A cat."}), folder)
    assert same.captions == {"1.mp3": "A dog.", "2.mp3": "A cat."}
    with pytest.raises(QuestionError, match=r"1\.mp3 has the caption 'A cat\.' in its row and"):
        join(asked("1.mp3", captions={"1.mp3": "A cat."}), folder)


def test_intervals_of_other_clips_only_are_refused(folder):
    (folder / "intervals.csv").write_text(f"{TIMES}1.wav,Dog,[1-2]\n")
    with pytest.raises(DataVersionError, match=r"none of its 1 clips .*1\.wav.*such as 1\.mp3"):
        join(asked("1.mp3"), folder)


def test_intervals_of_some_clips_are_a_warning(folder, caplog):
    (folder / "intervals.csv").write_text(f"{TIMES}1.mp3,Dog,[1-2]\n")
    with caplog.at_level(logging.WARNING, logger="tempo_tasks"):
        assert set(join(asked("1.mp3", "2.mp3"), folder).clips) == {"1.mp3"}
    assert "the intervals of 1 of 2 clips are not known" in caplog.text
    caplog.clear()
    join(asked("1.mp3"), folder)
    assert caplog.text == ""


def test_without_files_nothing_changes(folder):
    questions = asked("1.mp3", captions={"1.mp3": "A dog."})
    assert join(questions, folder) == join(questions, None) == questions


def test_intervals_change_no_fingerprint_and_captions_do(folder):
    (folder / "intervals.csv").write_text(f"{TIMES}1.mp3,Dog,[1-2]\n")
    plain = asked("1.mp3")
    assert join(plain, folder).fingerprint == plain.fingerprint
    (folder / "captions.csv").write_text(f"{TOLD}1.mp3,A dog.\n")
    told = replace(plain, captions={"1.mp3": "A dog."})
    assert join(plain, folder).fingerprint == told.fingerprint != plain.fingerprint


def test_a_released_folder_is_joined_where_the_tasks_read_it(released_folder, tmp_path):
    folder = released_folder("csv")
    plain = load_released(Kind.EO, data=str(folder))
    clip = plain.questions[0].clip_id
    times, told = tmp_path / "times.csv", tmp_path / "told.csv"
    times.write_text(f"{TIMES}{clip},Dog,[1-2]\n")
    told.write_text(f"{TOLD}{clip},A dog.\n")
    found = load_released(Kind.EO, data=str(folder), intervals=[times])
    assert set(found.clips) == {clip}
    assert found.fingerprint == plain.fingerprint

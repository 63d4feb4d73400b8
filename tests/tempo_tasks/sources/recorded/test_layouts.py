"""Which layout a source has, and what is known of each recording."""

import json

import pytest

from tempo_attn.errors import OptionError
from tempo_tasks.errors import BadTableError, DataUnavailableError, DataVersionError
from tempo_tasks.sources.recorded.layouts import read_sounds
from tests.support.recorded_sounds import (
    SIX,
    recording,
    write_esc50,
    write_folder,
    write_fsd50k,
    write_rows,
    write_urban,
    write_wav,
)


def test_a_folder_of_folders_has_their_names_as_labels_in_words(tmp_path):
    write_folder(tmp_path)
    write_wav(tmp_path / "loose.wav", recording("Rain"))
    (tmp_path / "README.md").write_text("no audio")
    found = read_sounds(tmp_path, licence="CC0")
    assert found.layout == "folder"
    assert {one.label for one in found.recordings} == set(SIX)
    assert [one.name for one in found.recordings][:2] == ["Bird_Chirp/0.wav", "Bird_Chirp/1.wav"]
    assert {one.licence for one in found.recordings} == {"CC0"}
    assert found.left_out == (("loose.wav", "lies in no folder of a label"),)


def test_esc50_tells_licence_source_and_fold(tmp_path):
    found = read_sounds(write_esc50(tmp_path))
    assert (found.layout, found.test_folds, found.cite) == ("esc50", ("5",), ("esc50",))
    assert len(found.recordings) == 30
    first = next(one for one in found.recordings if one.name == "audio/1-1001-A-0.wav")
    assert (first.label, first.licence, first.fold) == ("bird chirp", "CC BY 3.0", "1")
    assert (first.origin, first.link) == ("1001", "https://freesound.org/s/1001/")
    assert {one.licence for one in found.recordings if one.label != "bird chirp"} == {
        "CC BY-NC 3.0"
    }
    held_out = [one for one in found.recordings if one.in_test(found.test_folds)]
    assert {one.fold for one in held_out} == {"5"}
    assert len(held_out) == 6


def test_urbansound8k_tells_the_freesound_id(tmp_path):
    found = read_sounds(write_urban(tmp_path))
    assert (found.layout, found.test_folds) == ("urbansound8k", ("10",))
    one = found.recordings[0]
    assert one.name == "audio/fold1/1-0-0-0.wav"
    assert (one.origin, one.fold, one.licence) == ("1", "1", "CC BY-NC 3.0")


def test_fsd50k_takes_the_lowest_class_and_leaves_mixtures_out(tmp_path):
    found = read_sounds(write_fsd50k(tmp_path))
    assert (found.layout, found.test_folds) == ("fsd50k", ("eval",))
    assert {one.label for one in found.recordings} == set(SIX)  # never "Sound"
    assert [name for name, why in found.left_out if "of several sounds" in why] == [
        "FSD50K.dev_audio/1099.wav",
        "FSD50K.eval_audio/2099.wav",
    ]
    dev = next(one for one in found.recordings if one.fold == "dev")
    assert (dev.licence, dev.author) == ("http://cc/by/3.0/", "u0")
    assert {one.licence for one in found.recordings if one.fold == "eval"} == {""}


def test_infos_of_fsd50k_that_are_no_json_are_named(tmp_path):
    write_fsd50k(tmp_path)
    told = tmp_path / "FSD50K.metadata" / "dev_clips_info_FSD50K.json"
    for text in ("{", json.dumps(["1000"])):
        told.write_text(text)
        with pytest.raises(DataVersionError, match="dev_clips_info_FSD50K"):
            read_sounds(tmp_path)


def test_a_csv_names_files_beside_it(tmp_path):
    write_wav(tmp_path / "a" / "b.wav", recording("Rain"))
    rows = [("a/b.wav", "Rain_on_roof", "CC0", "me", "day one", "test")]
    columns = ("filename", "label", "licence", "author", "origin", "fold")
    (one,) = read_sounds(write_rows(tmp_path / "s.csv", columns, rows)).recordings
    assert (one.label, one.licence, one.author, one.origin) == (
        *("Rain on roof", "CC0"),
        *("me", "day one"),
    )
    assert one.in_test(("test",))
    assert not one.in_test(("other",))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("../a.wav", "Rain"), "row 1, '../a.wav': expected a path within"),
        (("/a.wav", "Rain"), "expected a path within"),
        (("a.wav", " "), "row 1, 'a.wav': its label is empty"),
    ],
)
def test_rows_of_a_csv_that_cannot_be_are_named(tmp_path, row, told):
    with pytest.raises(BadTableError, match=told):
        read_sounds(write_rows(tmp_path / "s.csv", ("filename", "label"), [row]))


def test_a_recording_with_two_rows_is_an_error(tmp_path):
    rows = [("a.wav", "Rain"), ("a.wav", "Wind")]
    with pytest.raises(BadTableError, match=r"row 2, 'a\.wav': a second row"):
        read_sounds(write_rows(tmp_path / "s.csv", ("filename", "label"), rows))


def test_missing_files_are_listed(tmp_path):
    rows = [("a.wav", "Rain"), ("b.wav", "Wind")]
    with pytest.raises(DataUnavailableError, match="2 of 2 recordings are not there"):
        read_sounds(write_rows(tmp_path / "s.csv", ("filename", "label"), rows))


def test_what_is_no_source_is_refused(tmp_path):
    with pytest.raises(DataUnavailableError, match="there is no"):
        read_sounds(tmp_path / "absent")
    with pytest.raises(DataVersionError, match="no labelled recording"):
        read_sounds(tmp_path)
    with pytest.raises(OptionError, match="Did you mean 'esc50'"):
        read_sounds(tmp_path, "esc5")
    with pytest.raises(DataUnavailableError, match=r"esc50\.csv"):
        read_sounds(tmp_path, "esc50")
    with pytest.raises(DataVersionError, match="missing"):
        read_sounds(write_rows(tmp_path / "s.csv", ("file", "label"), [("a", "b")]))


def test_the_split_goes_by_the_longer_recording_and_is_about_a_fifth(tmp_path):
    rows = []
    for number in range(200):
        rows.append((f"{number}.wav", "Rain", str(number // 2)))
        (tmp_path / f"{number}.wav").write_bytes(b"")
    table = write_rows(tmp_path / "s.csv", ("filename", "label", "origin"), rows)
    found = read_sounds(table).recordings
    held_out = {one.origin for one in found if one.in_test(())}
    assert held_out.isdisjoint({one.origin for one in found if not one.in_test(())})
    assert 10 <= len(held_out) <= 32  # of 100; 3 standard deviations

"""Reading TACOS: checked files, licences, captions, free texts as labels."""

import hashlib

import pytest

from tempo_tasks.errors import (
    BadIntervalsError,
    BadTableError,
    ChecksumError,
    DataUnavailableError,
    DataVersionError,
)
from tempo_tasks.sources import tacos
from tempo_tasks.sources.tacos import (
    ClipInfo,
    known_durations,
    plain_text,
    read_captions,
    read_mapping,
    read_metadata,
    read_split,
    read_strong,
    source_file,
)
from tests.support.fake_tacos import METADATA_COLUMNS, make_tacos, write_csv


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tacos, "FILES", make_tacos(tmp_path / "tacos"))
    return tmp_path / "tacos"


def metadata(path, *rows):
    return write_csv(path / "metadata.csv", METADATA_COLUMNS, rows)


def strong(path, *rows):
    return write_csv(path / "strong.csv", ["filename", "text", "onset", "offset"], rows)


def test_the_record_is_the_published_one():
    assert len(tacos.FILES) == 6
    assert tacos.FILES["audio.zip"].size == 1_629_958_981
    assert tacos.FILES["test_split.csv"].md5 == "16f5b5eab84753a571e9944739508854"


def test_a_published_file_is_recorded_with_its_sums(folder):
    content = (folder / "metadata.csv").read_bytes()
    found = source_file(folder / "metadata.csv", tacos=True)
    assert found.md5 == hashlib.md5(content).hexdigest()
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert (found.name, found.size, found.modified) == ("metadata.csv", len(content), False)


@pytest.mark.parametrize("change", [lambda b: b + b"\n", lambda b: b.replace(b"user", b"USER")])
def test_a_changed_file_is_refused_or_recorded(folder, change):
    path = folder / "metadata.csv"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ChecksumError, match=r"MD5 \w{32}; the published file has .*--allow-mod"):
        source_file(path, tacos=True)
    assert source_file(path, tacos=True, allow_modified=True).modified
    assert not source_file(path).modified  # nobody said it is one of TACOS


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataUnavailableError, match="tempo data download tacos fetches it"):
        source_file(tmp_path / "metadata.csv", tacos=True)


def test_licence_author_link_and_length_of_a_clip(tmp_path):
    file = metadata(tmp_path, ["1.mp3", "https://a", "ann", "CC0", "187.5", "12.5", "42.5"])
    infos, repairs = read_metadata(file)
    assert infos == {"1.mp3": ClipInfo("ann", "CC0", "https://a", 30.0)}
    assert repairs == []
    assert known_durations(infos) == {"1.mp3": 30.0}


@pytest.mark.parametrize(
    ("cells", "length"), [(["8", "", ""], 8), (["8", "", "5"], 8), (["", "", ""], None)]
)
def test_the_length_where_the_part_is_not_given(tmp_path, cells, length):
    infos, _ = read_metadata(metadata(tmp_path, ["1.mp3", "l", "a", "c", *cells]))
    assert infos["1.mp3"].duration == length


@pytest.mark.parametrize("cells", [["8", "x", "9"], ["8", "9", "9"], ["nan", "", ""]])
def test_a_length_that_cannot_be(tmp_path, cells):
    file = metadata(
        tmp_path, ["1.mp3", "l", "a", "c", "8", "", ""], ["2.mp3", "l", "a", "c", *cells]
    )
    with pytest.raises(BadTableError, match=r"metadata.csv: 1 rows.*\n  row 2, 2\.mp3: start, end"):
        read_metadata(file)
    infos, repairs = read_metadata(file, repair=True)
    assert infos["2.mp3"].duration is None
    assert [(r.row, r.filename) for r in repairs] == [(2, "2.mp3")]


def test_missing_columns_are_named(tmp_path):
    file = write_csv(tmp_path / "metadata.csv", ["filename", "license"], [])
    with pytest.raises(DataVersionError, match=r"\['manufacturer', 'sound_link'\] are missing"):
        read_metadata(file)


def test_captions(tmp_path):
    file = write_csv(
        tmp_path / "weak.csv",
        ["filename", "text"],
        [["1.mp3", "A  bird\nsings."], ["2.mp3", " "]],
    )
    assert read_captions(file) == ({"1.mp3": "A bird sings."}, [])


def test_two_captions_of_one_clip(tmp_path):
    rows = [["1.mp3", "A bird."], ["2.mp3", "A cat."], ["1.mp3", "A dog."]]
    file = write_csv(tmp_path / "weak.csv", ["filename", "text"], rows)
    with pytest.raises(BadTableError, match=r"row 3, 1\.mp3: .*row 1 has with another text"):
        read_captions(file)
    captions, (repair,) = read_captions(file, repair=True)
    assert captions == {"1.mp3": "A bird.", "2.mp3": "A cat."}
    assert (repair.row, repair.filename) == (3, "1.mp3")
    assert "the first one counts" in repair.what


@pytest.mark.parametrize("name", ["", "..", "a/b.mp3", "..\\b.mp3", "/etc/passwd", "C:b", "a\0b"])
def test_filenames_that_lead_elsewhere(tmp_path, name):
    file = tmp_path / "weak.csv"
    file.write_bytes(f'filename,text\n"{name}",A bird.\n'.encode())
    for repair in (False, True):
        with pytest.raises((BadTableError, DataVersionError), match=r"row 1|not a readable CSV"):
            read_captions(file, repair=repair)


def test_not_utf_8(tmp_path):
    (tmp_path / "weak.csv").write_bytes(b"filename,text\n1.mp3,\xff\n")
    with pytest.raises(DataVersionError, match="not a readable CSV file"):
        read_captions(tmp_path / "weak.csv")


def test_a_split(folder):
    test, _ = read_split(folder / "test_split.csv")
    development, _ = read_split(folder / "development_split.csv")
    assert len(test) == 12
    assert not test & development


def test_free_texts_that_differ_in_writing_only_are_one_label(tmp_path):
    file = strong(
        tmp_path,
        ["1.mp3", "A Bird  sings.", 0, 2],
        ["1.mp3", "a bird_sings", 1.5, 4],
        ["1.mp3", "a dog barks", 5, 6],
    )
    (clip,) = read_strong(file).clips.values()
    assert [(event.label, event.intervals) for event in clip.events] == [
        ("a bird sings", ((0, 4),)),
        ("a dog barks", ((5, 6),)),
    ]
    assert plain_text(" Rain. ") == "rain"


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ((5, 2), "5-2 ends before it starts"),
        (("nan", 2), "nan-2"),
        ((-1, 2), "-1-2"),
        ((1, 31), "1-31 is beyond its 30 s"),
        (("x", 2), "'x'"),
    ],
)
def test_times_that_cannot_be_are_named_with_their_row(tmp_path, times, message):
    file = strong(tmp_path, ["1.mp3", "a bird", 0, 2], ["1.mp3", "a dog", *times])
    with pytest.raises(BadIntervalsError, match=rf"strong.csv: 1 rows(.|\n)*row 2: .*{message}"):
        read_strong(file, durations={"1.mp3": 30.0})


def test_offsets_beyond_the_clip_can_be_cut(tmp_path):
    file = strong(tmp_path, ["1.mp3", "a bird", 0, 31])
    table = read_strong(file, durations={"1.mp3": 30.0}, repair=True)
    assert table.clips["1.mp3"].events[0].offset == 30
    assert [repair.row for repair in table.repairs] == [1]


def test_classes_of_free_texts(tmp_path):
    file = strong(
        tmp_path,
        ["1.mp3", "A bird sings.", 0, 2],
        ["1.mp3", "Chirps", 4, 5],
        ["2.mp3", "A car", 0, 5],
        ["2.mp3", "Chirps", 6, 7],
    )
    mapping = write_csv(
        tmp_path / "map.csv",
        ["text", "label"],
        [["a bird sings", "Bird"], ["CHIRPS.", "Bird"]],
    )
    with pytest.raises(BadTableError, match=r"strong.csv with map.csv: .*\n.*2\.mp3: no class for"):
        read_strong(file, mapping=mapping)
    table = read_strong(file, mapping=mapping, repair=True)
    assert list(table.clips) == ["1.mp3"]  # not a clip short of one event
    assert table.clips["1.mp3"].events[0].intervals == ((0, 2), (4, 5))
    assert [repair.filename for repair in table.repairs] == ["2.mp3"]


def test_a_text_with_two_classes(tmp_path):
    rows = [["chirps", "Bird"], ["Chirps.", "Cricket"], ["x", ""]]
    with pytest.raises(BadTableError, match=r"2 rows(.|\n)*row 2, 'Chirps\.': 'Cricket'"):
        read_mapping(write_csv(tmp_path / "map.csv", ["text", "label"], rows))

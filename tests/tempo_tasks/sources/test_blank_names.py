"""Clip names with blanks around them are names like any other; near misses are said."""

import json

import pytest

from tempo_tasks.data.build.request import Request
from tempo_tasks.data.build.run import build
from tempo_tasks.errors import AudioNotFoundError, BadTableError
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.captions_and_intervals import read_captions
from tempo_tasks.sources.hub import load_released
from tempo_tasks.sources.intervals import read_intervals
from tempo_tasks.sources.without_audio import load_plain
from tests.support.released_layout import write_layout

NAME = " typical neighborhood.wav"
BARE = NAME.strip()
TIMES = "filename,label,onset,offset\n"


def events(name):
    rows = [("Dog", 0, 4), ("Cat", 2, 5), ("Rain", 3, 7), ("Bell", 4, 9)]
    return "".join(f"{name},{label},{start},{end}\n" for label, start, end in rows)


@pytest.fixture
def rows(layout_rows):
    """One question on a clip whose name begins with a blank."""
    row = next(row for row in layout_rows if row["task"] == "earliest_start")
    return [{**row, "filename": NAME}]


@pytest.mark.parametrize("layout", ["csv", "jsonl", "parquet", "disk"])
def test_names_are_taken_as_they_are(rows, layout_rows, tmp_path, layout):
    folder = write_layout(tmp_path / "data", layout, [*rows, layout_rows[-1]])
    found = load_released(Kind.EO, data=str(folder))
    assert [question.clip_id for question in found.questions] == [NAME]
    assert set(found.audio) == set(found.captions) == {NAME}
    assert load_plain(folder).questions[0].clip_id == NAME


def test_names_of_tables_are_taken_as_they_are(tmp_path):
    times, told = tmp_path / "times.csv", tmp_path / "told.csv"
    times.write_text(TIMES + events(NAME))
    told.write_text(f"filename,text\n{NAME},A dog.\n")
    assert set(read_intervals(times).clips) == set(read_captions(told)) == {NAME}


def test_a_row_that_names_the_stripped_file_is_told_so(rows, tmp_path):
    folder = write_layout(tmp_path / "data", "jsonl", rows)
    (folder / "audio" / NAME).rename(folder / "audio" / BARE)
    with pytest.raises(AudioNotFoundError, match=r"there is '.*/typical neighborhood\.wav', whose"):
        load_released(Kind.EO, data=str(folder))


def test_a_row_without_the_blank_of_the_file_is_told_so(rows, tmp_path):
    folder = write_layout(tmp_path / "data", "jsonl", [{**rows[0], "filename": BARE}])
    (folder / "audio" / BARE).rename(folder / "audio" / NAME)
    with pytest.raises(AudioNotFoundError, match=r"there is '.*/ typical neighborhood\.wav', whos"):
        load_released(Kind.EO, data=str(folder))


@pytest.mark.parametrize("table", ["intervals.csv", "captions.csv"])
@pytest.mark.parametrize("load", [lambda f: load_released(Kind.EO, data=str(f)), load_plain])
def test_a_table_with_the_stripped_name_is_told_so(rows, tmp_path, table, load):
    folder = write_layout(tmp_path / "data", "csv", [{**rows[0], "caption": ""}])
    text = TIMES + events(BARE) if table == "intervals.csv" else f"filename,text\n{BARE},A dog.\n"
    (folder / table).write_text(text)
    with pytest.raises(BadTableError, match=r"blanks around 1 names") as refused:
        load(folder)
    assert f"{NAME!r} and {BARE!r}" in str(refused.value)


def test_a_build_keeps_the_name_and_finds_its_file(tmp_path):
    times, told, audio = tmp_path / "times.csv", tmp_path / "told.csv", tmp_path / "clips"
    times.write_text(TIMES + events(NAME))
    told.write_text(f"filename,text\n{NAME},A dog.\n")
    audio.mkdir()
    (audio / NAME).write_bytes(b"sound")
    request = Request(intervals=(times,), captions=told, audio=audio, margin=1.0)
    build(request, tmp_path / "out")
    assert (tmp_path / "out" / "audio" / NAME).read_bytes() == b"sound"
    found = load_released(Kind.EO, data=str(tmp_path / "out"))
    assert set(found.audio) == set(found.captions) == set(found.clips) == {NAME}


@pytest.mark.parametrize("part", ["captions", "split", "audio"])
def test_a_build_says_which_part_has_the_stripped_name(tmp_path, part):
    times, other, audio = tmp_path / "times.csv", tmp_path / "other.csv", tmp_path / "clips"
    times.write_text(TIMES + events(NAME) + events("2.wav"))
    other.write_text(f"filename,text\n{BARE},A dog.\n2.wav,A cat.\n")
    audio.mkdir()
    (audio / BARE).write_bytes(b"sound")
    (audio / "2.wav").write_bytes(b"sound")
    given = {"captions": other, "split": str(other), "audio": audio}
    request = Request(intervals=(times,), margin=1.0, **{part: given[part]})
    with pytest.raises((BadTableError, AudioNotFoundError)) as refused:
        build(request, tmp_path / "out")
    assert repr(NAME) in str(refused.value)
    assert repr(BARE) in str(refused.value)


def test_a_repair_says_that_the_stripped_file_is_there(tmp_path):
    times, audio = tmp_path / "times.csv", tmp_path / "clips"
    times.write_text(TIMES + events(NAME) + events("2.wav"))
    audio.mkdir()
    (audio / BARE).write_bytes(b"sound")
    (audio / "2.wav").write_bytes(b"sound")
    request = Request(intervals=(times,), audio=audio, margin=1.0, repair=True)
    build(request, tmp_path / "out")
    (repair,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["repairs"]
    assert repair["filename"] == NAME
    assert repr(BARE) in repair["what"]

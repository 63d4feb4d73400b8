"""Questions without audio: both column layouts, malformed rows, ids, and what is joined to them."""

import csv
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_tasks.errors import (
    BadIntervalsError,
    DataUnavailableError,
    DataVersionError,
    QuestionError,
)
from tempo_tasks.questions.questions import LETTERS, Kind
from tempo_tasks.sources.hub import load_released
from tempo_tasks.sources.released_rows import question_names
from tempo_tasks.sources.table_files import Table
from tempo_tasks.sources.without_audio import load_plain, read_plain
from tests.support.paths import REFERENCE

AUTHORS = ("filename", "question", "A", "B", "C", "D", "correct_label")


def authors_row(clip="1.mp3", kind=Kind.EO, options=("Dog", "Cat", "Rain", "Bell"), letter="A"):
    return dict(zip(AUTHORS, (clip, kind.text, *options, letter), strict=True))


def released_row(clip="1.mp3", kind=Kind.EO, options=("Dog", "Cat", "Rain", "Bell"), letter="A"):
    return {
        "filename": clip,
        "question": kind.text,
        **dict(zip(("option_a", "option_b", "option_c", "option_d"), options, strict=True)),
        "correct_answer": letter,
        "correct_text": options[LETTERS.index(letter)],
    }


def read(*rows, where="eo.csv"):
    return read_plain([Table("", where, lambda: iter(rows))], "set")


def write(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("row", [authors_row, released_row])
def test_both_layouts_give_the_same_question(row):
    found = read(row(), row(clip="2.mp3", kind=Kind.LD, letter="C"))
    first, second = found.questions
    assert (first.id, first.clip_id, first.kind) == ("1.mp3/eo", "1.mp3", Kind.EO)
    assert (first.options, first.answer) == (("Dog", "Cat", "Rain", "Bell"), "A")
    assert (second.id, second.answer_text) == ("2.mp3/ld", "Rain")
    assert found.places == (("eo.csv", 1), ("eo.csv", 2))
    assert (found.name, found.faults, found.kinds) == ("set", (), (Kind.EO, Kind.LD))
    assert found.of_kind(Kind.LD) == (second,)
    assert found.of_kind(Kind.LO) == ()


def test_blanks_around_a_cell_do_not_count():
    padded = {name: f"  {value} " for name, value in authors_row().items()}
    padded["filename"] = authors_row()["filename"]  # blanks are a part of a name
    assert read(padded).questions == read(authors_row()).questions


def test_a_letter_is_taken_from_its_own_column():
    for letter, label in zip(LETTERS, ("Dog", "Cat", "Rain", "Bell"), strict=True):
        (question,) = read(authors_row(letter=letter)).questions
        assert (question.answer, question.answer_text) == (letter, label)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filename": ""}, "filename is ''"),
        ({"filename": None}, "filename is None"),
        ({"question": "Which one?"}, "Which one?"),
        ({"C": " "}, "expected text"),
        ({"D": None}, "expected text"),
        ({"D": "Dog"}, "four distinct options"),
        ({"correct_label": "E"}, "A, B, C or D"),
        ({"correct_label": "a"}, "A, B, C or D"),
        ({"correct_label": "Dog"}, "A, B, C or D"),
        ({"correct_label": ""}, "correct_answer is ''"),
        ({"correct_label": None}, "correct_answer"),
    ],
)
def test_a_malformed_row_of_the_authors_layout_is_a_fault_with_its_place(change, message):
    found = read(authors_row(), {**authors_row("2.mp3"), **change}, authors_row("3.mp3"))
    (fault,) = found.faults
    assert (fault.where, fault.row) == ("eo.csv", 2)
    assert message in fault.what
    assert [question.id for question in found.questions] == ["1.mp3/eo", "3.mp3/eo"]
    assert found.places == (("eo.csv", 1), ("eo.csv", 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct_text": "Cat"}, "correct_text is 'Cat' and option A is 'Dog'"),
        ({"correct_text": "dog"}, "correct_text is 'dog'"),
        ({"correct_answer": "B"}, "option B is 'Cat'"),
        ({"option_d": "Dog"}, "four distinct options"),
        ({"filename": 17}, "filename is 17"),
        ({"task": "latest_end"}, "both of one kind"),
    ],
)
def test_a_malformed_row_of_the_released_layout(change, message):
    found = read({**released_row("2.mp3"), **change}, released_row())
    (fault,) = found.faults
    assert fault.row == 1
    assert message in fault.what


def test_without_any_question_the_first_fault_is_told():
    with pytest.raises(QuestionError, match=r"none of 2 rows is a question; the first: row 1: "):
        read(authors_row(letter="E"), authors_row(letter="F"))
    with pytest.raises(QuestionError, match="none of 0 rows"):
        read()
    with pytest.raises(DataVersionError, match="holds no"):
        read_plain([], "set")


@pytest.mark.parametrize("row", [authors_row(), released_row()], ids=["authors", "released"])
def test_a_missing_column(row):
    for column in row:
        shorter = {name: value for name, value in row.items() if name != column}
        with pytest.raises(DataVersionError, match=r"eo\.csv: found the columns"):
            read(shorter)


def test_file_name_stands_for_filename():
    row = released_row()
    row["file_name"] = row.pop("filename")
    assert read(row).questions[0].clip_id == "1.mp3"


# Ids

OPTIONS = st.permutations(["Dog", "Cat", "Rain", "Bell", "Wind"]).map(lambda found: found[:4])
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["1.mp3", "2.mp3"]),
        st.sampled_from(Kind),
        OPTIONS,
        st.sampled_from(LETTERS),
    ),
    min_size=1,
    max_size=8,
)


@given(ROWS, st.randoms(use_true_random=False))
def test_ids_are_unique_and_do_not_depend_on_the_order_of_the_rows(asked, shuffle):
    found = read(*(authors_row(*each) for each in asked))
    ids = [question.id for question in found.questions]
    assert len(set(ids)) == len(asked)
    mixed = shuffle.sample(asked, len(asked))
    again = read(*(released_row(*each) for each in mixed))
    assert sorted(again.questions, key=lambda q: q.id) == sorted(
        found.questions, key=lambda q: q.id
    )


@given(ROWS.map(lambda rows: list({repr(row): row for row in rows}.values())))
def test_ids_are_those_of_the_released_reader(asked):
    names = question_names((clip, kind, tuple(o), letter) for clip, kind, o, letter in asked)
    assert [q.id for q in read(*(authors_row(*each) for each in asked)).questions] == names


def test_ids_are_those_of_the_tasks(released_folder, layout_rows):
    folder = released_folder("csv")
    plain = load_plain(folder)
    for kind in Kind:
        asked = load_released(kind, data=str(folder)).questions
        assert sorted(q.id for q in plain.of_kind(kind)) == sorted(q.id for q in asked)
        assert set(plain.of_kind(kind)) == set(asked)
    assert len(plain.questions) == len(layout_rows)


def test_a_row_that_stands_twice_gets_an_id_of_its_own():
    found = read(authors_row(), authors_row(), authors_row())
    assert [q.id for q in found.questions] == ["1.mp3/eo", "1.mp3/eo#2", "1.mp3/eo#3"]


def test_a_row_that_stands_twice_does_not_rename_the_others():
    first = authors_row()
    other = authors_row(options=("Wind", "Cat", "Rain", "Bell"))
    once = {q.id: q.options for q in read(first, other).questions}
    twice = {q.id: q.options for q in read(first, first, other).questions}
    assert {name: options for name, options in twice.items() if "#" not in name} == once


# Captions, intervals, files


def test_captions_in_the_rows_are_kept():
    rows = [{**released_row(), "caption": " A dog barks. "}, released_row("2.mp3")]
    assert read(*rows).captions == {"1.mp3": "A dog barks."}


def test_a_file_with_the_intervals_that_are_named(tmp_path):
    table = write(tmp_path / "eo.csv", [authors_row()])
    times = tmp_path / "times.csv"
    times.write_text("filename,subclass,intervals\n1.mp3,Dog,[1-2]\n9.mp3,Cat,[1-2]\n")
    found = load_plain(table, intervals=[times])
    assert found.name == "eo.csv"
    assert set(found.clips) == {"1.mp3", "9.mp3"}  # further clips may be known
    assert found.clips["1.mp3"].events[0].onset == 1
    assert load_plain(table).clips == {}


@pytest.mark.parametrize("name", ["questions.csv", "metadata.csv", "eo.csv"])
def test_a_folder_with_intervals_and_captions_beside(tmp_path, name):
    write(tmp_path / name, [released_row(), released_row("2.mp3")])
    (tmp_path / "intervals.csv").write_text("filename,label,onset,offset\n1.mp3,Dog,1,2\n")
    (tmp_path / "captions.csv").write_text("filename,text\n1.mp3,A dog barks.\n")
    found = load_plain(tmp_path)
    assert [q.id for q in found.questions] == ["1.mp3/eo", "2.mp3/eo"]
    assert set(found.clips) == {"1.mp3"}
    assert found.captions == {"1.mp3": "A dog barks."}


def test_what_is_named_comes_before_what_lies_in_the_folder(tmp_path):
    write(tmp_path / "questions.csv", [released_row()])
    (tmp_path / "intervals.csv").write_text("filename,label,onset,offset\n1.mp3,Dog,4,3\n")
    (tmp_path / "captions.csv").write_text("filename,text\n1.mp3,Mine.\n")
    with pytest.raises(BadIntervalsError):
        load_plain(tmp_path)
    assert load_plain(tmp_path, repair=True).clips["1.mp3"].events[0].onset == 3
    times, told = tmp_path / "times.dat", tmp_path / "told.dat"
    times.write_text("filename,label,onset,offset\n1.mp3,Dog,8,9\n")
    told.write_text("filename,caption\n1.mp3,Yours.\n")
    found = load_plain(tmp_path, intervals=[times], captions=told)
    assert found.clips["1.mp3"].events[0].onset == 8
    assert found.captions == {"1.mp3": "Yours."}


def test_json_lines(tmp_path):
    rows = [released_row(), authors_row("2.mp3", letter="B")]
    path = tmp_path / "eo.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert [q.answer_text for q in load_plain(path).questions] == ["Dog", "Cat"]


def test_a_label_that_reads_like_nothing_stays_a_label(tmp_path):
    table = write(tmp_path / "eo.csv", [authors_row(options=("None", "nan", "NULL", "0"))])
    assert load_plain(table).questions[0].options == ("None", "nan", "NULL", "0")


def test_a_row_that_is_cut_short(tmp_path):
    table = write(tmp_path / "eo.csv", [authors_row(), authors_row("2.mp3")])
    table.write_text(table.read_text() + "3.mp3,Which sound\n")
    found = load_plain(table)
    assert [(fault.row, fault.where) for fault in found.faults] == [(3, "eo.csv")]


def test_there_is_no_such_file(tmp_path):
    with pytest.raises(DataUnavailableError, match=r"nowhere\.csv"):
        load_plain(tmp_path / "nowhere.csv")
    table = write(tmp_path / "eo.csv", [authors_row()])
    for wrong in ({"intervals": [tmp_path / "gone.csv"]}, {"captions": tmp_path / "gone.csv"}):
        with pytest.raises(DataUnavailableError, match=r"gone\.csv"):
            load_plain(table, **wrong)


@pytest.mark.parametrize("name", ["tempo_synth", "tempo_synth_hard"])
def test_our_rendered_scenes_need_no_file(name):
    found = load_plain(name)
    assert [len(found.of_kind(kind)) for kind in Kind] == [400, 400, 400]
    assert found.name == name
    assert {q.clip_id for q in found.questions} == set(found.clips)
    assert len({q.id for q in found.questions}) == 1200


@pytest.mark.parametrize(
    "name",
    [
        "tempo_synth",
        "tempo_synth_hard",
    ],
)
def test_our_rendered_scenes_have_captions(name):
    found = load_plain(name)
    assert set(found.captions) == set(found.clips)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference data are not here")
def test_the_released_files(tmp_path):
    path = REFERENCE / "relative_earliest_start_mcq.csv"
    found = load_plain(path)
    assert (len(found.questions), found.faults, found.kinds) == (528, (), (Kind.EO,))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(0).shuffle(rows)
    mixed = load_plain(write(tmp_path / path.name, rows))
    assert {q.id: q for q in mixed.questions} == {q.id: q for q in found.questions}

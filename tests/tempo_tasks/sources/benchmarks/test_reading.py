"""Rows of other benchmarks: every notation of options and answers, clips, faults, the Hub."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn.errors import OptionError
from tempo_tasks.errors import DataUnavailableError, DataVersionError, QuestionError
from tempo_tasks.sources.benchmarks.cells import dig, texts
from tempo_tasks.sources.benchmarks.clip_orders import reordered
from tempo_tasks.sources.benchmarks.description import describe
from tempo_tasks.sources.benchmarks.find_copy import clip_file, find_copy, rows_of
from tempo_tasks.sources.benchmarks.load import load_items
from tempo_tasks.sources.benchmarks.read_items import n_present, read_items
from tests.support import other_benchmarks
from tests.support.other_benchmarks import ORDERS

KEYS = {
    "name": "made",
    "about": "Made up.",
    "get": "nowhere",
    "audio": "audio",
    "question": "question",
    "options": "choices",
    "answer": "answer",
    "parts": {"all": {}},
}
ROW = {"audio": "a.wav", "question": "Which?", "choices": ["Dog", "Cat"], "answer": "Cat"}


def read(rows, **more):
    description = describe({**KEYS, **more})
    part = description.part("all")
    return read_items(description, part, enumerate(rows, 1), "made.json")


def only(row, **more):
    found = read([row], **more)
    assert found.faults == []
    (item,) = found.items
    return item


@pytest.mark.parametrize(
    "choices",
    [
        ["Dog", "Cat"],
        '["Dog", "Cat"]',
        "['Dog', 'Cat']",
        [{"text": "Dog", "label": "A"}, {"text": "Cat", "label": "B"}],
        {"Dog": 1, "Cat": 2},
    ],
)
def test_options_as_they_are_written(choices):
    item = only({**ROW, "choices": choices})
    assert (item.options, item.answer) == (("Dog", "Cat"), "B")


def test_options_in_columns_the_last_ones_empty():
    row = {"audio": "a.wav", "question": "Which?", "A": "1", "B": 2, "C": "", "D": None}
    item = only({**row, "answer": "b"}, options=["A", "B", "C", "D"], answer_is="letter")
    assert (item.options, item.answer) == (("1", "2"), "B")


@pytest.mark.parametrize(
    ("answer", "letter"), [("Cat", "B"), ("cat.", "B"), (' "DOG" ', "A"), ("Dog", "A")]
)
def test_an_answer_as_text(answer, letter):
    assert only({**ROW, "answer": answer}).answer == letter


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "Cow"}, "the answer 'Cow' is 0 of the options"),
        ({"choices": ["Dog", "dog."], "answer": "DOG"}, "is 2 of the options"),
        ({"choices": ["Cat"]}, "1 options; expected 2 to 8"),
        ({"choices": [str(n) for n in range(9)], "answer": "1"}, "9 options"),
        ({"choices": ["Dog", ""]}, "an option is empty"),
        ({"choices": ["Dog\nB. Cat", "Cat"]}, "line break"),
        ({"choices": "Dog or Cat"}, "expected a list"),
        ({"choices": "[" * 500}, "expected a list"),
        ({"choices": "__import__('os')"}, "expected a list"),
        ({"choices": "[__import__('os')]"}, "expected a list"),
        ({"choices": ["Dog", float("nan")]}, "expected a list of texts"),
        ({"choices": None}, "there are no options"),
        ({"answer": None}, "there is no answer"),
        ({"question": " "}, "there is no question"),
        ({"audio": None}, "there is no clip"),
        ({"audio": ["a.wav", "a.wav"]}, "stands twice"),
        ({"audio": 3}, "expected a file or bytes"),
        ({"audio": {"path": None, "bytes": None}}, "neither bytes nor a path"),
    ],
)
def test_a_row_that_is_no_item_is_told(change, message):
    found = read([ROW, {**ROW, **change}])
    assert [item.id for item in found.items] == ["row 1"]
    (fault,) = found.faults
    assert fault.row == 2
    assert message in str(fault)


def test_what_rows_may_lack_is_left_out_and_counted():
    rows = [ROW, {**ROW, "choices": []}, {**ROW, "answer": ""}, {**ROW, "choices": None}]
    found = read(rows, may_lack=["options", "answer"])
    assert (len(found.items), found.faults) == (1, [])
    assert dict(found.left_out) == {"options": 2, "answer": 1}


def test_names_that_come_twice_are_told_apart():
    rows = [{**ROW, "id": "q"}, {**ROW, "id": "q"}, {**ROW, "id": 7}]
    assert [item.id for item in read(rows, id="id").items] == ["q", "q#2", "7"]


def test_several_clips_and_bytes():
    item = only({**ROW, "audio": ["a.wav", "b.wav"]})
    assert (item.clips, item.cluster) == (("a.wav", "b.wav"), "a.wav + b.wav")
    found = read([{**ROW, "audio": {"bytes": b"x", "path": "same.wav"}} for _ in range(2)])
    assert [item.clips for item in found.items] == [("row 1",), ("row 2",)]


def test_sounds_are_found_whatever_their_spelling():
    sounds = ["door_wood_creaks", "can_opening"]
    assert n_present(["Door, wood creaks", "Can opening", "Dog"], sounds) == 2
    assert n_present(["Door knock"], ["door_wood_knock"]) == 0
    assert n_present(["Door knock"], ["door_wood_knock"], {"Door knock": "door_wood_knock"}) == 1
    assert n_present(["Dog"], None) is None


def test_dots_go_into_objects_and_lists():
    row = {"scene": {"events": [{"text": "a"}, {"text": "b"}, 3]}, "a.b": 1}
    assert dig(row, "scene.events.text") == ["a", "b", None]
    assert dig(row, "a.b") == 1
    assert dig(row, "scene.none.text") is None


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), max_size=6))
def test_notations_of_a_list_give_the_same(options):
    plain = [option.strip() for option in options]
    for written in (options, json.dumps(options), repr(options)):
        assert texts(written, "choices") == plain


@given(st.text(max_size=60))
def test_no_cell_breaks_the_reader(cell):
    with contextlib.suppress(QuestionError):
        assert isinstance(texts(cell, "choices"), list)


def test_clips_do_not_lead_out_of_the_copy(tmp_path):
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"x")
    copy = tmp_path / "copy"
    (copy / "audio").mkdir(parents=True)
    (copy / "audio" / "a.wav").write_bytes(b"x")
    description = describe(KEYS)
    for name in ("../secret.wav", str(secret), "audio/../../secret.wav", "..\\secret.wav"):
        assert clip_file(description, [copy], name) is None
    for name in ("a.wav", "./a.wav", "data/set/audio/a.wav", "x\\a.wav"):
        assert clip_file(description, [copy], name) == copy / "audio" / "a.wav"


def test_orders_of_three_clips_follow_the_rule():
    seen = set()
    for run in range(6):
        heard, text = reordered("starbench", "t_OSM_0", run, ["1", "2", "3"], ORDERS)
        places = [int(part.removeprefix("clip ")) - 1 for part in text.split(" -> ")]
        assert [heard[place] for place in places] == ["1", "2", "3"]
        seen.add(tuple(heard))
    assert len(seen) == 6
    with pytest.raises(QuestionError, match="an id that ends in"):
        reordered("starbench", "other_7", 0, ["1", "2", "3"], ORDERS)
    with pytest.raises(QuestionError, match="0 of the options"):
        reordered("starbench", "t_OSM_0", 0, ["1", "2", "3"], ORDERS[3:])


def test_missing_columns_files_and_parts_are_named(tmp_path):
    with pytest.raises(DataVersionError, match=r"option \(choices\).*found \['answer'"):
        read([{"audio": "a", "question": "q", "answer": "x"}])
    trea = describe("trea")
    (tmp_path / "x").mkdir()
    with pytest.raises(DataVersionError, match=r"expected TREA_dataset/order.*found \['x'\]"):
        load_items(trea, "order", data=str(tmp_path))
    folder = other_benchmarks.mmau(tmp_path / "mmau")
    file = folder / "mmau-test-mini.json"
    rows = [row for row in json.loads(file.read_text()) if row["task"] != "music"]
    file.write_text(json.dumps(rows))
    with pytest.raises(DataVersionError, match=r"belongs to mmau music.*found sound \| speech"):
        load_items(describe("mmau"), "music", data=str(folder))
    with pytest.raises(OptionError, match="has no column of times"):
        load_items(describe("mmau"), "sound", data=str(folder), seconds=True)
    file.write_text("{}")
    with pytest.raises(DataVersionError, match="expected a list of objects"):
        list(rows_of(describe("mmau"), describe("mmau").part("sound"), folder)[1])


def test_the_hub_is_asked_where_no_copy_is_named(monkeypatch, tmp_path):
    asked = []

    def download(repo, **kwargs):
        asked.append((repo, kwargs))
        return str(tmp_path / "0123456789abcdef")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    path, name = find_copy(describe("mmau"), None, "main")
    assert asked == [("lmms-lab/mmau", {"repo_type": "dataset", "revision": "main"})]
    assert (path.name, name) == ("0123456789abcdef", "lmms-lab/mmau@0123456789ab")

    def fails(repo, **kwargs):
        raise OSError("no network\nmore")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fails)
    with pytest.raises(DataUnavailableError, match=r"(?s)\(no network\).*TEMPO_DATA_MMAU=COPY"):
        find_copy(describe("mmau"))
    with pytest.raises(DataUnavailableError, match="has no revision"):
        find_copy(describe("mmau"), str(tmp_path), "main")
    with pytest.raises(DataUnavailableError, match="there is no"):
        find_copy(describe("mmau"), str(tmp_path / "none"))

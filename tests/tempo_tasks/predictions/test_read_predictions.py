"""Reading predictions: what a column may be called, what a cell may hold, and hostile files."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn.errors import TempoError
from tempo_tasks.errors import DataUnavailableError, DataVersionError, PredictionsError
from tempo_tasks.predictions.columns import find_columns
from tempo_tasks.predictions.match import TaskItems, match
from tempo_tasks.predictions.read_predictions import read_predictions
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import Kind


@pytest.fixture
def read(tmp_path):
    def reader(content, name="said.csv", columns=None, condition=Condition.AQA):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return read_predictions(tmp_path / name, columns=columns or {}, condition=condition)

    return reader


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["id", "text"], {"id": "id", "text": "text"}),
        (["Item ID", "Raw-Output"], {"id": "Item ID", "text": "Raw-Output"}),
        (
            ["filename", "audio", "task", "pred"],
            {"clip": "filename", "kind": "task", "letter": "pred"},
        ),
        (
            ["id", "response", "is_correct"],
            {"id": "id", "text": "response", "correct": "is_correct"},
        ),
    ],
)
def test_columns_are_found_by_their_names(columns, found):
    assert find_columns(columns, {}, "said.csv") == found


@pytest.mark.parametrize(
    ("columns", "given", "told"),
    [
        (["id", "text", "output"], {}, "several columns could hold the text"),
        (["id", "answer"], {}, "no column holds answers"),
        (["filename", "text"], {}, "no column says which item"),
        (["id", "text"], {"text": "txt"}, "no column 'txt'"),
        (["id", "p_a", "p_b"], {}, "columns of 2 letters' probabilities"),
    ],
)
def test_what_cannot_be_told_is_not_guessed(columns, given, told):
    with pytest.raises(PredictionsError, match=told):
        find_columns(columns, given, "said.csv")


def test_an_id_column_that_is_a_row_number_can_be_left_out(read):
    text = "id,filename,task,text\n0,1.mp3,latest_end,A\n"
    (one,) = read(text, columns={"id": ""}).rows
    assert (one.item, one.clip, one.kind) == (None, "1.mp3", Kind.LO)


def test_the_kind_may_be_the_name_of_a_task(read):
    (one,) = read("clip,task,text\nx,tempo_ld_aqa,A\n").rows
    assert one.kind is Kind.LD


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"id": "x", "text": null}', 'an empty answer is ""'),
        ('{"id": "x", "text": 3}', "text is 3"),
        ('{"id": "x", "text": NaN}', "text is nan"),
        ('{"id": "x", "text": "\\ud800"}', "half of a surrogate"),
        ('{"id": "\\ud800", "text": "A"}', "half of a surrogate"),
        ('{"id": "", "text": "A"}', "id is ''"),
        ('{"id": ["x"], "text": "A"}', "id is"),
        ('{"id": "x", "text": "A", "correct": "maybe"}', "correct is 'maybe'"),
        ('{"id": "x", "text": "A", "condition": "AQA+"}', "condition is 'AQA\\+'"),
        ('{"id": "x", "text": "A", "probs": [1, 0, 0]}', "expected four numbers"),
        ('{"id": "x", "text": "A", "probs": [0.9, 0.9, 0, 0]}', "expected four numbers"),
        ('{"id": "x", "text": "A", "probs": [0, 0, 0, 0]}', "expected four numbers"),
        ('{"id": "x", "text": "A", "probs": [NaN, 0.5, 0, 0]}', "expected four numbers"),
        ('{"id": "x", "text": "A", "probs": [true, 0, 0, 0]}', "expected four numbers"),
        ('{"id": "x", "text": "A", "probs": [-0.1, 0.5, 0, 0]}', "expected four numbers"),
        ('{"id": "x", "text": "A", "probs": {"A": 0.5}}', "expected four numbers"),
        ('{"id": "x", "probs": null}', "no probabilities, and no text"),
        ('{"clip": "x", "kind": "order", "text": "A"}', "kind is 'order'"),
    ],
)
def test_rows_that_cannot_be_are_listed(read, content, told):
    with pytest.raises(PredictionsError, match=rf"(?is)1 rows cannot be read.*row 1: .*{told}"):
        read(content, "said.jsonl")


def test_good_cells(read):
    rows = [
        {"id": 7, "text": "", "probs": {"A": 1, "B": 0, "C": 0, "D": 0}, "correct": False},
        {"id": "x", "text": "A", "probs": "[0.25, 0.25, 0.25, 0.25]", "correct": None},
        {"id": "y", "text": "A", "correct": "1"},
    ]
    found = read(json.dumps(rows), "said.json").rows
    assert [one.item for one in found] == ["7", "x", "y"]
    assert [one.probabilities for one in found] == [(1, 0, 0, 0), (0.25,) * 4, None]
    assert [one.correct for one in found] == [False, None, True]


@pytest.mark.parametrize(
    ("content", "name", "error", "told"),
    [
        (b"", "said.csv", PredictionsError, "no row"),
        (b"id,text\n", "said.csv", PredictionsError, "no row"),
        ("id,text\nx,Ä\n".encode("latin-1"), "said.csv", DataVersionError, "UTF-8"),
        ("id,text\nx,A\n".encode("utf-16"), "said.csv", DataVersionError, "UTF-8|UTF-16"),
        (b'id,text\nx,"A\n', "said.csv", DataVersionError, "not a readable CSV"),
        (b"id,id,text\nx,y,A\n", "said.csv", DataVersionError, "twice"),
        (b'{"id": "x", "text": "A"}\n{"id"', "said.jsonl", DataVersionError, "line 2: not JSON"),
        (b'{"id": "x", "id": "y", "text": "A"}', "said.jsonl", DataVersionError, "stands twice"),
        (b'{"id": "x"}\n{"id": "y"}', "said.json", PredictionsError, "call it .jsonl"),
        (b'[{"id": "x", "text": NaN}]', "said.json", PredictionsError, "no finite number"),
        (b"[" * 100_000, "said.json", PredictionsError, "nested too deeply"),
        (b"[1]", "said.json", PredictionsError, "expected an object"),
        (b"3", "said.json", PredictionsError, "expected a list"),
        (b"PAR1", "said.parquet", DataVersionError, "Parquet"),
        (b"id\ttext\n", "said.tsv", PredictionsError, "expected a name that ends in"),
    ],
)
def test_files_that_cannot_be_read_are_told(read, content, name, error, told):
    with pytest.raises(error, match=told):
        read(content, name)


def test_no_file(tmp_path):
    with pytest.raises(DataUnavailableError, match="no such file"):
        read_predictions(tmp_path / "said.csv", columns={}, condition=None)


def test_a_condition_is_needed(read):
    with pytest.raises(PredictionsError, match="say --condition"):
        read("id,text\nx,A\n", condition=None)
    with pytest.raises(PredictionsError, match="1 rows, and none of condition cqa"):
        read("id,text,condition\nx,A,aqa\n", condition=Condition.CQA)


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.floats())
)


@given(st.lists(st.dictionaries(st.sampled_from(["id", "text", "probs", "correct"]), CELLS)))
def test_any_json_is_read_or_refused(tmp_path_factory, rows):
    file = tmp_path_factory.getbasetemp() / "any.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _read_or_refuse(file)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    for name in ("any.csv", "any.jsonl", "any.json"):
        file = tmp_path_factory.getbasetemp() / name
        file.write_bytes((b"id,text\n" if name == "any.csv" else b"") + data)
        _read_or_refuse(file)


def _read_or_refuse(file):
    try:
        found = read_predictions(file, columns={}, condition=Condition.AQA)
    except TempoError:
        return
    for one in found.rows:
        assert isinstance(one.item, str)
        (one.item + (one.text or "")).encode()
        assert one.text is not None or one.probabilities is not None


def test_100_000_rows_in_seconds(read):
    ids = [f"clip {number}.mp3/eo" for number in range(100_000)]
    start = time.process_time()
    found = read("id,text,correct\n" + "".join(f"{name},B,1\n" for name in ids))
    tasks = {"tempo_eo_aqa": TaskItems("aqa", "eo", ids, [name[:-3] for name in ids])}
    matched = match(found.rows, tasks, allow_missing=False)
    assert time.process_time() - start < 30  # about 2 s; quadratic would be minutes
    assert len(matched.found["tempo_eo_aqa"]) == 100_000


def test_a_name_that_fits_several_clips_is_refused(read):
    tasks = {"tempo_eo_aqa": TaskItems("aqa", "eo", ["a/1/eo", "b/1/eo"], ["a/1.mp3", "b/1.mp3"])}
    (exact,) = read("clip,kind,text\nb/1.mp3,eo,A\n").rows
    assert set(match([exact], tasks, allow_missing=True).found["tempo_eo_aqa"]) == {1}
    with pytest.raises(PredictionsError, match="fit several items"):
        match(read("clip,kind,text\n1.wav,eo,A\n").rows, tasks, allow_missing=True)

"""Released data that contradict themselves: everything wrong is said, all of it at once."""

import copy

import pytest

from tempo_tasks.audio import DEFAULT_LIMITS, check_audio
from tempo_tasks.errors import AudioNotFoundError, BadClipsError, DataVersionError, QuestionError
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.hub import load_released
from tests.support.released_layout import write_layout


@pytest.fixture
def rows(layout_rows):
    """A copy of the rows, to spoil."""
    return copy.deepcopy(layout_rows)


def load(folder, kind=Kind.EO):
    return load_released(kind, data=str(folder))


def test_another_layout_names_found_and_expected_columns(tmp_path):
    (tmp_path / "questions.csv").write_text(
        "filename,question,A,B,C,D,correct_label\nx,y,1,2,3,4,A\n"
    )
    with pytest.raises(DataVersionError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert "'option_a', 'option_b'" in message
    assert "Found ['filename', 'question', 'A', 'B', 'C', 'D', 'correct_label']" in message


def test_all_malformed_rows_are_listed(rows, tmp_path):
    rows[0]["correct_text"] = "Foghorn"
    rows[1]["option_b"] = rows[1]["option_a"]
    rows[2]["correct_answer"] = "E"
    rows[3]["option_c"] = "  "
    rows[4] |= {"task": "earliest_start"}  # and the question asks what ends latest
    rows[5] |= {"task": "loudest", "question": "Which sound is loudest?"}
    with pytest.raises(QuestionError) as caught:
        load(write_layout(tmp_path, "jsonl", rows))
    lines = str(caught.value).splitlines()
    assert "6 malformed rows" in lines[0]
    for number, reason in enumerate(
        [
            "'Foghorn'",
            "four distinct options",
            "not 'E'",
            "option_c is '  '",
            "of one kind",
            "loudest",
        ],
        1,
    ):
        assert f"metadata.jsonl, row {number}: " in lines[number]
        assert reason in lines[number]


def test_a_repeated_question_and_a_second_caption_are_refused(rows, tmp_path):
    other = {**rows[1], "caption": "Something else.", "option_a": "Gong", "correct_answer": "A"}
    other["correct_text"] = "Gong"
    with pytest.raises(QuestionError, match=r"(?s)row 13: .*same question.*row 14: .*caption"):
        load(write_layout(tmp_path, "jsonl", [*rows, rows[0], other]))


def test_one_name_for_two_recordings_is_refused(rows, tmp_path):
    other = {**rows[0], "audio": rows[1]["audio"], "option_a": "Gong", "correct_answer": "A"}
    other["correct_text"] = "Gong"
    with pytest.raises(QuestionError, match=r"row 13: .*another audio"):
        load(write_layout(tmp_path, "parquet", [*rows, other]))


def test_missing_audio_files_are_listed(rows, tmp_path):
    folder = write_layout(tmp_path, "csv", rows)
    (folder / "audio" / "00001.wav").unlink()
    with pytest.raises(AudioNotFoundError, match=r"00001\.wav"):
        load(folder)
    (folder / "audio" / "00003.wav").unlink()
    with pytest.raises(BadClipsError, match=r"(?s)2 clips.*00001\.wav.*00003\.wav"):
        load(folder)


def test_truncated_embedded_audio_is_found_before_inference(rows, tmp_path):
    rows[2]["audio"]["bytes"] = rows[2]["audio"]["bytes"][:1000]
    found = load(write_layout(tmp_path, "parquet", [row for row in rows if row["task"][0] == "e"]))
    with pytest.raises(ValueError, match="truncated"):
        check_audio(found.audio.values(), 16_000, DEFAULT_LIMITS, progress=False)


@pytest.mark.parametrize("name", ["broken.parquet", "broken.jsonl", "broken.csv"])
def test_damaged_files_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe not what the name says \x00")
    with pytest.raises(DataVersionError, match=name):
        load(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"filename": "1.wav", "filename": "2.wav"}', "the key 'filename' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", r"expected an object, found \[\]"),
    ],
)
def test_lines_that_can_be_read_two_ways_are_named(tmp_path, line, message):
    (tmp_path / "questions.jsonl").write_text(f"\n{line}\n")
    with pytest.raises(DataVersionError, match=rf"questions\.jsonl, line 2: .*{message}"):
        load(tmp_path)


@pytest.mark.parametrize("layout", ["parquet", "disk"])
def test_damage_inside_of_a_table_is_named(rows, tmp_path, layout):
    """Bytes that are no text, and offsets that point out of the file (which ended the process)."""
    rows = [{**row, "audio": {"bytes": b"RIFF", "path": row["filename"]}} for row in rows[:2]]
    rows[0]["option_a"] = "Doggish"
    folder = write_layout(tmp_path / "set", layout, rows)
    (path,) = [p for p in folder.rglob("*-00000-of-*") if b"Doggish" in p.read_bytes()]
    whole = path.read_bytes()
    at = whole.index(b"Doggish")
    path.write_bytes(whole[:at] + b"\xff\xfe" + whole[at + 2 :])
    with pytest.raises(
        DataVersionError, match=r"set.*(readable Parquet|cannot read what it saved)"
    ):
        load(folder)
    if layout == "disk":  # its offsets lie before the texts, in 32 bits
        path.write_bytes(whole[: at - 60] + b"\x7f" * 56 + whole[at - 4 :])
        with pytest.raises(DataVersionError, match=r"set.*cannot read what it saved"):
            load(folder)


def test_no_question_of_the_kind(rows, tmp_path):
    rows = [row for row in rows if row["task"] != "latest_end"]
    with pytest.raises(DataVersionError, match=r"no lo question.*\['eo', 'ld'\]"):
        load(write_layout(tmp_path, "jsonl", rows), Kind.LO)

"""Twins that lie beside the clips of a folder."""

import pytest

from tempo_tasks.audio import make_handle
from tempo_tasks.errors import (
    AudioNotFoundError,
    BadTableError,
    DataVersionError,
    MissingIntervalsError,
    NoMirrorError,
)
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind, Question
from tempo_tasks.sources.rendered_twins import beside_twins, find_twins
from tests.support.recorded_sounds import recording, write_rows, write_wav

OPTIONS = ("Rain", "Siren", "Bell", "Dog")
TWIN = Clip("t.wav", (Event("Rain", ((5.0, 8.0),)), Event("Siren", ((1.0, 4.0),))))


def asked(kind=Kind.EO):
    question = Question(f"a.wav/{kind.value}", "a.wav", kind, OPTIONS, "A")
    return QuestionSet("set", (question,), {"a.wav": make_handle("a.wav", "0" * 64)}, {})


def test_the_twin_is_asked_with_its_own_audio_and_answer(tmp_path):
    write_rows(tmp_path / "mirror.csv", ("filename", "twin"), [("a.wav", "t.wav")])
    write_wav(tmp_path / "audio" / "t.wav", recording("Rain"))
    twins = find_twins(tmp_path)
    pairs = beside_twins(asked(), twins, tmp_path, {"t.wav": TWIN})
    (pair,) = pairs.pairs
    assert (pair.original.answer_text, pair.twin.answer_text) == ("Rain", "Siren")
    assert pairs.twins.audio["a.wav"]["path"].endswith("audio/t.wav")


def test_a_folder_without_the_table_has_none(tmp_path):
    assert find_twins(tmp_path) == {}


def test_tables_that_cannot_be_are_refused(tmp_path):
    file = tmp_path / "mirror.csv"
    write_rows(file, ("filename", "other"), [("a.wav", "t.wav")])
    with pytest.raises(DataVersionError, match="twin"):
        find_twins(tmp_path)
    write_rows(file, ("filename", "twin"), [("a.wav", "../t.wav")])
    with pytest.raises(BadTableError, match="row 1: the twin is no plain filename"):
        find_twins(tmp_path)
    write_rows(file, ("filename", "twin"), [("a.wav", "t.wav"), ("a.wav", "u.wav")])
    with pytest.raises(BadTableError, match="a second row of this clip"):
        find_twins(tmp_path)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MissingIntervalsError, match=r"such as a\.wav"):
        beside_twins(asked(), {"a.wav": "t.wav"}, tmp_path, {})
    with pytest.raises(AudioNotFoundError, match=r"t\.wav"):
        beside_twins(asked(), {"a.wav": "t.wav"}, tmp_path, {"t.wav": TWIN})
    with pytest.raises(NoMirrorError, match="ld has no mirrored twin"):
        beside_twins(asked(Kind.LD), {"a.wav": "t.wav"}, tmp_path, {"t.wav": TWIN})

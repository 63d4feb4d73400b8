"""Strict parsing: a letter or an option's exact text, never a guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_tasks.questions import LETTERS
from tempo_tasks.scoring import (
    clustered_stderr,
    generation_metrics,
    likelihood_metrics,
    mean_a,
    mean_b,
    parse_answer,
)

OPTIONS = ["Dog Barking", "Rain", "Stream_River", "Car Horn"]
DOC = {"options": OPTIONS, "answer": "B", "clip": "c1"}


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" b ", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("**B**", "B"),
        ("B: ", "B"),
        ("Rain", "B"),
        ("rain.", "B"),
        ("Stream_River", "C"),
        ("B. Rain", "B"),
        ("(D) Car Horn", "D"),
        ("**B. Rain**", "B"),
    ],
)
def test_a_stated_answer_is_read(text, letter):
    assert parse_answer(text, OPTIONS) == letter


@pytest.mark.parametrize(
    "text",
    [
        "",
        "E",
        "AB",
        "A or B",
        "A, B",
        "A. Rain",  # letter and text disagree
        "The answer is B",  # plausible, but reading it is a rule of its own
        "Rain and Car Horn",
        "I hear rain first, then a dog.",
        "Barking",
        "Dog",
        "A dog barks",
    ],
)
def test_anything_else_is_a_parse_failure(text):
    assert parse_answer(text, OPTIONS) is None


@given(st.text(max_size=40))
def test_any_text_gives_a_letter_or_nothing(text):
    assert parse_answer(text, OPTIONS) in (*LETTERS, None)


def test_an_option_that_is_itself_a_letter_is_read_as_the_letter():
    assert parse_answer("A", ["B", "A", "x", "y"]) == "A"


def test_options_that_differ_only_in_case_are_not_told_apart_by_text():
    assert parse_answer("rain", ["Rain", "RAIN", "x", "y"]) is None


def test_generation_metrics():
    right, wrong, failed = (generation_metrics(DOC, [text]) for text in ("B", "Car Horn", "?"))
    assert (right["acc"], right["parse_failure"]) == (1.0, 0.0)
    assert (wrong["acc"], wrong["parse_failure"]) == (0.0, 0.0)
    assert (failed["acc"], failed["parse_failure"]) == (0.0, 1.0)


def test_likelihood_metrics_take_the_most_likely_letter():
    scores = [(-3.0, False), (-0.1, True), (-4.0, False), (-5.0, False)]
    assert likelihood_metrics(DOC, scores)["acc"] == 1.0
    assert likelihood_metrics(DOC, scores[::-1])["acc"] == 0.0


def test_tied_letters_share_the_credit():
    tied = [(-1.0, True), (-1.0, False), (-4.0, False), (-5.0, False)]
    assert likelihood_metrics(DOC, tied)["acc"] == 0.5
    assert likelihood_metrics(DOC | {"answer": "C"}, tied)["acc"] == 0.0


def test_accuracy_of_a_letter_counts_its_items_only():
    items = [("A", 1.0), ("A", 0.0), ("B", 1.0)]
    assert mean_a(items) == 0.5
    assert mean_b(items) == 1.0
    assert mean_b(items[:2]) == "N/A"


def test_clustered_stderr_takes_pairs():
    assert clustered_stderr([("c1", 1.0), ("c2", 0.0)]) == pytest.approx(0.5)
    assert clustered_stderr([("c1", 1.0)]) == "N/A"

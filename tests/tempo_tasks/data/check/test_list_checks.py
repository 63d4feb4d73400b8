"""The questions as a list: duplicates, letters, and labels that were left out."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from scipy.stats import chisquare

from tempo_tasks.data.check.findings import What
from tempo_tasks.data.check.item_checks import CheckedItem
from tempo_tasks.data.check.list_checks import (
    balance,
    duplicates,
    left_out_finding,
    letter_findings,
    repeated_stretch,
)
from tempo_tasks.questions.questions import Kind, Question

FIRST = Question("1.mp3/eo", "1.mp3", Kind.EO, ("Dog", "Cat", "Rain", "Bell"), "A")


def found_again(*questions):
    asked = [(question, ("eo.csv", row)) for row, question in enumerate(questions, 1)]
    return [finding and finding.what for finding in duplicates(asked)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, What.SAME_ROW),
        ({"id": "1.mp3/eo#2"}, What.SAME_ROW),
        ({"answer": "B"}, What.SAME_QUESTION),
        ({"options": ("Cat", "Dog", "Bell", "Rain"), "answer": "B"}, What.SAME_QUESTION),
        ({"options": ("DOG", "Cat", "Rain", "Bell")}, What.SAME_QUESTION),
        ({"options": ("Dog", "Cat", "Rain", "Wind")}, What.SAME_CLIP),
        ({"kind": Kind.LO}, None),
        ({"clip_id": "2.mp3"}, None),
    ],
)
def test_what_two_questions_have_in_common(change, expected):
    assert found_again(FIRST, replace(FIRST, **change)) == [None, expected]


def test_a_duplicate_names_the_earlier_row():
    asked = [(FIRST, ("eo.csv", 3)), (FIRST, ("more.csv", 9))]
    first, second = duplicates(asked)
    assert first is None
    assert (second.table, second.row) == ("more.csv", 9)
    assert second.found == "the same row as eo.csv row 3"


def test_every_further_duplicate_names_the_first_row():
    asked = [(FIRST, ("eo.csv", row)) for row in (3, 5, 8)]
    found = [finding and finding.found for finding in duplicates(asked)]
    assert found == [None, *["the same row as eo.csv row 3"] * 2]


def test_a_third_row_is_compared_with_all_before_it():
    other = replace(FIRST, options=("Dog", "Wind", "Rain", "Bell"))
    assert found_again(FIRST, other, other) == [None, What.SAME_CLIP, What.SAME_ROW]


def items(letters, table="eo.csv"):
    return [
        CheckedItem(
            item=f"{row}/eo",
            kind="eo",
            clip=str(row),
            table=table,
            row=row,
            answer=letter,
            answer_text="Dog",
            right="Dog",
            margin=2.0,
            required=1.0,
            in_clip=("A",),
            left_out=0,
        )
        for row, letter in enumerate(letters, 1)
    ]


def noted(letters):
    return [finding.what for finding in letter_findings(items(letters))]


def test_the_letters_of_the_released_files_are_a_cycle():
    (finding,) = letter_findings(items("ABCD" * 10 + "AB"))
    assert finding.what is What.LETTER_CYCLE
    assert finding.found.startswith("right letters of 42 of 42 items in a row are a cycle A,B,C,D")
    assert (finding.table, finding.row, finding.kind) == ("eo.csv", 1, "eo")
    assert finding.what.is_note


def test_a_cycle_is_found_in_the_middle():
    letters = "DBBACADB" + "CABD" * 5 + "AADCB"
    stretch = repeated_stretch(letters)
    cycle = letters[stretch.start : stretch.start + stretch.length]
    assert stretch.length >= 20
    assert len(stretch.pattern) == 4
    assert (stretch.pattern * 9).startswith(cycle)
    (finding,) = letter_findings(items(letters))
    assert finding.row == stretch.start + 1


@pytest.mark.parametrize("period", range(1, 9))
def test_every_period_up_to_eight_is_found(period):
    pattern = "ABCDBADC"[:period]
    stretch = repeated_stretch("ABBDC" + pattern * 6 + "DAC")
    assert len(stretch.pattern) == period
    assert stretch.length >= period * 6


def test_letters_in_blocks_are_a_run():
    findings = list(letter_findings(items("A" * 30 + "B" * 30 + "C" * 30 + "D" * 30)))
    assert [finding.what for finding in findings] == [What.LETTER_CYCLE]
    assert "30 of 120 items in a row are a run of A" in findings[0].found


def test_one_letter_throughout_is_no_balance():
    assert noted("A" * 40) == [What.LETTER_BALANCE]


def test_a_few_letters_prove_nothing():
    assert noted("ABCD") == noted("ABCDABCD") == noted("A") == []
    assert repeated_stretch("A") is repeated_stretch("") is repeated_stretch("ABCD") is None


def test_cycles_are_looked_for_table_by_table():
    letters = "ABCD" * 5
    parts = items(letters[:7], "one.csv") + items(letters[7:14], "two.csv")
    assert list(letter_findings(parts)) == []


def test_random_letters_are_seldom_noted():
    rng = random.Random(0)
    notes = Counter(what for _ in range(300) for what in noted(rng.choices("ABCD", k=120)))
    # A union bound is never exceeded; the balance is noted in 1 % of lists by its definition.
    assert notes[What.LETTER_CYCLE] <= 3
    assert notes[What.LETTER_BALANCE] <= 9


def test_balance_is_scipys_chi_square():
    counts, p = balance("AAABBC")
    assert counts == {"A": 3, "B": 2, "C": 1, "D": 0}
    assert p == pytest.approx(chisquare([3, 2, 1, 0]).pvalue)
    assert balance("") == ({"A": 0, "B": 0, "C": 0, "D": 0}, None)


def test_unequal_letters_are_noted_with_their_counts():
    letters = "".join(random.Random(1).choices("ABCD", weights=(60, 20, 10, 10), k=200))
    (finding,) = letter_findings(items(letters))
    assert finding.what is What.LETTER_BALANCE
    assert f"A {letters.count('A')}" in finding.found


def test_events_left_out_are_counted():
    assert left_out_finding(items("ABC")) is None
    some = [replace(item, left_out=n) for item, n in zip(items("ABC"), (0, 2, 1), strict=True)]
    finding = left_out_finding(some)
    assert finding.what.is_note
    assert finding.found.startswith("2 of 3 items have 3 options")
    assert finding.kind == "eo"

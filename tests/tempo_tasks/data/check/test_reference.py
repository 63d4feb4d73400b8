"""`tempo data check` on the released files, where the reference data lie beside the checkout.

Measured: all 528 EO and 499 LO answers agree with the test intervals; the smallest margins are
1.00 and 1.02 s; the right letters are one cycle; the option `Whirring` is no label of the test
intervals.
"""

import csv
import json
import random

import pytest
import typer
from typer.testing import CliRunner

from tempo_tasks.data.commands.check import check
from tests.support.paths import REFERENCE

pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference data are not here")

EO = REFERENCE / "relative_earliest_start_mcq.csv"
LO = REFERENCE / "relative_latest_end_mcq.csv"
TIMES = REFERENCE / "audio_grounding_test_clean_rephrased.csv"

app = typer.Typer()
app.command()(check)


def run(*tables):
    result = CliRunner().invoke(
        app, [*map(str, tables[:-1]), "--intervals", str(tables[-1]), "--json"]
    )
    assert result.exit_code in (0, 1), result.exception
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture(scope="module")
def released():
    return run(EO, LO, TIMES)


def test_every_released_answer_agrees(released):
    status, plain = released
    assert status == 0
    assert [(kind["items"], kind["agree"]) for kind in plain["kinds"]] == [(528, 528), (499, 499)]
    assert not [f for f in plain["findings"] if f["severity"] == "disagreement"]


def test_the_numbers_are_those_of_the_released_files(released):
    eo, lo = released[1]["kinds"]
    assert eo["options_in_clip"] == {"0": 0, "1": 128, "2": 301, "3": 69, "4": 30}
    assert lo["options_in_clip"] == {"0": 0, "1": 126, "2": 295, "3": 56, "4": 22}
    assert eo["letters"] == dict.fromkeys("ABCD", 132)
    assert lo["letters"] == {"A": 125, "B": 125, "C": 125, "D": 124}
    assert (eo["smallest_margin"], lo["smallest_margin"]) == (1.0, 1.02)


def test_the_notes_say_what_a_careful_reader_finds(released):
    notes = released[1]["findings"]
    cycles = [note["found"] for note in notes if note["what"] == "letter_cycle"]
    assert [
        f"{n} of {n} items in a row are a cycle A,B,C,D" in c
        for n, c in zip((528, 499), cycles, strict=True)
    ] == [True, True]
    assert [n["found"].split(" have ")[0] for n in notes if n["what"] == "left_out"] == [
        "236 of 528 items",
        "227 of 499 items",
    ]
    unknown = [note for note in notes if note["what"] == "unknown_option"]
    assert len(unknown) == 7
    assert all("'Whirring'" in note["found"] for note in unknown)


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("path", [EO, LO])
def test_planted_errors_are_found_each_in_its_row_and_no_others(tmp_path, path):
    rows, times = read(path), read(TIMES)
    spots = random.Random(0).sample(range(len(rows)), 40)
    planted = set()
    for spot in spots[:10]:  # another letter
        row = rows[spot]
        row["correct_label"] = "ABCD"["BCDA".index(row["correct_label"])]
        planted.add(spot + 1)
    for spot in spots[10:20]:  # the answer in other case
        row = rows[spot]
        row[row["correct_label"]] = row[row["correct_label"]].upper()
        planted.add(spot + 1)
    for spot in spots[20:30]:  # a clip without intervals
        times = [time for time in times if time["filename"] != rows[spot]["filename"]]
        planted.add(spot + 1)
    for spot in spots[30:]:  # a doubled row
        rows.append(rows[spot])
        planted.add(len(rows))
    status, plain = run(write(tmp_path / "bad.csv", rows), write(tmp_path / "times.csv", times))
    assert status == 1
    assert {f["row"] for f in plain["findings"] if f["severity"] == "disagreement"} == planted

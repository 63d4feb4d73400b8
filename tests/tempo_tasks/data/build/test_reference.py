"""Building from the authors' intervals, where the reference data lie beside the checkout."""

import csv
from pathlib import Path

import pytest

from tempo_tasks.data.build.request import Request
from tempo_tasks.data.build.run import build
from tempo_tasks.questions.questions import Kind
from tests.support.paths import REFERENCE

pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference data are not here")

RELEASED = {
    "earliest_start": REFERENCE / "relative_earliest_start_mcq.csv",
    "latest_end": REFERENCE / "relative_latest_end_mcq.csv",
}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("reference") / "out"
    intervals = REFERENCE / "audio_grounding_test_clean_rephrased.csv"
    return build(Request(intervals=(intervals,)), out)[0], rows(out / "questions.csv")


def test_the_released_margins_give_the_released_numbers(built):
    manifest, _ = built
    counts = {kind: count["questions"] for kind, count in manifest["kinds"].items()}
    assert counts == {Kind.EO.value: 528, Kind.LO.value: 499, Kind.LD.value: 630}
    assert manifest["clips"] == 718


@pytest.mark.parametrize("task", RELEASED)
def test_the_same_clips_are_asked_about_with_the_same_answers(built, task):
    _, questions = built
    ours = {row["filename"]: row["correct_text"] for row in questions if row["task"] == task}
    released = {row["filename"]: row[row["correct_label"]] for row in rows(RELEASED[task])}
    assert ours == released


def test_no_question_can_be_answered_by_knowing_which_sounds_occur(built):
    manifest, _ = built
    for count in manifest["kinds"].values():
        assert count["in_clip"]["1"] == 0
        assert max(count["letters"].values()) - min(count["letters"].values()) <= 1

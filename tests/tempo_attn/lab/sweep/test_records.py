"""Records of a sweep: as JSON, as arrays, and which ones do not belong together."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn.errors import ConfigError
from tempo_attn.lab.item_records import is_right, margins
from tempo_attn.lab.sweep.records import SweepRecord, SweepResults
from tests.support.sweep_results import TIE, edit, logits_of, sweep

EDIT = edit(0.5)
VARIANTS = [EDIT.control, EDIT]


def record(at=0, **changes):
    """An item with three candidates, the second one right, under a control and an edit."""
    fields = {
        "key": f"k{at}",
        "index": at,
        "id": f"item-{at}",
        "cluster": "cluster",
        "kind": "eo",
        "condition": "aqa",
        "answer": 1,
        "plain": [0.5, 2.0, 1.0],
        "logits": [[0.5, 2.0, 1.0], [3.0, 2.0, 1.5]],
        "audio": [[0.2, 0.2, 1.0, 1.0], [0.2, 0.0, 1.0, None]],
    }
    return SweepRecord(**{**fields, **changes})


# ---------------------------------------------------------------------- as JSON

numbers = st.floats(allow_nan=False, allow_infinity=False)
logits = st.lists(numbers, min_size=2, max_size=4)


@given(
    st.builds(
        SweepRecord,
        key=st.text(),
        index=st.integers(0),
        id=st.text(),
        cluster=st.text(),
        kind=st.text(),
        condition=st.text(),
        answer=st.integers(0, 3),
        plain=logits,
        logits=st.lists(logits, max_size=3),
        audio=st.lists(st.lists(st.none() | numbers, min_size=4, max_size=4), max_size=3),
        engine=st.sampled_from(["fast", "full"]),
        generated=st.none() | st.integers(-1, 3),
    )
)
def test_a_record_comes_back_from_json(original):
    text = json.dumps(original.to_dict(), allow_nan=False)
    assert SweepRecord.from_dict(json.loads(text)) == original


# ---------------------------------------------------------------------- as arrays


def test_records_are_arrays_in_the_order_of_the_items():
    late, early = record(7, answer=0, cluster="b"), record(2, cluster="a", plain=[9.0, 2.0, 1.0])
    found = SweepResults(VARIANTS, [late, early])
    assert found.records == [early, late]
    assert found.number == {EDIT.control: 0, EDIT: 1}
    assert found.answers.tolist() == [1, 0]
    assert found.clusters.tolist() == [0, 1]
    assert found.plain.tolist() == [[9.0, 2.0, 1.0], [0.5, 2.0, 1.0]]
    assert found.logits.shape == (2, 2, 3)
    assert np.isnan(found.audio).sum((0, 1)).tolist() == [0, 0, 0, 2]
    assert found.right.tolist() == [[True, False], [False, True]]
    assert found.plain_right.tolist() == [False, False]
    assert found.margins.tolist() == [[1.0, -1.0], [-1.5, 1.0]]


def test_clips_are_numbered_by_name():
    found = sweep({EDIT: [0, 0, 0]}, clusters=["b", "a", "b"])
    assert found.clusters.tolist() == [1, 0, 1]


def test_which_items_are_of_a_kind_and_a_condition():
    found = sweep({EDIT: [0, 0, 0]}, kinds=["eo", "lo", "eo"], conditions=["aqa", "aqa", "silence"])
    assert found.where().tolist() == [True, True, True]
    assert found.where("eo").tolist() == [True, False, True]
    assert found.where(condition="aqa").tolist() == [True, True, False]
    assert found.where("eo", "aqa").tolist() == [True, False, False]
    assert found.where("ld").tolist() == [False, False, False]
    assert found.where("ld").dtype == bool


# ---------------------------------------------------------------------- margins


def test_a_margin_is_to_the_best_other_candidate():
    given = np.array([[1.0, 4.0, 3.5], [1.0, 4.0, 3.5]])
    assert margins(given, np.array([1, 2])).tolist() == [0.5, -0.5]
    assert given.tolist() == [[1.0, 4.0, 3.5], [1.0, 4.0, 3.5]]  # left as it was


def test_answers_are_broadcast_over_variants():
    found = margins(np.array([[[0.0, 1.0], [3.0, 1.0]]]), np.array([[1]]))
    assert found.tolist() == [[1.0, -2.0]]


@given(
    st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1), st.data(), st.integers(0, 2)
)
def test_margins_are_those_of_a_plain_loop(rows, data, answer):
    found = margins(np.array(rows), np.array([answer] * len(rows)))
    expected = [row[answer] - max(row[:answer] + row[answer + 1 :]) for row in rows]
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("logits", "right"),
    [([2.0, 1.0, 1.0], True), ([2.0, 2.0, 1.0], False), ([1.0, 2.0, 2.0], False)],
)
def test_a_tie_for_the_first_place_is_no_right_answer(logits, right):
    assert is_right(np.array(logits), np.array(0)) == right


def test_a_tie_is_wrong_with_and_without_an_edit():
    found = sweep({EDIT.control: [TIE, 0], EDIT: [0, TIE]}, plain=[TIE, 0])
    assert found.right.tolist() == [[False, True], [True, False]]
    assert found.plain_right.tolist() == [False, True]
    assert found.margins.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_one_candidate_is_always_right():
    assert margins(np.array([[3.0]]), np.array([0])).tolist() == [math.inf]


# ---------------------------------------------------------------------- what does not belong


def test_a_sweep_needs_items():
    with pytest.raises(ConfigError, match="without items"):
        SweepResults(VARIANTS, [])


@pytest.mark.parametrize("part", ["logits", "audio"])
def test_records_of_another_grid(part):
    other = replace(record(3), **{part: getattr(record(), part)[:1]})
    with pytest.raises(ConfigError, match=r"'item-3' has .* the sweep has 2: .* another sweep"):
        SweepResults(VARIANTS, [record(), other])


FOUR = logits_of(1, 4)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"plain": FOUR, "logits": [FOUR, FOUR]}, "4"),  # another item has three
        ({"plain": FOUR}, "3 and 4"),
        ({"logits": [[0.5, 2.0, 1.0], FOUR]}, "3 and 4"),
        ({"logits": [[0.5, 2.0, 1.0], [0.5, 2.0]]}, "2 and 3"),
        ({"plain": [], "logits": [[], []]}, "0"),
    ],
)
def test_every_item_and_variant_has_as_many_candidates(changes, found):
    message = f"'item-3' has {found} candidates; expected 3 for every item .* 'item-0' has"
    with pytest.raises(ConfigError, match=message):
        SweepResults(VARIANTS, [record(3, **changes), record(0), record(5)])


def test_the_first_item_must_agree_with_itself():
    with pytest.raises(ConfigError, match="'item-0' has 3 and 4 candidates; expected 4"):
        SweepResults(VARIANTS, [record(0, plain=FOUR)])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("part", ["plain", "logits"])
def test_logits_must_be_finite(value, part):
    bad = [0.5, 2.0, value]
    changes = {"plain": bad} if part == "plain" else {"logits": [[0.5, 2.0, 1.0], bad]}
    with pytest.raises(ConfigError, match="'item-3' has a logit that is NaN, infinite or missing"):
        SweepResults(VARIANTS, [record(0), record(3, **changes), record(5)])


@pytest.mark.parametrize("answer", [-1, 3, 0.5, None])
def test_the_answer_is_a_candidate(answer):
    with pytest.raises(ConfigError, match=f"'item-3' has the answer {answer}; .* its 3 candidates"):
        SweepResults(VARIANTS, [record(0), record(3, answer=answer)])


def test_a_run_without_variants_still_has_its_plain_answers():
    found = SweepResults([], [record(logits=[], audio=[])])
    assert found.plain_right.tolist() == [True]

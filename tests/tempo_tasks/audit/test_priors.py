"""Label priors, letters and the order of rows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_tasks.audit.item_arrays import items_of
from tempo_tasks.audit.letter_order import letter_order, letter_rows
from tempo_tasks.audit.priors import label_balance, prior_rows
from tempo_tasks.questions.label_prior import leave_one_out
from tests.support.audit_sets import items, plain_set, question, random_set


def by_name(rows):
    return {row.strategy.name: row for row in rows}


def quartets(n=12, seed=0):
    """Groups of four with the same options, each right once."""
    rng = np.random.default_rng(seed)
    made = []
    for group in range(n):
        options = [f"sound {i}" for i in rng.permutation(10)[:4]]
        made += [
            question(options, turn, clip=f"{group}-{turn}", group=f"g{group}") for turn in range(4)
        ]
    return made


def slow_prior(made, held, inside=None):
    """The definition, item by item: expected credit; `held[i]` are left out with item i."""
    credit = []
    for number, item in enumerate(made):
        others = [q for i, q in enumerate(made) if held[i] != held[number]]
        scores = [
            (sum(q.answer_text == label for q in others) + 0.25)
            / (sum(label in q.options for q in others) + 1)
            + (100 if inside and label in inside[item.clip_id] else 0)
            for label in item.options
        ]
        best = [
            label
            for label, score in zip(item.options, scores, strict=True)
            if score >= max(scores) - 1e-9
        ]
        credit.append((item.answer_text in best) / len(best))
    return credit


@st.composite
def sets(draw):
    n = draw(st.integers(2, 10))
    return [
        question(
            [f"s{i}" for i in draw(st.permutations(range(6)))[:4]],
            draw(st.integers(0, 3)),
            clip=f"c{number}",
            group=draw(st.sampled_from(["", "one", "two"])),
        )
        for number in range(n)
    ]


@given(sets())
def test_leave_one_out_and_leave_cluster_out_are_their_definitions(made):
    found = by_name(prior_rows(items(made), 0))
    each = list(range(len(made)))
    mine = found["label prior, leave one out"].credit
    assert mine == pytest.approx(slow_prior(made, each))
    if "label prior, leave cluster out" in found:
        clusters = [q.cluster for q in made]
        credit = found["label prior, leave cluster out"].credit
        assert credit == pytest.approx(slow_prior(made, clusters))
    else:
        assert len({q.cluster for q in made}) == len(made)


def test_it_is_the_prior_that_hard_sets_are_balanced_by():
    (made,) = items_of(random_set(200))
    rows = np.arange(len(made))
    right = made.options[rows, made.right]
    wrong = np.array(
        [[label for label in row if label != r] for row, r in zip(made.options, right, strict=True)]
    )
    other = leave_one_out(np.column_stack([right, wrong]))
    assert by_name(prior_rows(made, 0))["label prior, leave one out"].credit == pytest.approx(other)


def test_raw_counts_do_not_care_how_often_a_label_is_shown():
    # "Often" is right 2 times of 5, "Seldom" 1 of 1.
    made = [
        question(("Seldom", "Often", "x", "y"), 0, clip="0"),
        *[question(("Often", f"a{n}", f"b{n}", f"c{n}"), n // 2, clip=f"{n}x") for n in range(4)],
        question(("Seldom", "q", "r", "s"), 0, clip="last"),
    ]
    found = by_name(prior_rows(items(made), 0))
    assert found["label prior, leave one out"].credit[0] == 1.0
    assert found["label prior, raw counts"].credit[0] == 0.0


def test_presence_comes_before_the_prior():
    made = quartets(6)
    inside = {q.clip_id: {q.options[0], q.options[1]} for q in made}
    events = {clip: {label: [(0.0, 1.0)] for label in labels} for clip, labels in inside.items()}
    found = by_name(prior_rows(items(made, events=events), 0))
    expected = slow_prior(made, list(range(len(made))), inside)
    assert found["presence + prior, leave one out"].credit == pytest.approx(expected)


def test_the_in_clip_prior_learns_where_a_label_sounds():
    # "Dog" is right whenever it sounds; it is shown four times as often without sounding.
    made, events = [], {}
    for n in range(40):
        sounds = n % 5 == 0
        clip = f"{n:02}"
        made.append(question(("Dog", f"a{n % 3}", f"b{n % 3}", "z"), 0 if sounds else 1, clip=clip))
        events[clip] = {f"a{n % 3}": [(0.0, 1.0)], **({"Dog": [(2.0, 3.0)]} if sounds else {})}
    found = by_name(prior_rows(items(made, events=events), 0))
    assert found["presence + in-clip prior, 10 folds"].credit.mean() == 1.0
    assert found["presence + prior, 10 folds"].credit.mean() < 0.9


def test_balanced_quartets_are_at_chance_for_folds_and_at_zero_for_leave_one_out():
    made = items(quartets(20))
    found = by_name(prior_rows(made, 0))
    assert found["label prior, leave one out"].credit.mean() == 0.0
    assert found["label prior, leave cluster out"].credit.mean() == pytest.approx(0.25)
    assert found["label prior, 10 folds"].credit.mean() == pytest.approx(0.25)
    balance = label_balance(made, 0)
    assert balance["balanced"] is True
    assert balance["p"] == 1.0


def test_folds_depend_on_the_seed_and_not_on_the_order_of_rows():
    plain = random_set(120)
    turned = replace(plain, questions=plain.questions[::-1])
    one, other = (
        {q.id: c for q, c in zip(made.questions, row.credit, strict=True)}
        for made in (items_of(plain)[0], items_of(turned)[0])
        for row in [by_name(prior_rows(made, 0))["label prior, 10 folds"]]
    )
    assert one == pytest.approx(other)
    again = by_name(prior_rows(items_of(plain)[0], 1))["label prior, 10 folds"].credit
    assert list(one.values()) != list(again)


def test_one_label_that_is_always_right_is_named():
    made = [
        question((f"a{n % 4}", f"b{n % 5}", "Dog", f"c{n % 6}"), 2, clip=str(n)) for n in range(40)
    ]
    balance = label_balance(items(made), 0)
    assert (balance["label"], balance["right"], balance["shown"]) == ("Dog", 40, 40)
    assert balance["balanced"] is False
    assert balance["p"] == pytest.approx(0.001)


def test_balance_of_random_labels_is_rejected_as_often_as_it_should_be():
    p = [
        label_balance(items_of(random_set(60, seed))[0], seed, draws=99)["p"] for seed in range(80)
    ]
    assert np.mean(np.array(p) <= 0.05) < 0.15
    assert 0.35 < np.mean(p) < 0.65


# ---------------------------------------------------------------------- letters


def lettered(letters):
    return items(
        [
            question((f"a{n}", f"b{n}", f"c{n}", f"d{n}"), "ABCD".index(letter), clip=f"{n:04}")
            for n, letter in enumerate(letters)
        ]
    )


def test_a_cycle_of_letters_is_found():
    made = lettered("ABCD" * 20)
    found = by_name(letter_rows(made, 0))
    assert found["letter cycle"].credit.mean() == 1.0
    assert len(found["letter cycle"].credit) == 79  # the first row follows none
    assert found["letter prior, leave one out"].credit.mean() == 0.0
    assert found["best fixed letter, in sample"].credit.mean() == 0.25
    order = letter_order(made)
    assert order["counts"] == {"A": 20, "B": 20, "C": 20, "D": 20}
    assert (order["period"], order["period_share"], order["longest_run"]) == (4, 1.0, 1)
    assert order["p_uniform"] == 1.0


def test_a_transition_does_not_predict_itself():
    found = by_name(letter_rows(lettered("AB"), 0))
    assert found["letter cycle"].credit.tolist() == [0.25]


def test_a_longer_period_and_runs():
    order = letter_order(lettered("AABBCD" * 30))
    assert (order["period"], order["longest_run"]) == (6, 2)
    assert order["p_uniform"] < 0.01


def test_random_letters_have_no_period():
    letters = "".join("ABCD"[i] for i in np.random.default_rng(0).integers(4, size=400))
    order = letter_order(lettered(letters))
    assert order["period"] is None
    found = by_name(letter_rows(lettered(letters), 0))
    assert abs(found["letter cycle"].credit.mean() - 0.25) < 0.09


def test_one_letter_too_often():
    made = lettered("AAAB" * 10 + "CD")
    found = by_name(letter_rows(made, 0))
    assert found["best fixed letter, in sample"].credit.mean() == pytest.approx(30 / 42)
    assert found["letter prior, leave one out"].credit.mean() == pytest.approx(30 / 42)
    assert found["letter prior, 10 folds"].credit.mean() == pytest.approx(30 / 42)


def test_the_order_starts_anew_in_every_table():
    made = lettered("AB" * 10)
    plain = plain_set(made.questions)
    places = tuple(("one" if n < 10 else "two", n) for n in range(20))
    (split,) = items_of(replace(plain, places=places))
    assert len(by_name(letter_rows(split, 0))["letter cycle"].credit) == 18

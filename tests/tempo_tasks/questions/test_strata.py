"""Strata against a brute-force grid, bins at their edges, and what is unknown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempo_tasks.questions import strata as of_items
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.questions import LETTERS, Kind, Question
from tempo_tasks.questions.strata import STRATA, Strata, bins_of, strata_of

LABELS = ("Dog", "Cat", "Rain", "Bell", "Wind", "Siren")
SPANS = st.tuples(st.integers(0, 400), st.integers(1, 200))  # start and length, centiseconds


def question(answer="A", options=LABELS[:4], kind=Kind.EO, n_present=None):
    return Question("1.mp3/eo", "1.mp3", kind, tuple(options), answer, n_present)


def clip(**spans):
    return Clip("1.mp3", tuple(Event(label, tuple(found)) for label, found in spans.items()))


@st.composite
def annotated(draw):
    """Centisecond spans by label, and a question whose answer is one of the labels."""
    labels = draw(st.lists(st.sampled_from(LABELS), min_size=1, max_size=5, unique=True))
    spans = {label: draw(st.lists(SPANS, min_size=1, max_size=4)) for label in labels}
    others = draw(st.permutations([label for label in LABELS if label != labels[0]]))[:3]
    place = draw(st.integers(0, 3))
    options = [*others[:place], labels[0], *others[place:]]
    return spans, question(LETTERS[place], options, draw(st.sampled_from(Kind)))


@given(annotated())
@settings(max_examples=200)
def test_strata_are_those_counted_on_a_grid(case):
    spans, asked = case
    ticks = {
        label: {tick for start, n in found for tick in range(start, start + n)}
        for label, found in spans.items()
    }
    mine = ticks[asked.answer_text]
    others = {label: found for label, found in ticks.items() if label != asked.answer_text}
    rank = {Kind.EO: lambda t: -min(t), Kind.LO: max, Kind.LD: len}[asked.kind]
    margin = min((rank(mine) - rank(found) for found in others.values()), default=None)

    strata = strata_of(
        asked,
        clip(**{label: [(s / 100, (s + n) / 100) for s, n in t] for label, t in spans.items()}),
    )
    assert strata.n_present == len(set(spans) & set(asked.options))
    assert strata.n_intervals == sum(tick - 1 not in mine for tick in mine)
    assert strata.overlap == pytest.approx(
        len(mine & set().union(*others.values())) / len(mine), abs=1e-9
    )
    if margin is None:
        assert strata.margin is None
    else:
        assert strata.margin == pytest.approx(margin / 100, abs=1e-9)


@pytest.mark.parametrize(
    ("mine", "theirs", "overlap"),
    [
        ([(1, 3)], [(3, 5)], 0),  # they touch
        ([(1, 3)], [(0, 9)], 1),
        ([(1, 3)], [(1, 2)], 0.5),
        ([(1, 3), (5, 7)], [(2, 6)], 0.5),
        ([(1, 3), (5, 7)], [(3, 5)], 0),
        ([(0, 10)], [(1, 2), (3, 4)], 0.2),
    ],
)
def test_overlap(mine, theirs, overlap):
    assert strata_of(question(), clip(Dog=mine, Wind=theirs)).overlap == pytest.approx(overlap)


def test_time_that_two_others_share_counts_once():
    strata = strata_of(question(), clip(Dog=[(0, 10)], Cat=[(2, 6)], Wind=[(4, 7), (9, 12)]))
    assert strata.overlap == pytest.approx(0.6)


def test_the_margin_is_over_every_event_and_not_the_options_alone():
    strata = strata_of(question(), clip(Dog=[(1, 2)], Cat=[(9, 12)], Wind=[(3, 4)]))
    assert strata == Strata(n_present=2, margin=2.0, overlap=0.0, n_intervals=1)


def test_the_margin_of_a_wrong_answer_is_negative():
    assert strata_of(question(), clip(Dog=[(4, 5)], Wind=[(1, 2)])).margin == -3.0


def test_a_single_event_leads_nothing():
    assert strata_of(question(), clip(Dog=[(1, 2), (3, 4)])) == Strata(1, None, 0.0, 2)


@pytest.mark.parametrize("unknown", [None, Clip("1.mp3", ())])
def test_of_an_unknown_clip_only_what_the_question_says_is_known(unknown):
    assert strata_of(question(), unknown) == Strata()
    assert strata_of(question(n_present=3), unknown) == Strata(n_present=3)


def test_intervals_come_before_what_the_question_says():
    assert strata_of(question(n_present=4), clip(Dog=[(1, 2)], Cat=[(3, 4)])).n_present == 2


def test_of_an_absent_answer_only_the_presence_is_known():
    assert strata_of(question("D"), clip(Dog=[(1, 2)], Cat=[(3, 4)])) == Strata(n_present=2)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("n_present", 0, "0"),
        ("n_present", 4, "4"),
        ("margin", -2.0, "under 1 s"),
        ("margin", 0.0, "under 1 s"),
        ("margin", 0.99, "under 1 s"),
        ("margin", 1.0, "1 to 2 s"),
        ("margin", 2.28 - 1.28, "1 to 2 s"),  # 0.9999999999999998
        ("margin", 1.99, "1 to 2 s"),
        ("margin", 2.0, "2 to 4 s"),
        ("margin", 4.0, "4 to 8 s"),
        ("margin", 7.99, "4 to 8 s"),
        ("margin", 8.0, "8 s or more"),
        ("margin", 30.0, "8 s or more"),
        ("overlap", 0.0, "none"),
        ("overlap", 0.001, "under half"),
        ("overlap", 0.49, "under half"),
        ("overlap", 0.5, "half or more"),
        ("overlap", 1.0, "half or more"),
        ("n_intervals", 1, "1"),
        ("n_intervals", 2, "2"),
        ("n_intervals", 3, "3 or more"),
        ("n_intervals", 17, "3 or more"),
    ],
)
def test_bins_at_their_edges(name, value, expected):
    assert bins_of({name: value}) == {name: expected}


@given(
    st.integers(0, 2500),
    st.integers(1, 300),
)
def test_half_of_a_decimal_interval_is_half(start, half):
    """The other event covers the first half exactly, whatever the times are in binary."""
    mine = (start / 100, (start + 2 * half) / 100)
    theirs = (start / 100, (start + half) / 100)
    strata = strata_of(question(), clip(Dog=[mine], Wind=[theirs]))
    assert bins_of({"overlap": strata.overlap}) == {"overlap": "half or more"}


def test_bins_of_what_is_known():
    assert bins_of({"n_present": 2, "margin": None, "question": "?"}) == {"n_present": "2"}
    assert bins_of({}) == {}
    assert set(bins_of(dict.fromkeys(STRATA, 1))) == set(STRATA)
    assert set(STRATA) == set(Strata.__slots__)


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        ({}, None),
        ({"n_present": None}, None),
        ({"n_present": 1}, False),
        ({"n_present": 2}, True),
        ({"n_present": 4}, True),
    ],
)
def test_an_item_tests_time_from_two_options_in_the_clip_on(doc, expected):
    assert of_items.tests_time(doc) is expected

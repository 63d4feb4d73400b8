"""Events as unions of intervals; clips that do not depend on the order of annotation."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_tasks.errors import EventError
from tempo_tasks.questions.events import Clip, Event, merge_intervals

intervals = st.lists(
    st.tuples(st.integers(0, 2900), st.integers(1, 500)).map(lambda p: (p[0], p[0] + p[1])),
    min_size=1,
    max_size=8,
)


def test_an_event_is_the_union_of_its_intervals():
    barking = Event("Dog Barking", ((4.0, 5.5), (1.0, 2.0), (5.0, 6.0)))
    assert barking.intervals == ((1.0, 2.0), (4.0, 6.0))
    assert (barking.onset, barking.offset, barking.duration) == (1.0, 6.0, 3.0)


def test_touching_intervals_become_one():
    assert merge_intervals([(1, 2), (2, 3)]) == ((1.0, 3.0),)


@given(intervals)
def test_union_by_brute_force(pairs):
    covered = {tick for start, end in pairs for tick in range(start, end)}
    event = Event("x", tuple(pairs))
    assert {t for start, end in event.intervals for t in range(int(start), int(end))} == covered
    assert event.duration == len(covered)
    assert (event.onset, event.offset) == (min(covered), max(covered) + 1)
    gaps = zip(event.intervals, event.intervals[1:], strict=False)
    assert all(before[1] < after[0] for before, after in gaps)


@given(intervals, st.randoms())
def test_order_and_repetition_of_intervals_do_not_matter(pairs, random):
    again = pairs + pairs[:2]
    random.shuffle(again)
    assert Event("x", tuple(again)) == Event("x", tuple(pairs))


def test_a_clip_merges_events_of_one_label_and_sorts_them():
    clip = Clip("1.mp3", (Event("b", ((1, 2),)), Event("a", ((0, 1),)), Event("b", ((1.5, 3),))))
    assert clip.events == (Event("a", ((0, 1),)), Event("b", ((1, 3),)))
    assert clip.labels == {"a", "b"}
    assert clip == Clip("1.mp3", tuple(reversed(clip.events)), audio={"path": "elsewhere"})


@pytest.mark.parametrize(
    "interval", [(2.0, 1.0), (1.0, 1.0), (-0.1, 1.0), (0.0, math.nan), (math.nan, 1), (0, math.inf)]
)
def test_impossible_intervals_name_the_event(interval):
    with pytest.raises(EventError, match=r"event 'Rain': interval \(.*0 <= start < end"):
        Event("Rain", ((0.0, 1.0), interval))


def test_an_event_needs_a_label_and_an_interval():
    with pytest.raises(EventError, match="empty"):
        Event(" ", ((0.0, 1.0),))
    with pytest.raises(ValueError, match="'Rain' has no interval"):
        Event("Rain", ())

"""EO, LO and LD questions against brute force, and what a seed promises."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempo_tasks.errors import QuestionError
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.questions import (
    LETTERS,
    Kind,
    Question,
    build_questions,
    fingerprint,
    right_event,
)

LABELS = [f"Sound {letter}" for letter in "ABCDEFGHIJKL"]
SPANS = st.tuples(st.integers(0, 2500), st.integers(1, 900))  # start and length


@st.composite
def clip_lists(draw):
    """A few clips of 1-6 events with times in whole centiseconds, as annotations have them."""
    clips = []
    for number in range(draw(st.integers(1, 5))):
        events = []
        for label in draw(st.sets(st.sampled_from(LABELS), min_size=1, max_size=6)):
            spans = draw(st.lists(SPANS, min_size=1, max_size=3))
            events.append(Event(label, tuple((s / 100, (s + n) / 100) for s, n in spans)))
        clips.append(Clip(f"clip-{number}.mp3", tuple(events)))
    return clips


def scores(clip, kind):
    """What the right answer has most of, in whole centiseconds, by brute force."""
    ticks = {
        event.label: {
            tick for s, e in event.intervals for tick in range(round(s * 100), round(e * 100))
        }
        for event in clip.events
    }
    measure = {Kind.EO: lambda t: -min(t), Kind.LO: max, Kind.LD: len}[kind]
    return {label: measure(covered) for label, covered in ticks.items()}


kinds = st.sampled_from(Kind)
margins = st.sampled_from([0.01, 0.5, 1.0, 3.0])


@given(clip_lists(), kinds, margins, st.integers(0, 3))
@settings(max_examples=60)
def test_answers_are_right_and_margins_hold_over_every_other_event(clips, kind, margin, seed):
    questions = {
        q.clip_id: q for q in build_questions(clips, kind, seed=seed, margin=margin, labels=LABELS)
    }
    for clip in clips:
        ranked = sorted(scores(clip, kind).items(), key=lambda item: -item[1])
        has_answer = len(ranked) > 1 and ranked[0][1] - ranked[1][1] >= round(margin * 100)
        assert (clip.id in questions) == has_answer
        if has_answer:
            assert questions[clip.id].answer_text == ranked[0][0]


@given(clip_lists(), kinds)
@settings(max_examples=60)
def test_options_are_four_distinct_labels_those_of_the_clip_first(clips, kind):
    by_id = {clip.id: clip for clip in clips}
    questions = build_questions(clips, kind, labels=LABELS)
    assert len({q.clip_id for q in questions}) == len(questions)  # at most one a clip
    for question in questions:
        clip = by_id[question.clip_id]
        assert len(set(question.options)) == 4
        assert set(question.options) <= set(LABELS)
        assert question.n_present == min(4, len(clip.events))
        assert len(clip.labels & set(question.options)) == question.n_present


@given(clip_lists(), kinds, st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_nothing_depends_on_the_order_of_clips_events_or_labels(clips, kind, shuffle):
    mixed = [Clip(c.id, tuple(shuffle.sample(c.events, len(c.events)))) for c in clips]
    shuffle.shuffle(mixed)
    names = shuffle.sample(LABELS, len(LABELS))
    assert build_questions(mixed, kind, labels=names) == build_questions(
        clips, kind, labels=set(LABELS)
    )


def many_clips(count=402):
    """Clips of three events with a right answer of every kind, the same ones for ever."""
    return [
        Clip(
            f"{number}.mp3",
            tuple(
                Event(LABELS[(7 * number + step) % 12], ((2.0 * rank, 3.5 * rank + 1),))
                for rank, step in enumerate((0, 1, 5))
            ),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("kind", Kind)
def test_letters_are_balanced_and_no_cycle(kind):
    letters = [q.answer for q in build_questions(many_clips(), kind, labels=LABELS)]
    counts = Counter(letters)
    assert len(letters) == 402
    assert max(counts.values()) - min(counts.values()) <= 1
    for period in range(1, 9):
        repeats = sum(a == b for a, b in zip(letters, letters[period:], strict=False))
        assert repeats / len(letters) < 0.4  # a cycle repeats always, chance in 25 %
    steps = Counter(pairwise(letters))
    assert len(steps) == 16


def test_a_seed_gives_the_same_bytes_on_every_machine():
    golden = {
        Kind.EO: "d5c8fdb2023c488a78025eb79c69dfcd6131123483649306b271864b1dd14c13",
        Kind.LO: "91218daf692fad43c218e543d64453b697aff57208068298dbee5251de63abb2",
        Kind.LD: "601a5bce798542592f6e5d1036cf789e67ada851251abecb47ab750822fe3216",
    }
    for kind, expected in golden.items():
        assert fingerprint(build_questions(many_clips(20), kind, labels=LABELS)) == expected


def test_another_seed_gives_other_options_and_the_same_answers():
    first, second = (
        build_questions(many_clips(40), Kind.EO, seed=s, labels=LABELS) for s in (0, 1)
    )
    assert fingerprint(first) != fingerprint(second)
    assert [q.answer_text for q in first] == [q.answer_text for q in second]


def test_several_questions_a_clip_have_different_options():
    clips = many_clips(30)
    questions = build_questions(clips, Kind.LO, per_clip=3, labels=LABELS)
    assert len({q.id for q in questions}) == len(questions)
    assert Counter(q.clip_id for q in questions).most_common(1)[0][1] == 3
    assert len({(q.clip_id, frozenset(q.options)) for q in questions}) == len(questions)
    # Asking for more changes none of the first ones but their letters.
    first = {q.id: set(q.options) for q in questions}
    for question in build_questions(clips, Kind.LO, labels=LABELS):
        assert first[question.id] == set(question.options)


def test_margin_is_exact_for_decimal_times():
    # 2.28 - 1.28 is 0.9999999999999998 in binary floating point.
    clip = Clip("1.mp3", (Event("a", ((1.28, 5),)), Event("b", ((2.28, 5),))))
    assert right_event(clip, Kind.EO, 1.0).label == "a"
    assert right_event(clip, Kind.EO, 1.01) is None


def test_a_clip_with_one_event_has_no_question_unless_wanted():
    clips = [Clip("1.mp3", (Event("a", ((0, 1),)),))]
    assert build_questions(clips, Kind.EO, labels=LABELS) == []
    assert build_questions(clips, Kind.EO, labels=LABELS, min_events=1)[0].n_present == 1


def test_min_present_keeps_what_presence_alone_cannot_answer():
    clips = [*many_clips(5), Clip("two", (Event("a", ((0, 1),)), Event("b", ((2, 9),))))]
    assert len(build_questions(clips, Kind.EO, labels=LABELS)) == 6
    assert len(build_questions(clips, Kind.EO, labels=LABELS, min_present=3)) == 5


def test_wording_is_the_released_one():
    assert [kind.text for kind in Kind] == [
        "Which sound event starts earliest in the given audio?",
        "Which sound event ends latest in the given audio?",
        "Which sound event has the longest duration in the given audio?",
    ]
    assert all(kind.keyword in kind.text for kind in Kind)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": 0}, "margin must be positive"),
        ({"per_clip": 0}, "per_clip=0"),
        ({"min_events": 0}, "min_events=0"),
        ({"min_present": 5}, "min_present=5"),
        ({"labels": []}, "four options need four labels, found 3"),
    ],
)
def test_bad_parameters(change, message):
    with pytest.raises(QuestionError, match=message):
        build_questions(many_clips(2), Kind.EO, **{"labels": LABELS, **change})


def test_two_clips_with_one_id():
    with pytest.raises(QuestionError, match=r"two clips have the id '0\.mp3'"):
        build_questions(many_clips(2) + many_clips(1), Kind.EO, labels=LABELS)


def test_malformed_questions_name_the_item():
    with pytest.raises(QuestionError, match=r"1\.mp3/eo: expected four distinct options"):
        Question("1.mp3/eo", "1.mp3", Kind.EO, ("a", "b", "c", "a"), "A")
    with pytest.raises(ValueError, match=r"1\.mp3/eo: the answer must be A, B, C or D, not 'a'"):
        Question("1.mp3/eo", "1.mp3", Kind.EO, ("a", "b", "c", "d"), "a")


def test_questions_are_plain_json():
    question = Question("1.mp3/eo", "1.mp3", Kind.EO, ("a", "b", "c", "d"), "C", 2)
    assert question.to_dict() == {
        "id": "1.mp3/eo",
        "clip_id": "1.mp3",
        "kind": "eo",
        "options": ["a", "b", "c", "d"],
        "answer": "C",
        "n_present": 2,
    }
    assert question.answer_text == question.options[LETTERS.index("C")]


def crowded_clips(count=20):
    """Clips of five to eight events: more than a question has options."""
    return [
        Clip(
            f"{number}.mp3",
            tuple(
                Event(LABELS[(7 * number + 5 * rank) % 12], ((2.0 * rank, 3.5 * rank + 1),))
                for rank in range(5 + number % 4)
            ),
        )
        for number in range(count)
    ]


def test_distractors_of_clips_with_more_events_than_options_never_change():
    golden = {
        Kind.EO: "eb76a4a0b144d50e4030266226d399659672e7acd6810f17925cea5467c12c69",
        Kind.LO: "7568c1c3f7f4c604d8c0b10fd0e6e2cd38ef5eeb9a5e25e9105980f8f92235af",
        Kind.LD: "06d068c52f6cebe8db44947f17dee5b3404b3c46818ff864d881166713858a03",
    }
    for kind, expected in golden.items():
        questions = build_questions(crowded_clips(), kind, labels=LABELS)
        assert {question.n_present for question in questions} == {4}
        assert fingerprint(questions) == expected
    # Which events are shown is drawn for each clip, not the first ones by name.
    by_id = {clip.id: clip for clip in crowded_clips()}
    first = [
        set(sorted(by_id[q.clip_id].labels - {q.answer_text})[:3])
        == set(q.options) - {q.answer_text}
        for q in questions
    ]
    assert not all(first)


def test_min_events_three_leaves_out_clips_of_two():
    two = Clip("two.mp3", (Event("a", ((0, 1),)), Event("b", ((2, 9),))))
    three = Clip("three.mp3", (*two.events, Event("c", ((20, 21),))))
    asked = {
        number: [
            q.clip_id
            for q in build_questions([two, three], Kind.EO, labels=LABELS, min_events=number)
        ]
        for number in (2, 3, 4)
    }
    assert asked == {2: ["three.mp3", "two.mp3"], 3: ["three.mp3"], 4: []}


def test_absent_distractors_sound_like_no_other_option():
    clips = [
        Clip(f"{n}", (Event("Rain", ((0.0, 1.0),)), Event("Dog", ((3.0, 9.0),)))) for n in range(40)
    ]
    pool = ("Rain", "Sea", "Dog", "Wolf", "Bell", "Gong", "Siren")
    near = (("Rain", "Sea"), ("Dog", "Wolf"), ("Bell", "Gong"))
    alike = {one: {other} for pair in near for one, other in (pair, pair[::-1])}
    made = build_questions(clips, Kind.EO, labels=pool, alike=alike)
    shown = {option for question in made for option in question.options}
    assert shown == {"Rain", "Dog", "Bell", "Gong", "Siren"}
    assert not any({"Bell", "Gong"} <= set(question.options) for question in made)
    with pytest.raises(QuestionError, match="four options need four labels, found 3"):
        build_questions(clips, Kind.EO, labels=pool[:6], alike=alike)

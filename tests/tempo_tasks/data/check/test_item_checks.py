"""One question against its clip's intervals: each kind of finding, and brute force."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempo_tasks.data.check.findings import What
from tempo_tasks.data.check.item_checks import Rule, Vocabulary, check_item
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.questions import LETTERS, Kind, Question

LABELS = ("Dog Barking", "Cat", "Rain", "Bell", "Wind", "Siren")
MARGINS = {kind: kind.released_margin for kind in Kind}
PLACE = ("eo.csv", 7)


def clip(**spans):
    """A clip whose events are named by their first letter: d=(1, 2) is a dog from 1 to 2 s."""
    names = {label[0].lower(): label for label in LABELS}
    return Clip("1.mp3", tuple(Event(names[key], (span,)) for key, span in spans.items()))


def question(answer="A", options=LABELS[:4], kind=Kind.EO):
    return Question(f"1.mp3/{kind.value}", "1.mp3", kind, tuple(options), answer)


def checked(asked, events, *, labels=LABELS, repair=False, margins=MARGINS):
    return check_item(asked, PLACE, events, Rule(margins, Vocabulary(labels), repair))


def whats(findings):
    return [finding.what for finding in findings]


def test_a_right_answer_with_its_margin_and_distractors():
    item, findings = checked(question(), clip(d=(1, 2), c=(3.5, 9), w=(4, 5), s=(6, 7)))
    assert findings == []
    assert (item.right, item.margin, item.required) == ("Dog Barking", 2.5, 1.0)
    assert item.in_clip == ("A", "B")
    assert item.left_out == 2  # Wind and Siren could have stood for Rain and Bell
    assert (item.item, item.kind, item.clip) == ("1.mp3/eo", "eo", "1.mp3")
    assert (item.table, item.row, item.answer, item.answer_text) == (*PLACE, "A", "Dog Barking")


@pytest.mark.parametrize(
    ("events", "expected"),
    [({"d": (1, 2), "c": (3, 4)}, 0), ({"d": (1, 2), "c": (3, 4), "w": (3, 4)}, 1)],
)
def test_events_left_out_are_those_that_are_no_option(events, expected):
    item, _ = checked(question(), clip(**events))
    assert item.left_out == expected


def test_nothing_was_left_out_where_all_options_occur():
    item, _ = checked(question(), clip(d=(1, 2), c=(3, 4), r=(3, 4), b=(3, 4), w=(3, 4)))
    assert item.in_clip == ("A", "B", "C", "D")
    assert item.left_out == 0


def test_a_wrong_answer_names_both_labels_their_times_and_the_lead():
    item, findings = checked(question("B"), clip(d=(1, 2), c=(3.5, 9)))
    assert whats(findings) == [What.WRONG_ANSWER, What.BAD_DISTRACTOR]
    first, second = findings
    assert first.found == "B 'Cat' (starts at 3.5 s) is marked right, 2.5 s behind"
    assert first.expected == "expected A 'Dog Barking' (starts at 1 s)"
    assert second.found == "A 'Dog Barking' (starts at 1 s) is 2.5 s ahead of the answer"
    assert (first.table, first.row, first.item, first.kind) == (*PLACE, "1.mp3/eo", "eo")
    assert (item.right, item.margin) == ("Dog Barking", -2.5)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (Kind.EO, "D 'Bell' (starts at 6 s)"),
        (Kind.LO, "D 'Bell' (ends at 7.25 s)"),
        (Kind.LD, "D 'Bell' (lasts 1.25 s)"),
    ],
)
def test_the_time_shown_is_the_one_that_is_asked_for(kind, found):
    _, (finding, *_) = checked(question("D", kind=kind), clip(d=(1, 9), b=(6, 7.25)))
    assert finding.what is What.WRONG_ANSWER
    assert finding.found.startswith(found)


def test_an_event_that_is_no_option_can_be_the_right_one():
    item, findings = checked(question(), clip(d=(1, 2), w=(0, 9)))
    assert whats(findings) == [What.WRONG_ANSWER]
    assert findings[0].expected == "expected 'Wind' (no option, starts at 0 s)"
    assert item.right == "Wind"


def test_the_answer_is_compared_with_the_first_of_those_before_it():
    _, findings = checked(question("C"), clip(d=(1, 2), c=(2, 9), r=(3, 4)))
    assert whats(findings) == [What.WRONG_ANSWER, What.BAD_DISTRACTOR, What.BAD_DISTRACTOR]
    assert "2 s behind" in findings[0].found
    assert "'Dog Barking'" in findings[0].expected


def test_a_tie():
    item, findings = checked(question(), clip(d=(1, 2), c=(1, 9)))
    assert whats(findings) == [What.TIE, What.BAD_DISTRACTOR]
    assert "B 'Cat' (starts at 1 s): a tie" in findings[0].found
    assert findings[1].found.endswith("ties with the answer")
    assert (item.right, item.margin) == (None, 0)


def test_a_tie_of_decimal_times_that_differ_in_binary():
    # 0.1 + 0.2 s in two intervals, and 0.3 s in one.
    events = Clip("1.mp3", (Event("Cat", ((0, 0.1), (1, 1.2))), Event("Rain", ((2, 2.3),))))
    for answer in "BC":
        item, findings = checked(question(answer, kind=Kind.LD), events)
        assert What.TIE in whats(findings)
        assert item.right is None


def test_a_small_margin_names_the_nearest_rival():
    item, findings = checked(question(), clip(d=(1, 2), c=(1.99, 9), w=(1.5, 3), r=(8, 9)))
    assert whats(findings) == [What.SMALL_MARGIN]
    assert findings[0].found == (
        "A 'Dog Barking' (starts at 1 s) is marked right and 'Wind' (no option, starts at 1.5 s): "
        "a margin of 0.5 s"
    )
    assert findings[0].expected == "expected 1 s or more"
    assert item.right == "Dog Barking"
    assert not findings[0].what.is_note


def test_margins_are_exact_for_decimal_times():
    assert checked(question(), clip(d=(1.28, 2), c=(2.28, 9)))[1] == []  # 0.9999999999999998
    below = checked(question(), clip(d=(1.28, 2), c=(2.279, 9)))[1]
    assert whats(below) == [What.SMALL_MARGIN]


@pytest.mark.parametrize(
    ("kind", "lead", "agrees"),
    [
        (Kind.EO, 1.0, True),
        (Kind.EO, 0.99, False),
        (Kind.LO, 1.0, True),
        (Kind.LO, 0.99, False),
        (Kind.LD, 3.0, True),
        (Kind.LD, 2.99, False),
    ],
)
def test_the_required_margins_are_the_released_ones(kind, lead, agrees):
    events = {
        Kind.EO: clip(d=(5 - lead, 6), c=(5, 9)),
        Kind.LO: clip(d=(1, 9 + lead), c=(1, 9)),
        Kind.LD: clip(d=(0, 2 + lead), c=(3, 5)),
    }[kind]
    assert whats(checked(question(kind=kind), events)[1]) == ([] if agrees else [What.SMALL_MARGIN])


def test_an_absent_answer_is_one_finding():
    item, findings = checked(question("D"), clip(d=(1, 2), c=(3, 9)))
    assert whats(findings) == [What.ABSENT_ANSWER]
    assert findings[0].found == "D 'Bell' is marked right and is no event of 1.mp3"
    assert item.margin is None
    assert item.right == "Dog Barking"


def test_a_single_event_is_a_note():
    item, findings = checked(question(), clip(d=(1, 2)))
    assert whats(findings) == [What.ONE_EVENT]
    assert findings[0].what.is_note
    assert item.margin is None


def test_a_clip_without_intervals_cannot_be_checked():
    for missing in (None, Clip("1.mp3", ())):
        item, findings = checked(question(), missing)
        assert whats(findings) == [What.NO_INTERVALS]
        assert "no interval of 1.mp3" in findings[0].found
        assert (item.right, item.margin, item.in_clip, item.left_out) == (None, None, None, 0)


@pytest.mark.parametrize("other", ["dog barking", "Dog_Barking", "DOG  BARKING", "dog_ barking"])
def test_options_that_differ_in_spelling_only(other):
    asked = question(options=("Dog Barking", "Cat", "Rain", other))
    _, findings = checked(asked, clip(d=(1, 2), c=(3, 9)))
    assert whats(findings) == [What.OPTIONS_ALIKE, What.SPELLING]
    assert f"options A 'Dog Barking' and D {other!r}" in findings[0].found


def test_an_option_in_another_spelling_than_the_label():
    asked = question(options=("dog_barking", "Cat", "Rain", "Bell"))
    events = clip(d=(1, 2), c=(3, 9))
    _, findings = checked(asked, events)
    assert whats(findings) == [What.SPELLING, What.ABSENT_ANSWER]
    assert findings[0].found.startswith("option A 'dog_barking'")
    assert "'Dog Barking'" in findings[0].expected
    repaired, notes = checked(asked, events, repair=True)
    assert whats(notes) == [What.REPAIR]
    assert "option A 'dog_barking'" in notes[0].found
    assert "'Dog Barking'" in notes[0].found
    assert (repaired.answer_text, repaired.margin, repaired.in_clip) == (
        "Dog Barking",
        2,
        ("A", "B"),
    )


def test_options_alike_are_not_repaired():
    asked = question(options=("Dog Barking", "Cat", "Rain", "dog barking"))
    _, findings = checked(asked, clip(d=(1, 2), c=(3, 9)), repair=True)
    assert What.OPTIONS_ALIKE in whats(findings)


def test_an_option_that_is_no_label_is_a_note():
    asked = question(options=("Dog Barking", "Cat", "Whirring", "Bell"))
    _, findings = checked(asked, clip(d=(1, 2), c=(3, 9)))
    assert whats(findings) == [What.UNKNOWN_OPTION]
    assert findings[0].what.is_note
    assert "option C 'Whirring'" in findings[0].found
    assert checked(asked, clip(d=(1, 2), c=(3, 9)), labels=(*LABELS, "Whirring"))[1] == []


SPANS = st.tuples(st.integers(0, 1500), st.integers(1, 600))  # start and length, centiseconds


@st.composite
def annotated(draw):
    """Centisecond spans by label, and a question about them."""
    spans = {
        label: draw(st.lists(SPANS, min_size=1, max_size=2))
        for label in draw(st.sets(st.sampled_from(LABELS), min_size=1, max_size=5))
    }
    options = draw(st.permutations(LABELS))[:4]
    asked = question(draw(st.sampled_from(LETTERS)), options, draw(st.sampled_from(Kind)))
    return spans, asked


@given(annotated())
@settings(max_examples=150)
def test_findings_are_those_of_brute_force_on_a_grid(case):
    spans, asked = case
    ticks = {
        label: {tick for start, n in found for tick in range(start, start + n)}
        for label, found in spans.items()
    }
    rank = {Kind.EO: lambda t: -min(t), Kind.LO: max, Kind.LD: len}[asked.kind]
    scores = {label: rank(found) for label, found in ticks.items()}
    right = asked.answer_text
    expected = []
    if right not in scores:
        expected.append(What.ABSENT_ANSWER)
    elif len(scores) == 1:
        expected.append(What.ONE_EVENT)
    else:
        lead = scores[right] - max(score for label, score in scores.items() if label != right)
        required = 300 if asked.kind is Kind.LD else 100
        if lead < required:
            small = What.TIE if lead == 0 else What.SMALL_MARGIN
            expected.append(What.WRONG_ANSWER if lead < 0 else small)
        ahead = [o for o in asked.options if o != right and scores.get(o, -1e9) >= scores[right]]
        expected += [What.BAD_DISTRACTOR] * len(ahead)

    events = Clip(
        "1.mp3",
        tuple(
            Event(label, tuple((s / 100, (s + n) / 100) for s, n in found))
            for label, found in spans.items()
        ),
    )
    item, findings = checked(asked, events)
    assert whats(findings) == expected
    best = [label for label, score in scores.items() if score == max(scores.values())]
    assert item.right == (best[0] if len(best) == 1 else None)
    assert item.in_clip == tuple(
        letter for letter, option in zip(LETTERS, asked.options, strict=True) if option in scores
    )

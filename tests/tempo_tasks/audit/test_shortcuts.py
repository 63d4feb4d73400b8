"""Strategies on hand-made sets with known answers, on a set without shortcuts, and planted ones."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tempo_tasks.audit.assemble import audit
from tempo_tasks.audit.item_arrays import items_of
from tempo_tasks.audit.shortcuts import (
    caption_rows,
    mentions,
    presence_rows,
    text_rows,
    time_rows,
    words,
)
from tempo_tasks.questions.questions import Kind
from tests.support.audit_sets import POOL, items, plain_set, question, random_set

OPTIONS = ("Dog", "Church Bell", "Rain", "Cat Meowing")


def scores(rows):
    """Accuracy by strategy."""
    return {row.strategy.name: float(row.credit.mean()) for row in rows}


# ---------------------------------------------------------------------- presence


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (["Dog"], 1.0),
        (["Dog", "Rain"], 1 / 2),
        (["Dog", "Rain", "Cat Meowing", "Wind"], 1 / 3),
        (OPTIONS, 1 / 4),
        (["Rain", "Church Bell"], 0.0),  # the right one is not annotated
        (["Wind"], 1 / 4),  # nothing to choose by
    ],
)
def test_presence_guesses_among_the_options_in_the_clip(present, expected):
    events = {"clip": {label: [(0.0, 1.0)] for label in present}}
    (row,) = presence_rows(items([question(OPTIONS, 0)], events=events))
    assert row.credit.tolist() == [pytest.approx(expected)]


def test_presence_is_tried_only_where_events_are_known():
    two = [question(OPTIONS, 0), question(OPTIONS, 0, clip="unknown")]
    (row,) = presence_rows(items(two, events={"clip": {"Dog": [(0.0, 1.0)]}}))
    assert row.credit.tolist() == [1.0]
    assert presence_rows(items(two)) == []


# ---------------------------------------------------------------------- text


def test_text_strategies_choose_what_they_say():
    right_is = {
        "longest, characters": "Church Bell",  # as long as "Cat Meowing"
        "longest, words": "Church Bell",
        "shortest, characters": "Dog",
        "first in the alphabet": "Cat Meowing",
    }
    for name, label in right_is.items():
        found = scores(text_rows(items([question(OPTIONS, OPTIONS.index(label))])))
        shared = 0.5 if name.startswith("longest") else 1.0
        assert found[name] == shared
        assert found["most often shown"] == 0.25


def test_alphabet_is_that_of_a_reader_not_of_the_code():
    found = scores(text_rows(items([question(("apple", "Zebra", "Yak", "Xerus"), 0)])))
    assert found["first in the alphabet"] == 1.0


def test_label_frequencies_leave_the_clip_itself_out():
    events = {
        "clip": {"Rain": [(0.0, 1.0)]},
        "one": {"Dog": [(0.0, 1.0)], "Church Bell": [(0.0, 1.0)]},
        "two": {"Dog": [(0.0, 1.0)], "Cat Meowing": [(0.0, 1.0)]},
    }
    common = scores(text_rows(items([question(OPTIONS, 0)], events=events)))
    assert common["in most clips"] == 1.0
    # With its own clip counted, Rain would tie with two others.
    rare = scores(text_rows(items([question(OPTIONS, 2)], events=events)))
    assert rare["in fewest clips"] == 1.0


def test_the_label_shown_most_often_is_chosen():
    others = [question(("Dog", f"x{n}", f"y{n}", f"z{n}"), 1, n=n, clip=str(n)) for n in range(3)]
    row = next(
        row
        for row in text_rows(items([question(OPTIONS, 0), *others]))
        if row.strategy.name == "most often shown"
    )
    assert row.credit.tolist() == [1.0, 0.0, 0.0, 0.0]


# ---------------------------------------------------------------------- captions


def test_words_stand_in_a_caption_one_after_the_other_in_any_case():
    caption = "A church bell, then the BELL of a church; stream/river."
    assert mentions("Church Bell", caption) == [1]
    assert mentions("bell", caption) == [2, 5]
    assert mentions("Stream_River", caption) == [9]
    assert mentions("Bell Church", caption) == []
    assert mentions("--", caption) == []
    assert words("Stream_River") == ["stream", "river"]


def test_caption_strategies():
    caption = {"clip": "Rain, then a dog in the rain, then a church bell and a dog."}
    found = {
        label: scores(caption_rows(items([question(OPTIONS, n)], captions=caption)))
        for n, label in enumerate(OPTIONS)
    }
    assert {label: found[label]["mentioned first in the caption"] for label in OPTIONS} == {
        "Dog": 0,
        "Church Bell": 0,
        "Rain": 1,
        "Cat Meowing": 0,
    }
    assert [found[label]["mentioned last in the caption"] for label in OPTIONS] == [1, 0, 0, 0]
    named = [found[label]["mentioned in the caption"] for label in OPTIONS]
    assert named == [pytest.approx(1 / 3)] * 3 + [0]


def test_a_caption_that_names_no_option_leaves_a_guess_and_is_not_covered():
    two = [question(OPTIONS, 0), question(OPTIONS, 0, clip="silent"), question(OPTIONS, 0, clip="")]
    rows = caption_rows(items(two, captions={"clip": "a dog", "silent": "nothing"}))
    for row in rows:
        assert row.credit.tolist() == [1.0, 0.25]
        assert row.decided.tolist() == [True, False]


# ---------------------------------------------------------------------- time, not the question

_EVENTS = {
    "clip": {
        "Dog": [(0.0, 1.0)],  # starts earliest
        "Church Bell": [(1.0, 9.4)],  # sounds longest
        "Rain": [(2.0, 3.0), (4.0, 5.0), (6.0, 7.0)],  # most intervals
        "Cat Meowing": [(1.5, 9.5)],  # ends latest, does not start latest
        "Wind": [(0.0, 10.0)],  # no option
    }
}
_ANSWERS = {
    "in the clip, starts earliest": "Dog",
    "in the clip, sounds longest": "Church Bell",
    "in the clip, most intervals": "Rain",
    "in the clip, ends latest": "Cat Meowing",
}


@pytest.mark.parametrize("kind", list(Kind))
def test_the_answers_to_other_questions(kind):
    own = {Kind.EO: "Dog", Kind.LO: "Cat Meowing", Kind.LD: "Church Bell"}[kind]
    for position, label in enumerate(OPTIONS):
        made = items([question(OPTIONS, position, kind=kind)], events=_EVENTS)
        expected = {
            name: float(answer == label) for name, answer in _ANSWERS.items() if answer != own
        }
        assert scores(time_rows(made)) == expected


# ---------------------------------------------------------------------- a set without shortcuts


def test_nothing_helps_on_a_random_set():
    (part,) = audit([random_set(800)])["parts"]
    assert len(part["shortcuts"]) > 18
    for row in part["shortcuts"]:
        if row["strategy"] == "presence only":
            assert row["accuracy"] == 0.25
        if row["strategy"] != "best fixed letter, in sample":
            # Four standard errors: one in 16,000 for each row.
            assert abs(row["accuracy"] - 0.25) < 4 * math.sqrt(0.25 * 0.75 / row["n"]), row
        assert row["p_holm"] is None or row["p_holm"] > 0.01
    assert part["verdict"]["tests_time"] == 1.0
    assert "No strategy that hears no time" in part["verdict"]["text"]


def _planted(choose):
    """A random set in which `choose(question, clip)` gives the right option of every other item."""
    plain = random_set(300, seed=3)
    questions = []
    for number, made in enumerate(plain.questions):
        if number % 2 == 0:
            position = choose(made, plain.clips[made.clip_id], plain.captions[made.clip_id])
            made = replace(made, answer="ABCD"[position])
        questions.append(made)
    return replace(plain, questions=tuple(questions))


def _label(key):
    return lambda made, clip, caption: max(range(4), key=lambda i: key(made.options[i]))


_EVENT = {"starts": lambda e: -e.onset, "ends": lambda e: e.offset, "lasts": lambda e: e.duration}


def _event(what):
    def choose(made, clip, caption):
        by_label = {event.label: event for event in clip.events}
        return max(range(4), key=lambda i: _EVENT[what](by_label[made.options[i]]))

    return choose


def _in_caption(sign):
    def choose(made, clip, caption):
        return max(range(4), key=lambda i: sign * caption.find(made.options[i].lower()))

    return choose


@pytest.mark.parametrize(
    ("strategy", "choose"),
    [
        ("first in the alphabet", _label(lambda label: -sorted(POOL).index(label))),
        ("longest, characters", _label(len)),
        ("longest, words", _label(lambda label: len(label.split()))),
        ("shortest, characters", _label(lambda label: -len(label))),
        ("label prior, leave one out", _label(lambda label: int(label[-1]))),
        ("label prior, raw counts", _label(lambda label: int(label[-1]))),
        ("label prior, 10 folds", _label(lambda label: int(label[-1]))),
        ("letter prior, leave one out", lambda made, clip, caption: 2),
        ("letter prior, 10 folds", lambda made, clip, caption: 1),
        ("mentioned first in the caption", _in_caption(-1)),
        ("mentioned last in the caption", _in_caption(1)),
        ("in the clip, ends latest", _event("ends")),
        ("in the clip, sounds longest", _event("lasts")),
    ],
)
def test_planted_shortcuts_are_found(strategy, choose):
    (part,) = audit([_planted(choose)])["parts"]
    row = next(row for row in part["shortcuts"] if row["strategy"] == strategy)
    assert row["accuracy"] > 0.35
    assert row["p_holm"] < 0.001


def test_planted_presence_is_found_and_combines_with_the_labels():
    plain = random_set(300, seed=4)
    clips = {}
    for made in plain.questions:
        clip = plain.clips[made.clip_id]
        keep = {made.answer_text, made.options[(ord(made.answer) - 64) % 4]}
        events = tuple(event for event in clip.events if event.label in keep)
        clips[clip.id] = replace(clip, events=events)
    (part,) = audit([replace(plain, clips=clips)])["parts"]
    found = {row["strategy"]: row["accuracy"] for row in part["shortcuts"]}
    assert found["presence only"] == 0.5
    assert found["presence + prior, 10 folds"] == pytest.approx(0.5, abs=0.12)
    assert part["verdict"]["best"]["accuracy"] >= 0.5
    assert "hears no time" in part["verdict"]["text"]


def test_planted_words_are_found():
    plain = random_set(100, seed=5)
    questions = [
        replace(
            made, options=tuple(f"{o} a b" if o == made.answer_text else o for o in made.options)
        )
        for made in plain.questions
    ]
    (part,) = audit([plain_set(questions)])["parts"]
    found = {row["strategy"]: row["accuracy"] for row in part["shortcuts"]}
    assert found["longest, words"] == 1.0
    assert part["verdict"]["tests_time"] is None
    assert "presence only" not in found


def test_ties_share_whatever_the_position():
    (made,) = items_of(random_set(40))
    for row in text_rows(made):
        assert set(np.round(row.credit, 6)) <= {0.0, 0.25, round(1 / 3, 6), 0.5, 1.0}

"""Hard questions: from annotated clips, and as quartets of rendered scenes."""

import itertools
from collections import Counter, defaultdict
from functools import partial

import numpy as np
import pytest

from tempo_tasks.errors import MissingIntervalsError, QuestionError
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.label_prior import leave_one_out
from tempo_tasks.questions.questions import LETTERS, Kind, build_questions, fingerprint, right_event
from tempo_tasks.questions.strata import strata_of
from tempo_tasks.sources.hard import build_hard, load_hard
from tempo_tasks.sources.hub import load_released
from tempo_tasks.sources.synth.quartets import (
    draw_quartets,
    hard_clips,
    hard_questions,
    load_synth_hard,
)
from tempo_tasks.sources.synth.scene import MARGIN

FEW = 5  # quartets


def numbered(questions):
    """Labels as numbers, the right one first: what the label prior reads."""
    names = sorted({label for q in questions for label in q.options})
    return np.array(
        [
            [names.index(q.answer_text), *(names.index(x) for x in q.options if x != q.answer_text)]
            for q in questions
        ]
    )


def biased_clips(count=120, labels=12, seed=0):
    """Clips of 3 to 6 events in which low-numbered labels tend to start first and last longest."""
    rng = np.random.RandomState(seed)
    clips = []
    for number in range(count):
        chosen = rng.permutation(labels)[: rng.randint(3, 7)]
        order = sorted(chosen, key=lambda label: label + rng.normal(0, 3))
        events = []
        for rank, label in enumerate(order):
            start = 2.0 * rank + rng.uniform(0, 0.5)
            events.append(Event(f"label {label:02}", ((start, 28 - 2.5 * rank),)))
        clips.append(Clip(f"{number:03}.mp3", tuple(events)))
    return clips


# From clips


@pytest.mark.parametrize("kind", list(Kind))
def test_all_options_are_in_the_clip_and_the_label_prior_is_at_chance(kind):
    clips = biased_clips()
    of_name = {clip.id: clip for clip in clips}
    questions = build_hard(clips, kind)
    assert len(questions) >= 20
    for question in questions:
        clip = of_name[question.clip_id]
        assert set(question.options) <= clip.labels
        assert strata_of(question, clip).n_present == 4
        assert right_event(clip, kind, kind.released_margin).label == question.answer_text
    letters = Counter(question.answer for question in questions)
    assert max(letters.values()) - min(letters[letter] for letter in LETTERS) <= 1
    assert leave_one_out(numbered(questions)).mean() <= 0.25


def test_the_set_was_biased_before_and_no_more_is_left_out_than_needed():
    clips = biased_clips()
    everything = build_hard(clips, Kind.EO, margin=1.0)
    before = build_questions(clips, Kind.EO, margin=1.0, min_events=4, min_present=4)
    assert leave_one_out(numbered(before)).mean() > 0.35
    assert len(everything) < len(before)
    # One item fewer takes little off the prior, so it ends just below chance.
    assert leave_one_out(numbered(everything)).mean() > 0.25 - 4 / len(everything)


def test_the_order_of_clips_does_not_matter_and_the_seed_does():
    clips = biased_clips()
    one = build_hard(clips, Kind.LO, seed=3)
    assert build_hard(clips[::-1], Kind.LO, seed=3) == one
    assert fingerprint(build_hard(clips, Kind.LO, seed=4)) != fingerprint(one)


def test_a_clip_with_three_events_gives_no_hard_question():
    clip = biased_clips()[0]
    short = Clip("short.mp3", clip.events[:3])
    with pytest.raises(QuestionError, match="no hard question"):
        build_hard([short], Kind.EO)


def test_two_clips_of_one_id_are_refused():
    clip = next(clip for clip in biased_clips() if len(clip.events) >= 4)
    with pytest.raises(QuestionError, match="unique"):
        build_hard([clip, clip], Kind.EO)


def test_without_intervals_the_error_says_how_to_give_them(released_folder):
    with pytest.raises(MissingIntervalsError, match="data_intervals"):
        load_hard(Kind.EO, partial(load_released, data=str(released_folder("csv"))))


# Quartets


@pytest.mark.parametrize("kind", list(Kind))
def test_a_quartet_has_one_prompt_and_four_answers(kind):
    quartets = defaultdict(list)
    for question in hard_questions(kind, FEW):
        quartets[question.group].append(question)
    assert len(quartets) == FEW
    for questions in quartets.values():
        assert len({question.options for question in questions}) == 1
        assert sorted(question.answer for question in questions) == list(LETTERS)
        assert {question.cluster for question in questions} == {questions[0].group}


@pytest.mark.parametrize("kind", list(Kind))
def test_the_row_before_does_not_tell_the_letter(kind):
    letters = [question.answer for question in hard_questions(kind)]
    after = Counter(itertools.pairwise(letters))
    best = sum(max(after[one, other] for other in LETTERS) for one in LETTERS)
    assert best / (len(letters) - 1) < 0.35  # in sample: the most frequent successor of each


def test_answers_are_those_of_the_events():
    clips = hard_clips(FEW)
    for kind in Kind:
        for question in hard_questions(kind, FEW):
            clip = clips[question.clip_id]
            assert clip.labels == set(question.options)
            assert right_event(clip, kind, MARGIN).label == question.answer_text


def test_scenes_of_a_quartet_differ_in_time_alone():
    for scenes in draw_quartets(FEW):
        patterns = [
            {event.label: event.intervals for event in scene.clip.events} for scene in scenes
        ]
        for scene in scenes:
            assert scene.levels == scenes[0].levels  # by label: a clip sorts its events by label
            assert scene.background == scenes[0].background
        labels = list(patterns[0])
        for label in labels:  # each label takes every place once
            assert len({pattern[label] for pattern in patterns}) == 4
        for pattern in patterns:
            assert sorted(pattern.values()) == sorted(patterns[0].values())


def test_another_property_of_time_is_right_in_a_quarter():
    right = {kind: {q.clip_id: q.answer_text for q in hard_questions(kind)} for kind in Kind}
    for one, other in itertools.combinations(Kind, 2):
        same = sum(right[one][clip] == label for clip, label in right[other].items())
        assert same == len(right[one]) / 4
    for clip in hard_clips().values():
        assert len({len(event.intervals) for event in clip.events}) == 1


def test_the_set_is_drawn_from_names_alone():
    ten = hard_questions(Kind.EO, 10)
    assert len({question.group for question in ten}) == 10
    assert hard_questions(Kind.EO, 11)[:40] == ten
    assert fingerprint(hard_questions(Kind.EO)) == FROZEN


def test_a_rendered_set_holds_all_that_is_asked():
    asked = load_synth_hard(Kind.LD, quartets=1)
    assert len(asked.questions) == 4
    for question in asked.questions:
        assert question.clip_id in asked.audio
        assert asked.captions[question.clip_id]
        assert strata_of(question, asked.clips[question.clip_id]).n_present == 4
    assert len({asked.audio[q.clip_id]["sha256"] for q in asked.questions}) == 4
    assert asked.name == "tempo-synth-hard-1[:1]"


# A change of what is drawn needs another scene version.
FROZEN = "05c20ab846a5ce4797532ec504dd9f69c931b01431e636d410a87b5b07d7da4f"

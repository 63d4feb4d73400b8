"""Weak captions: one or two sentences without time stamps that tell some of the order, not all.

Every event is named, so a caption rules out absent options. What starts first, ends last or lasts
longest is told each with probability `TOLD`, independently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.questions import Kind, right_event
from tempo_tasks.sources.synth.scene import MARGIN, seeded

TOLD = 0.4

PHRASES = {
    "Bird Chirp": "a bird chirping",
    "Car Horn": "a car horn",
    "Church Bell": "a church bell tolling",
    "Clock Ticking": "a clock ticking",
    "Crickets": "crickets singing",
    "Dog Barking": "a dog barking",
    "Electronic Beep": "an electronic beep",
    "Engine Idling": "an engine idling",
    "Footsteps": "footsteps on a floor",
    "Frog Croaking": "a frog croaking",
    "Hammering": "someone hammering",
    "Keyboard Typing": "typing on a keyboard",
    "Phone Ringing": "a phone ringing",
    "Piano": "a piano playing",
    "Rain": "rain falling",
    "Siren": "a siren wailing",
    "Vacuum Cleaner": "a vacuum cleaner running",
    "Water Bubbling": "water bubbling",
    "Whistle": "a person whistling",
    "Wind": "wind blowing",
}
_LISTS = ("A recording with {}.", "{} can be heard.", "The sounds are {}.")
_HINTS = {
    Kind.EO: ("It begins with {}.", "The first sound is {}.", "At the start there is {}."),
    Kind.LO: ("It closes with {}.", "The last sound is {}.", "At the end there is {}."),
    Kind.LD: ("Most of the time there is {}.", "{} goes on longest.", "The main sound is {}."),
}


def weak_caption(clip: Clip, variant: int = 0, phrases: Mapping[str, str] = PHRASES) -> str:
    """Return a caption of a rendered clip; drawn from the clip's id and the variant's number.

    Args:
        clip: The clip.
        variant: Which of several captions of it.
        phrases: How each label is told in a sentence.
    """
    rng = seeded(f"{clip.id}/caption/{variant}")
    sentences = [_list_of([phrases[event.label] for event in clip.events], rng)]
    for kind in (list(Kind)[i] for i in rng.permutation(len(Kind))):
        hint = _HINTS[kind][rng.randint(len(_HINTS[kind]))]
        right = right_event(clip, kind, MARGIN)
        if rng.random_sample() < TOLD and right is not None:
            sentences.append(hint.format(phrases[right.label]))
    return " ".join(map(_capitalised, sentences))


def naming_caption(labels: Sequence[str], name: str, phrases: Mapping[str, str] = PHRASES) -> str:
    """Return a caption that names the sounds, in drawn order, and tells nothing of when.

    Args:
        labels: What sounds.
        name: What the caption is drawn from.
        phrases: How each label is told in a sentence.
    """
    told = [phrases[label] for label in labels]
    return _capitalised(_list_of(told, seeded(f"{name}/caption")))


def _list_of(told: Sequence[str], rng: np.random.RandomState) -> str:
    names = [told[i] for i in rng.permutation(len(told))]
    return _LISTS[rng.randint(len(_LISTS))].format(_join(names))


def _capitalised(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _join(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1]

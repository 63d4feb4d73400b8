"""Strategies that read the options, the caption or the list of sounds in the clip.

None of them does what the question asks for. Presence uses which options occur in the clip; the
timing ones use the intervals, but answer another question than the one asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from tempo_tasks.audit.item_arrays import Floats, Items
from tempo_tasks.audit.strategies import (
    CAPTION,
    LABELS,
    PRESENCE,
    TEXT,
    TIME,
    Earned,
    Strategy,
    earned,
)
from tempo_tasks.questions.events import Event
from tempo_tasks.questions.questions import Kind

PRESENT = Strategy(
    "presence only",
    PRESENCE,
    "Guesses among the options that occur in the clip; hears which sounds occur, not when.",
)
SHOWN = Strategy(
    "most often shown",
    LABELS,
    "Chooses the label that is shown most often among the options.",
)
COMMON = Strategy(
    "in most clips",
    LABELS,
    "Chooses the label that occurs in most other clips of the intervals.",
)
RARE = Strategy(
    "in fewest clips",
    LABELS,
    "Chooses the label that occurs in fewest other clips of the intervals.",
)

# Strategies that read an option's text alone: name, meaning, and the score of a text.
_TEXT: tuple[tuple[str, str, Callable[[str], float]], ...] = (
    ("longest, characters", "Chooses the option with most characters.", len),
    ("longest, words", "Chooses the option with most words.", lambda text: len(words(text))),
    ("shortest, characters", "Chooses the option with fewest characters.", lambda text: -len(text)),
)
_ALPHABETICAL = Strategy(
    "first in the alphabet", TEXT, "Chooses the option that comes first in the alphabet."
)

MENTIONED = Strategy(
    "mentioned in the caption",
    CAPTION,
    "Guesses among the options whose words stand in the caption.",
)
MENTIONED_FIRST = Strategy(
    "mentioned first in the caption",
    CAPTION,
    "Chooses the option whose words stand first in the caption.",
)
MENTIONED_LAST = Strategy(
    "mentioned last in the caption",
    CAPTION,
    "Chooses the option whose words stand last in the caption.",
)

# The event that answers each kind: the row's name, what it means, and the score.
_ANSWER_TO: dict[Kind, tuple[str, str, Callable[[Event], float]]] = {
    Kind.EO: ("in the clip, starts earliest", "starts earliest", lambda event: -event.onset),
    Kind.LO: ("in the clip, ends latest", "ends latest", lambda event: event.offset),
    Kind.LD: (
        "in the clip, sounds longest",
        "sounds for most of the clip",
        lambda event: event.duration,
    ),
}
_MOST_INTERVALS = Strategy(
    "in the clip, most intervals",
    TIME,
    "Chooses the option in the clip that has most intervals, of those that tie at random.",
)


def presence_rows(items: Items) -> list[Earned]:
    """Return what knowing the sounds in the clip earns; nothing where no clip is known.

    If no option occurs in a clip, the oracle guesses among all four; if the right one does not,
    it earns nothing.
    """
    if not items.known.any():
        return []
    return [earned(PRESENT, items, items.present.astype(float), items.known)]


def text_rows(items: Items) -> list[Earned]:
    """Return what the options' texts and the labels' frequencies earn, without any audio."""
    rows = [
        earned(Strategy(name, TEXT, meaning), items, _by_label(items, score))
        for name, meaning, score in _TEXT
    ]
    rank = {label: i for i, label in enumerate(sorted(items.labels, key=str.casefold))}
    rows.append(earned(_ALPHABETICAL, items, _by_label(items, lambda label: -rank[label])))
    # Each option of an item is shown once in it: leaving the item out would change no choice.
    shown = np.bincount(items.options.ravel(), minlength=len(items.labels))
    rows.append(earned(SHOWN, items, shown[items.options].astype(float)))
    if items.label_clips:
        # The item's own clip must not count: that would tell which options occur in it.
        others = _by_label(items, lambda label: items.label_clips.get(label, 0)) - items.present
        rows += [earned(COMMON, items, others), earned(RARE, items, -others)]
    return rows


def caption_rows(items: Items) -> list[Earned]:
    """Return what reading the captions earns, on the items that have one.

    A label stands in a caption if its words do, one after the other, in any case.
    """
    tried = np.array([caption is not None for caption in items.captions], dtype=bool)
    if not tried.any():
        return []
    first, last = np.full((len(items), 4), -np.inf), np.full((len(items), 4), -np.inf)
    for row, (question, caption) in enumerate(zip(items.questions, items.captions, strict=True)):
        places = [mentions(label, caption or "") for label in question.options]
        for option, found in enumerate(places):
            if found:
                first[row, option], last[row, option] = -found[0], found[-1]
    named = np.isfinite(first).astype(float)
    return [
        earned(MENTIONED, items, named, tried),
        earned(MENTIONED_FIRST, items, first, tried),
        earned(MENTIONED_LAST, items, last, tried),
    ]


def time_rows(items: Items) -> list[Earned]:
    """Return what hearing time, but not the question, earns: right answers to other questions."""
    if not items.known.any():
        return []
    rows = []
    for kind, (name, what, score) in _ANSWER_TO.items():
        if kind is not items.kind:
            meaning = f"Chooses the option in the clip that {what}: the answer to another question."
            scores = _by_event(items, score)
            rows.append(earned(Strategy(name, TIME, meaning), items, scores, items.known))
    scores = _by_event(items, lambda event: len(event.intervals))
    rows.append(earned(_MOST_INTERVALS, items, scores, items.known))
    return rows


def words(text: str) -> list[str]:
    """Return the words of a label or caption: letters and digits, in lower case."""
    return re.findall(r"[^\W_]+", text.casefold())


def mentions(label: str, caption: str) -> list[int]:
    """Return where (number of the word) a label's words stand in a caption, in ascending order."""
    needle, text = words(label), words(caption)
    if not needle:
        return []
    last = len(text) - len(needle) + 1
    return [at for at in range(last) if text[at : at + len(needle)] == needle]


def _by_label(items: Items, score: Callable[[str], float]) -> Floats:
    values = np.array([score(label) for label in items.labels], dtype=float)
    by_option: Floats = values[items.options]
    return by_option


def _by_event(items: Items, score: Callable[[Event], float]) -> Floats:
    rows: Sequence[list[float]] = [
        [-np.inf if event is None else score(event) for event in options]
        for options in items.events
    ]
    return np.array(rows, dtype=float).reshape(-1, 4)

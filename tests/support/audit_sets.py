"""Small sets for the audit's tests."""

from collections.abc import Mapping, Sequence

import numpy as np

from tempo_tasks.audit.item_arrays import Items, items_of
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.questions import LETTERS, Kind, Question
from tempo_tasks.sources.without_audio import PlainSet

# Lengths differ, in characters and in words.
_NOUNS = ("Dog", "Sheep", "Raindrop", "Church Bell")
POOL = tuple(f"{noun} {number}" for noun in _NOUNS for number in range(6))


def question(
    options: Sequence[str],
    right: int,
    *,
    clip: str = "clip",
    kind: Kind = Kind.EO,
    group: str = "",
    n: int = 0,
) -> Question:
    """A question whose right option stands at position `right`."""
    a, b, c, d = options
    return Question(
        f"{clip}/{kind.value}/{n}", clip, kind, (a, b, c, d), LETTERS[right], None, group
    )


def plain_set(
    questions: Sequence[Question],
    *,
    events: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]] | None = None,
    captions: Mapping[str, str] | None = None,
    name: str = "made",
) -> PlainSet:
    """A set with `events` as clip -> label -> intervals."""
    clips = {
        clip: Clip(clip, tuple(Event(label, tuple(spans)) for label, spans in labels.items()))
        for clip, labels in (events or {}).items()
    }
    return PlainSet(name, tuple(questions), clips=clips, captions=captions or {})


def items(questions: Sequence[Question], **more: object) -> Items:
    """The items of a set of one kind."""
    (found,) = items_of(plain_set(questions, **more))  # type: ignore[arg-type]
    return found


def random_set(n: int, seed: int = 0, kind: Kind = Kind.EO) -> PlainSet:
    """Questions on which nothing helps: all options in the clip, drawn at random, right at random.

    Events are drawn alike for all options, and which one is right does not depend on them.
    """
    rng = np.random.default_rng(seed)
    questions, events, captions = [], {}, {}
    for number in range(n):
        clip = f"{kind.value}{number}"
        options = [POOL[i] for i in rng.permutation(len(POOL))[:4]]
        events[clip] = {}
        for label in options:
            start = float(rng.uniform(0, 20))
            events[clip][label] = [(start, start + float(rng.uniform(0.5, 5)))]
        captions[clip] = ", then ".join(options[i].lower() for i in rng.permutation(4))
        questions.append(question(options, int(rng.integers(4)), clip=clip, kind=kind))
    return plain_set(questions, events=events, captions=captions)

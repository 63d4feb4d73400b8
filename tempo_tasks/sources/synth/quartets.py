"""Hard rendered scenes: quartets of four sounds that take turns in four places in time.

A quartet has four labels, each at a level of its own, and four patterns in time. Scene j gives
label i the pattern (i + j) mod 4. So each label is right once, in EO, in LO and in LD; the four
prompts are the same to the letter; and whatever does not hear time, be it the presence of sounds,
their loudness, the labels, the order of options, the caption (which names the sounds) or the text
alone, gives four times the same answer and is right once: 25 %, by construction.

Hearing the wrong thing about time does not help either. All events of a quartet have the same
number of intervals; and the first, the last and the longest event are the same one, two by two, in
a quarter of the quartets, so that "the longest one starts first" is right in 25 %, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tempo_tasks.questions.events import Clip, Event, Interval
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import LETTERS, Kind, Question, right_event
from tempo_tasks.sources.synth.caption import naming_caption
from tempo_tasks.sources.synth.scene import (
    MARGIN,
    NOISY,
    SCENE_VERSION,
    Scene,
    draw_intervals,
    scene_name,
    seeded,
)
from tempo_tasks.sources.synth.sounds import LABELS
from tempo_tasks.sources.synth.testset import rendered

HARD_SPLIT = "hard"
_SIZE = 4
# By turns: which two of the first, the last and the longest event are one, if any; and the numbers
# of intervals to draw from. Only what pauses can be both first and last, and not the longest.
_TURNS: tuple[tuple[frozenset[Kind], tuple[int, ...]], ...] = (
    (frozenset({Kind.EO, Kind.LO}), (2,)),
    (frozenset({Kind.EO, Kind.LD}), (1, 1, 2)),
    (frozenset({Kind.LO, Kind.LD}), (1, 1, 2)),
    (frozenset(), (1, 1, 2)),
)
QUARTETS = 100
_LOT, _TRIES = 24, 500
_BLOCK = 10


def draw_quartet(number: int) -> tuple[Scene, ...]:
    """Draw the four scenes of quartet `number`; each has a right answer for EO, LO and LD."""
    name = scene_name(HARD_SPLIT, number)
    rng = seeded(name)
    labels = [LABELS[place] for place in rng.permutation(len(LABELS))[:_SIZE]]
    levels = dict(zip(labels, rng.uniform(*NOISY.levels, size=_SIZE), strict=True))
    background = float(rng.uniform(*NOISY.background))
    same, counts = _TURNS[number % len(_TURNS)]
    patterns = _draw_patterns(rng, int(rng.choice(counts)), same)
    scenes = []
    for turn in range(_SIZE):
        events = (
            Event(label, patterns[(place + turn) % _SIZE]) for place, label in enumerate(labels)
        )
        clip = Clip(f"{name}/{turn}", tuple(events))
        heights = tuple(float(levels[event.label]) for event in clip.events)
        scenes.append(Scene(clip.id, clip, heights, background))
    return tuple(scenes)


def _draw_patterns(
    rng: np.random.RandomState, count: int, same: frozenset[Kind]
) -> list[tuple[Interval, ...]]:
    """Draw four patterns of `count` intervals each that fit: see `_fits`."""
    while True:
        # Drawing is slow and few fours fit: many fours are tried from one lot.
        lot: list[tuple[Interval, ...]] = []
        while len(lot) < _LOT:
            pattern = draw_intervals(rng, count)
            if len(pattern) == count:
                lot.append(pattern)
        for _ in range(_TRIES):
            patterns = [lot[place] for place in rng.permutation(_LOT)[:_SIZE]]
            if _fits(patterns, same):
                return patterns


def _fits(patterns: Sequence[tuple[Interval, ...]], same: frozenset[Kind]) -> bool:
    """Whether patterns have a right answer to each kind, and exactly these kinds share theirs."""
    # On plain numbers, and a hundredth more than the margin: this is asked for thousands of draws.
    ranks = {
        Kind.EO: [-pattern[0][0] for pattern in patterns],
        Kind.LO: [pattern[-1][1] for pattern in patterns],
        Kind.LD: [sum(end - start for start, end in pattern) for pattern in patterns],
    }
    first: dict[Kind, int] = {}
    for kind, rank in ranks.items():
        second, best = sorted(rank)[-2:]
        if best - second < MARGIN + 0.01:
            return False
        first[kind] = rank.index(best)
    shared = {k for k in Kind if any(first[k] == first[o] for o in Kind if o is not k)}
    return shared == same


# Cached: all conditions of all kinds read the same scenes.
@lru_cache(maxsize=4)
def draw_quartets(quartets: int = QUARTETS) -> tuple[tuple[Scene, ...], ...]:
    """Draw the first quartets."""
    return tuple(draw_quartet(number) for number in range(quartets))


@lru_cache(maxsize=12)
def hard_questions(kind: Kind, quartets: int = QUARTETS) -> tuple[Question, ...]:
    """Return the questions of one kind; nothing is rendered.

    The options stand in the same order in all four of a quartet; which one, is drawn. Ten quartets
    stand together, in drawn order: so the row before does not tell the answer, as it would if no
    letter came twice within four rows, and `--limit 40` still asks whole quartets.
    """
    questions: list[Question] = []
    for number, scenes in enumerate(draw_quartets(quartets)):
        name = scene_name(HARD_SPLIT, number)
        order = seeded(f"{name}/{kind.value}").permutation(_SIZE)
        labels = [scenes[0].clip.events[place].label for place in order]
        a, b, c, d = labels
        for scene in scenes:
            right = right_event(scene.clip, kind, MARGIN)
            assert right is not None, f"{scene.name} was drawn to have a right answer"
            questions.append(
                Question(
                    id=f"{scene.name}/{kind.value}",
                    clip_id=scene.name,
                    kind=kind,
                    options=(a, b, c, d),
                    answer=LETTERS[labels.index(right.label)],
                    n_present=_SIZE,
                    group=name,
                )
            )
    ordered = []
    for start in range(0, len(questions), _BLOCK * _SIZE):
        block = questions[start : start + _BLOCK * _SIZE]
        order = seeded(f"{scene_name(HARD_SPLIT, start)}/{kind.value}/row").permutation(len(block))
        ordered += [block[place] for place in order]
    return tuple(ordered)


def hard_clips(quartets: int = QUARTETS) -> dict[str, Clip]:
    """Return the clips with their events, by name."""
    return {scene.name: scene.clip for scenes in draw_quartets(quartets) for scene in scenes}


def hard_captions(quartets: int = QUARTETS) -> dict[str, str]:
    """Return a caption of each clip, by name: the same for the four of a quartet."""
    captions = {}
    for number, scenes in enumerate(draw_quartets(quartets)):
        labels = [event.label for event in scenes[0].clip.events]
        caption = naming_caption(labels, scene_name(HARD_SPLIT, number))
        captions.update({scene.name: caption for scene in scenes})
    return captions


@lru_cache(maxsize=12)
def load_synth_hard(kind: Kind, *, quartets: int = QUARTETS) -> QuestionSet:
    """Return the hard questions of one kind, rendering the scenes on first use.

    Args:
        kind: EO, LO or LD.
        quartets: How many; only the default is the benchmark.
    """
    scenes = [scene for quartet in draw_quartets(quartets) for scene in quartet]
    version = f"tempo-synth-hard-{SCENE_VERSION}"
    return QuestionSet(
        name=version if quartets == QUARTETS else f"{version}[:{quartets}]",
        questions=hard_questions(kind, quartets),
        audio=rendered(scenes, f"{SCENE_VERSION}-{HARD_SPLIT}-{quartets}"),
        captions=hard_captions(quartets),
        clips=hard_clips(quartets),
    )

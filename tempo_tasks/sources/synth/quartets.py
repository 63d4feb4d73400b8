"""Hard rendered scenes: quartets of four sounds that take turns in four places in time.

A quartet has four labels, each at a level of its own, and four patterns in time. Scene j gives
label i the pattern (i + j) mod 4. So each label is right once, in EO, in LO and in LD; the four
prompts are the same to the letter; and whatever does not hear time, be it the presence of sounds,
their loudness, the labels, the order of options or the text alone, gives four times the same answer
and is right once: 25 %, by construction.
"""

from __future__ import annotations

from functools import lru_cache

from tempo_tasks.events import Clip, Event
from tempo_tasks.questions import LETTERS, Kind, Question, right_event
from tempo_tasks.sources.base import QuestionSet
from tempo_tasks.sources.synth.caption import weak_caption
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
QUARTETS = 100
_SIZE = 4


def draw_quartet(number: int) -> tuple[Scene, ...]:
    """Draw the four scenes of quartet `number`; each has a right answer for EO, LO and LD."""
    name = scene_name(HARD_SPLIT, number)
    rng = seeded(name)
    labels = [LABELS[place] for place in rng.permutation(len(LABELS))[:_SIZE]]
    levels = dict(zip(labels, rng.uniform(*NOISY.levels, size=_SIZE), strict=True))
    background = float(rng.uniform(*NOISY.background))
    while True:
        patterns = [draw_intervals(rng) for _ in labels]
        scenes = []
        for turn in range(_SIZE):
            events = (
                Event(label, patterns[(place + turn) % _SIZE]) for place, label in enumerate(labels)
            )
            clip = Clip(f"{name}/{turn}", tuple(events))
            heights = tuple(float(levels[event.label]) for event in clip.events)
            scenes.append(Scene(clip.id, clip, heights, background))
        if all(right_event(scenes[0].clip, kind, MARGIN) for kind in Kind):
            return tuple(scenes)


# Cached: all conditions of all kinds read the same scenes.
@lru_cache(maxsize=4)
def draw_quartets(quartets: int = QUARTETS) -> tuple[tuple[Scene, ...], ...]:
    """Draw the first quartets."""
    return tuple(draw_quartet(number) for number in range(quartets))


@lru_cache(maxsize=12)
def hard_questions(kind: Kind, quartets: int = QUARTETS) -> tuple[Question, ...]:
    """Return the questions of one kind, a quartet's four after each other.

    The options stand in the same order in all four; which one, is drawn for each quartet.
    """
    questions = []
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
    return tuple(questions)


def hard_clips(quartets: int = QUARTETS) -> dict[str, Clip]:
    """Return the clips with their events, by name."""
    return {scene.name: scene.clip for scenes in draw_quartets(quartets) for scene in scenes}


def hard_captions(quartets: int = QUARTETS) -> dict[str, str]:
    """Return a weak caption of each clip, by name."""
    return {name: weak_caption(clip) for name, clip in hard_clips(quartets).items()}


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

"""Hard rendered scenes: quartets of four synthetic sounds that take turns; see `quartet_plan`.

Each label of a quartet has a level of its own, the same in its four scenes.
"""

from __future__ import annotations

from functools import lru_cache

from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind, Question
from tempo_tasks.sources.quartet_plan import SIZE, TURNS, ask_quartets, draw_patterns, take_turns
from tempo_tasks.sources.synth.caption import naming_caption
from tempo_tasks.sources.synth.scene import (
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


def draw_quartet(number: int) -> tuple[Scene, ...]:
    """Draw the four scenes of quartet `number`; each has a right answer for EO, LO and LD."""
    name = scene_name(HARD_SPLIT, number)
    rng = seeded(name)
    labels = [LABELS[place] for place in rng.permutation(len(LABELS))[:SIZE]]
    levels = dict(zip(labels, rng.uniform(*NOISY.levels, size=SIZE), strict=True))
    background = float(rng.uniform(*NOISY.background))
    same, counts = TURNS[number % len(TURNS)]
    patterns = draw_patterns(rng, int(rng.choice(counts)), same, draw_intervals)
    scenes = []
    for clip in take_turns(name, labels, patterns):
        heights = tuple(float(levels[event.label]) for event in clip.events)
        scenes.append(Scene(clip.id, clip, heights, background))
    return tuple(scenes)


# Cached: all conditions of all kinds read the same scenes.
@lru_cache(maxsize=4)
def draw_quartets(quartets: int = QUARTETS) -> tuple[tuple[Scene, ...], ...]:
    """Draw the first quartets."""
    return tuple(draw_quartet(number) for number in range(quartets))


@lru_cache(maxsize=12)
def hard_questions(kind: Kind, quartets: int = QUARTETS) -> tuple[Question, ...]:
    """Return the questions of one kind; nothing is rendered. See `ask_quartets`."""
    named = [
        (scene_name(HARD_SPLIT, number), [scene.clip for scene in scenes])
        for number, scenes in enumerate(draw_quartets(quartets))
    ]
    return tuple(ask_quartets(named, kind, lambda number: scene_name(HARD_SPLIT, number)))


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

"""Mirrored scenes: the same events, levels and background level, in reversed order.

Only the places in time are mirrored. The scene is rendered anew under a name of its own, so every
sound runs forward: nothing in the audio tells that it is a twin.
"""

from __future__ import annotations

from functools import lru_cache

from tempo_tasks.audio import Handle
from tempo_tasks.questions.events import Clip, Event, Interval
from tempo_tasks.questions.mirror import MirrorSet, mirror_set, opposite
from tempo_tasks.questions.questions import Kind, Question, right_event
from tempo_tasks.sources.synth.scene import MARGIN, SCENE_SECONDS, SCENE_VERSION, Scene
from tempo_tasks.sources.synth.testset import (
    TEST_SCENES,
    TEST_SPLIT,
    draw_test_scenes,
    load_synth,
    rendered,
)

FORM = "rendered in reverse order"


def mirror_scene(scene: Scene) -> Scene:
    """Return the scene with each interval (s, e) at (10 - e, 10 - s), in exact centiseconds.

    Its name, from which the sounds are drawn, is the scene's with "/mirror" after it.
    """
    events = tuple(
        Event(event.label, tuple(_mirrored(interval) for interval in event.intervals))
        for event in scene.clip.events
    )
    name = f"{scene.name}/mirror"
    # A clip sorts its events by label, so the levels still stand at the right ones.
    return Scene(name, Clip(name, events), scene.levels, scene.background)


def _mirrored(interval: Interval) -> Interval:
    start, end = interval
    return round(SCENE_SECONDS - end, 2), round(SCENE_SECONDS - start, 2)


def load_synth_mirror(kind: Kind, *, scenes: int = TEST_SCENES) -> MirrorSet:
    """Return the test questions of one kind beside their twins, rendering both on first use.

    Args:
        kind: EO or LO.
        scenes: How many scenes of the test split; only the default is the benchmark.

    Raises:
        NoMirrorError: LD, or too few scenes for a single pair.
    """
    opposite(kind)  # refuses LD before anything is rendered
    drawn = draw_test_scenes(scenes)
    twins = {scene.name: mirror_scene(scene) for scene in drawn}

    def twin_label(question: Question) -> str | None:
        right = right_event(twins[question.clip_id].clip, kind, MARGIN)
        return None if right is None else right.label

    return mirror_set(load_synth(kind, scenes=scenes), twin_label, _twin_audio(scenes), FORM)


# Cached: EO and LO, by generation and by likelihood, read the same folder.
@lru_cache(maxsize=4)
def _twin_audio(scenes: int) -> dict[str, Handle]:
    """Return the handle of each scene's twin, by the name of the scene."""
    drawn = draw_test_scenes(scenes)
    folder = f"{SCENE_VERSION}-{TEST_SPLIT}-{scenes}-mirror"
    handles = rendered([mirror_scene(scene) for scene in drawn], folder, "-mirror")
    return {scene.name: handles[mirror_scene(scene).name] for scene in drawn}

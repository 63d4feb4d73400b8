"""Rendered scenes: polyphonic clips whose event intervals are exact by construction.

`sounds` synthesises the event classes, `scene` places them in time and renders a clip, `caption`
tells part of the order in words, `testset` is the fixed test set in the cache, `mirrored_scenes`
the same scenes with their events in reversed order.
"""

from tempo_tasks.sources.synth.scene import Scene, draw_scene, render
from tempo_tasks.sources.synth.sounds import LABELS, RATE

__all__ = ["LABELS", "RATE", "Scene", "draw_scene", "render"]

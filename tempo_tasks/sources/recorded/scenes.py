"""Scenes of recorded events: which recording sounds when, how loud, over which background.

A scene is drawn from its name and the seed alone. Placement does not look at the label: intervals
are drawn as for the synthetic scenes, and a recording is cut, or heard again, until it fills them.
So no label starts first, ends last or lasts longest more often than by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tempo_attn.errors import OptionError
from tempo_tasks.errors import PlacementError
from tempo_tasks.questions.events import Clip, Event, Interval
from tempo_tasks.questions.questions import Kind, right_event
from tempo_tasks.sources.quartet_plan import SIZE, TURNS, Pattern, draw_patterns, take_turns
from tempo_tasks.sources.recorded.alike import none_alike
from tempo_tasks.sources.recorded.listening import Burst
from tempo_tasks.sources.synth.scene import MARGIN, draw_intervals, seeded

RENDER_VERSION = "1"  # raise it with ANY change to what is drawn or rendered
# A sound is heard down to this level under the background's (dB), both of the whole band.
UNDER_BACKGROUND = 6.0
_TRIES, _LOTS = 20_000, 400


@dataclass(frozen=True)
class Bank:
    """What events are made of.

    Attributes:
        bursts: For each label, (recording, its bursts), sorted by name.
        alike: For each label, those that sound like it.
    """

    bursts: Mapping[str, Sequence[tuple[str, Sequence[Burst]]]]
    alike: Mapping[str, frozenset[str]]

    def draw_labels(self, rng: np.random.RandomState, count: int) -> list[str]:
        """Return `count` labels of which no two sound alike.

        Raises:
            OptionError: There are not so many.
        """
        labels = sorted(self.bursts)
        # The greedy choice depends on the order: another one may give more.
        for _ in range(100):
            chosen = none_alike((labels[n] for n in rng.permutation(len(labels))), self.alike)
            if len(chosen) >= count:
                return chosen[:count]
        raise OptionError(
            f"{count} events need {count} labels of which no two sound alike, and {len(labels)} "
            f"labels ({', '.join(labels[:8])}{', ...' if len(labels) > 8 else ''}) have no such "
            "set; add recordings of other sounds, ask for fewer --events, or say with --alike "
            "which labels sound alike"
        )


@dataclass(frozen=True)
class Style:
    """How events are placed.

    Attributes:
        seconds: Length of a clip.
        events: Fewest and most events of a clip.
        repeats: Most intervals of an event.
        levels: Range of an event's level (its loudest 50 ms) over the background's, in dB.
        background: `none`, a colour of noise, or `folder`.
        max_overlap: Most events at once; None for no limit.
        closes: How far under an event's loudest 50 ms it is still taken to sound, dB.
        join: Pauses shorter than this, in seconds, do not end an event.
    """

    seconds: float
    events: tuple[int, int]
    repeats: int
    levels: tuple[float, float]
    background: str
    max_overlap: int | None
    closes: float
    join: float

    def depth(self, level: float) -> float:
        """Return how far under its loudest 50 ms an event of a level is heard, in dB."""
        over = level + UNDER_BACKGROUND
        return self.closes if self.background == "none" else min(self.closes, over)


@dataclass(frozen=True, slots=True)
class Source:
    """What an event of a scene is made of.

    Attributes:
        recording: Name of the recording.
        first: First frame of the part that is used, in the recording.
        frames: Length of that part.
        over: Level of its loudest 50 ms over the background, each time it is heard, dB.
    """

    recording: str
    first: int
    frames: int
    over: float


@dataclass(frozen=True, slots=True)
class RecordedScene:
    """What happens in a clip.

    Attributes:
        name: What it was drawn from.
        clip: Events with their intervals (seconds); its id is the name.
        sources: One for each event of `clip.events`.
        background: What the background is drawn from: scenes that must not differ in it share it.
    """

    name: str
    clip: Clip
    sources: tuple[Source, ...]
    background: str


def draw_scene(name: str, bank: Bank, style: Style) -> RecordedScene:
    """Draw a scene with a right answer to EO, LO and LD.

    Raises:
        OptionError: There are too few labels.
        PlacementError: No placement was found.
    """
    rng = seeded(name)
    fewest, most = style.events
    labels = bank.draw_labels(rng, most)
    sources = {label: draw_source(rng, bank, label, style) for label in labels}
    counts = [1, 1, 1, 2, 2, 3][: {1: 3, 2: 5}.get(style.repeats, 6)]
    for _ in range(_TRIES):
        count = int(rng.randint(fewest, most + 1))
        events = tuple(
            Event(label, draw_intervals(rng, int(rng.choice(counts)), seconds=style.seconds))
            for label in labels[:count]
        )
        clip = Clip(name, events)
        if _may_sound([event.intervals for event in events], style.max_overlap) and all(
            right_event(clip, kind, MARGIN) for kind in Kind
        ):
            return RecordedScene(name, clip, _of(clip, sources), name)
    raise PlacementError(
        f"no place for {fewest} to {most} events in {style.seconds:g} s, {style.max_overlap} at "
        f"once, was found in {_TRIES:,} draws: use longer clips (--seconds), fewer --events, or a "
        "larger --max-overlap"
    )


def draw_quartet(name: str, number: int, bank: Bank, style: Style) -> tuple[RecordedScene, ...]:
    """Draw the four scenes of a quartet: the same recordings, levels and background in each.

    Args:
        name: What it is drawn from.
        number: Its number, which says which of first, last and longest are one.
        bank: What there is.
        style: How events are placed.

    Raises:
        OptionError: There are too few labels.
        PlacementError: No placement was found.
    """
    rng = seeded(name)
    labels = bank.draw_labels(rng, SIZE)
    sources = {label: draw_source(rng, bank, label, style) for label in labels}
    same, counts = TURNS[number % len(TURNS)]

    def draw(rng: np.random.RandomState, count: int) -> Pattern:
        return draw_intervals(rng, count, seconds=style.seconds)

    def allowed(patterns: Sequence[Pattern]) -> bool:
        return _may_sound(patterns, style.max_overlap)

    count = int(rng.choice(counts))
    patterns = draw_patterns(rng, count, same, draw, allowed=allowed, most_lots=_LOTS)
    clips = take_turns(name, labels, patterns)
    return tuple(RecordedScene(clip.id, clip, _of(clip, sources), name) for clip in clips)


def mirror_scene(scene: RecordedScene, seconds: float) -> RecordedScene:
    """Return the twin: each interval (s, e) of a clip of T seconds at (T - e, T - s).

    Recordings, levels and background stay, and every recording is heard forward.
    """

    def turned(interval: Interval) -> Interval:
        start, end = interval
        return round(seconds - end, 2), round(seconds - start, 2)

    name = f"{scene.name}/mirror"
    events = tuple(
        Event(event.label, tuple(map(turned, event.intervals))) for event in scene.clip.events
    )
    return RecordedScene(name, Clip(name, events), scene.sources, scene.background)


def draw_source(rng: np.random.RandomState, bank: Bank, label: str, style: Style) -> Source:
    """Draw which recording of a label is heard, how loud, and the part of it that stays audible."""
    recordings = bank.bursts[label]
    recording, bursts = recordings[rng.randint(len(recordings))]
    burst = bursts[rng.randint(len(bursts))]
    over = round(float(rng.uniform(*style.levels)), 2)
    first, last = burst.audible(style.depth(over), style.join)
    return Source(recording, burst.first + first, last - first, over)


def _of(clip: Clip, sources: Mapping[str, Source]) -> tuple[Source, ...]:
    return tuple(sources[event.label] for event in clip.events)


def _may_sound(events: Sequence[Sequence[Interval]], most: int | None) -> bool:
    """Whether no more than `most` events sound at once."""
    return most is None or most_at_once(events) <= most


def most_at_once(events: Sequence[Sequence[Interval]]) -> int:
    """Return how many events sound at once, at most; touching ones do not."""
    edges = [edge for spans in events for s, e in spans for edge in ((s, 1), (e, -1))]
    now = found = 0
    for _, step in sorted(edges):  # ends, -1, before starts of the same time
        now += step
        found = max(found, now)
    return found

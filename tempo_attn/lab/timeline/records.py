"""What a timeline keeps of an item: its events, and where their states lie.

States are too many numbers for JSON. Each item has a file `states/<key>.npy` in the run folder:
float32, (sources, sites, events, width). Sites are what enters the first layer, then what leaves
every layer. The record has the file's SHA-256.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tempo_attn.lab.item_records import ItemRecord

Source = Literal["states", "silence", "random_weights"]
SOURCES: tuple[Source, ...] = ("states", "silence", "random_weights")
"""Whose states: the model's, the model's on silence of the same length, a model's of the same
architecture with random weights."""
TARGETS = ("onset", "offset", "midpoint", "duration")
"""What is known of an event, in seconds."""
INPUT = -1
"""The layer that stands for what enters the first one: the embeddings."""


@dataclass(frozen=True, kw_only=True)
class EventTimes:
    """An event that is named in a prompt.

    Attributes:
        option: Place of its name among the options, from 0.
        label: Its class, as its name stands there.
        onset: Earliest start, seconds.
        offset: Latest end, seconds.
        duration: Summed length of its intervals, seconds.
    """

    option: int
    label: str
    onset: float
    offset: float
    duration: float


@dataclass(frozen=True, kw_only=True)
class TimelineRecord(ItemRecord):
    """The events of one item; see `ItemRecord`.

    Attributes:
        events: Those options that sound in the clip, in the prompt's order.
        seconds: Length of the clip.
        states: SHA-256 of the file of states; None where there are no events.
    """

    events: Sequence[EventTimes]
    seconds: float
    states: str | None

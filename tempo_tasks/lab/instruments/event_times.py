"""When the right answers' events sound, in the audio positions of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tempo_attn.lab.items import Item
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.task import TempoTask
from tempo_tasks.questions.events import Interval

Times = dict[str, tuple[Interval, ...]]


def right_events(tasks: Mapping[str, TempoTask], items: Sequence[Item]) -> Times:
    """Return when the right answer's event sounds, in seconds, by item key.

    Items are left out whose clip's intervals are not known, and those about mirrored twins, where
    times are other ones.
    """
    known = {
        f"{question.id}/{condition}": event.intervals
        for task in tasks.values()
        for condition in set(task.dataset["test"]["condition"])
        for question in task.questions
        for event in (task.clips[question.clip_id].events if question.clip_id in task.clips else ())
        if event.label == question.answer_text
    }
    ids = ((item, item.id.split("/rotation-")[0]) for item in items)
    return {item.key: known[name] for item, name in ids if name in known}


def positions_per_second(lm: LALM) -> float:
    """Return how many audio positions a second fills, by a clip that fills the model's window."""
    seconds = min(lm.window_seconds, 30.0)
    samples = int(seconds * lm.sampling_rate)
    return lm.family.n_audio_tokens(lm.processor, samples) / seconds


def in_positions(times: Times, rate: float) -> dict[str, list[tuple[float, float]]]:
    """Return times as audio positions, from the clip's start."""
    return {
        key: [(start * rate, end * rate) for start, end in intervals]
        for key, intervals in times.items()
    }

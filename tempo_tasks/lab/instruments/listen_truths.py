"""What is true of the clips that `tempo listen` is about, read before a model is loaded."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tempo_attn.errors import OptionError
from tempo_attn.lab.items import Item
from tempo_attn.lab.listen.run import Truth
from tempo_attn.lab.listen.table import HALVES
from tempo_tasks.audio import Handle, read_audio, silenced_handle
from tempo_tasks.errors import EventError, MissingIntervalsError, QuestionError, TempoError
from tempo_tasks.harness.task import TempoTask
from tempo_tasks.questions.events import Clip, Interval
from tempo_tasks.scoring import cluster_of

Name = tuple[str, str]
"""Kind and id of a question."""
_RATE = 16_000
_LATE = 0.05
"""Seconds that an annotation may end after its clip: files are cut at whole samples and frames."""
_NAMED = 3


@dataclass(frozen=True)
class ClipTruth:
    """A clip's length in seconds, and when its events sound."""

    seconds: float
    events: Mapping[str, tuple[Interval, ...]]


class Truths:
    """Lengths and events of the clips of tasks.

    Args:
        limit: Only the first items of each task are looked at.
        window: Seconds of a window; None for the events' own lengths.
    """

    def __init__(self, limit: int | None, window: float | None) -> None:
        self._limit, self._window = limit, window
        self._clips: dict[Name, ClipTruth] = {}

    def read(self, tasks: Mapping[str, TempoTask]) -> None:
        """Read the truths of tasks, before a model is loaded.

        Raises:
            MissingIntervalsError: The intervals of a clip are not known.
            EventError: The right answer's event is not in the clip, or sounds after its end.
            QuestionError: An event's name stands twice in a prompt.
            OptionError: Clips are too few to be halved, or a window is longer than a clip.
        """
        clusters: dict[tuple[str, str], set[str]] = defaultdict(set)
        seconds: dict[str, float | None] = {}
        unknown, absent, twice, short = [], [], [], []
        for name, task in tasks.items():
            for document, handle in self._documents(task):
                place = document["kind"], document["condition"]
                clusters[place].add(cluster_of(document))
                clip = task.clips.get(document["clip"])
                if clip is None or not clip.events:
                    unknown.append(f"{document['id']} of {name}")
                    continue
                twice += _twice(document)
                if handle["sha256"] not in seconds:
                    seconds[handle["sha256"]] = _seconds(handle)
                length = seconds[handle["sha256"]]
                if length is None:
                    continue
                absent += _absent(document, clip, length)
                if self._window is not None and self._window > length:
                    short.append(f"{document['clip']} ({length:.2f} s)")
                self._clips[document["kind"], document["id"]] = ClipTruth(
                    length, _within(clip, length)
                )
        if unknown:
            raise MissingIntervalsError(
                f"the intervals of events are not known of {_some(unknown)}, and tempo listen "
                "compares attention with them; name the tables: --metadata "
                '\'{"data_intervals": "intervals.csv"}\', or choose tempo_synth_* tasks'
            )
        if absent:
            raise EventError(
                f"the right answer's event is not in its clip: {_some(absent)}; correct the "
                "intervals (tempo data check finds such items)"
            )
        if twice:
            raise QuestionError(
                f"the name of an event stands twice in the prompt: {_some(twice)}; attention of "
                "its rows may then come from what the other place says. Choose *_aqa tasks, whose "
                "prompts have no caption, or leave these items out of the data"
            )
        if short:
            clips = _some(list(dict.fromkeys(short)))
            raise OptionError(
                f"--window {self._window:g}: longer than the clip {clips}; "
                "expected a window that fits into every clip"
            )
        for (kind, condition), found in clusters.items():
            if len(found) < HALVES:
                raise OptionError(
                    f"{kind} {condition}: the items come from {len(found)} clip; expected at least "
                    f"{HALVES}, for the best head is chosen on half of the clips and told of the "
                    "other. Use more items (a larger --limit)"
                )

    def of_items(self, items: Sequence[Item], rate: float) -> dict[str, Truth]:
        """Return the truth of each item, by its key.

        Args:
            items: Items of the tasks that were read.
            rate: Audio positions a second.
        """
        found = {}
        for item in items:
            clip = self._clips[item.kind, _question_of(item)]
            events = [clip.events.get(option) for option in item.options or ()]
            found[item.key] = Truth(rate, clip.seconds, events)
        return found

    def _documents(self, task: TempoTask) -> Iterator[tuple[dict[str, Any], Handle]]:
        documents = task.dataset["test"]
        if self._limit is not None:
            documents = documents.select(range(min(self._limit, len(documents))))
        for document in documents:
            (handle,) = task.doc_to_audio(document)
            yield document, handle


def _question_of(item: Item) -> str:
    name = item.id.rpartition("/rotation-")[0] or item.id
    return name.removesuffix(f"/{item.condition}")


def _seconds(handle: Handle) -> float | None:
    """Return a clip's length; None where it cannot be read, which the study's own check tells."""
    try:
        return len(read_audio(silenced_handle(handle), _RATE)) / _RATE
    except TempoError:
        return None


def _absent(document: Mapping[str, Any], clip: Clip, seconds: float) -> list[str]:
    """Return what is wrong with the right event, as a list of one text or none."""
    intervals = {event.label: event.intervals for event in clip.events}.get(document["answer_text"])
    if intervals is None:
        return [f"{document['id']} ({document['answer_text']!r})"]
    if intervals[-1][1] > seconds + _LATE:
        return [
            f"{document['id']} ({document['answer_text']!r} sounds until {intervals[-1][1]:g} s, "
            f"the clip lasts {seconds:.2f} s)"
        ]
    return []


def _within(clip: Clip, seconds: float) -> dict[str, tuple[Interval, ...]]:
    """Return when events sound within the clip."""
    found = {
        event.label: tuple((a, min(b, seconds)) for a, b in event.intervals if a < seconds)
        for event in clip.events
    }
    return {label: intervals for label, intervals in found.items() if intervals}


def _twice(document: Mapping[str, Any]) -> list[str]:
    """Return the options whose names stand in the prompt besides in the list of options."""
    options = list(document["options"])
    counts = Counter({option: _count(option, document["prompt"]) for option in options})
    for option in options:
        # "Dog" in the option "Dog Barking" is that option's name, not its own.
        counts[option] -= sum(_count(option, other) for other in options)
    return [f"{document['id']} ({option!r})" for option in options if counts[option] > 0]


def _count(name: str, text: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"

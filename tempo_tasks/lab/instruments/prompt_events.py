"""The events that prompts name, with their times; and what a timeline cannot be made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from tempo_attn.errors import OptionError, PositionError
from tempo_attn.lab.items import Item
from tempo_attn.lab.timeline.records import EventTimes
from tempo_attn.lab.timeline.rows import Folds
from tempo_attn.prompts.decoded_text import PromptText
from tempo_attn.prompts.keyword_and_option_rows import option_spans, phrase_pattern
from tempo_tasks.errors import MissingIntervalsError
from tempo_tasks.harness.task import TempoTask
from tempo_tasks.harness.task_index import Asked
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import Kind
from tempo_tasks.scoring import cluster_of

ByItem = dict[str, tuple[EventTimes, ...]]
_SHOWN = 5


def check_conditions(asked: Mapping[str, Asked]) -> None:
    """Check by the tasks' names that something is heard, whose times are known.

    Raises:
        OptionError: A task gives silence or mirrored twins, or two have other conditions.
    """
    for name, what in asked.items():
        for condition in (Condition.SILENCE, Condition.MIRROR):
            if condition in what.conditions:
                raise OptionError(
                    f"task {name} gives {condition.value}, of which no times are known; choose "
                    "*_aqa tasks. Silence is a baseline of tempo timeline by itself"
                )
    found = sorted({c.value for what in asked.values() for c in what.conditions})
    if len(found) > 1:
        raise OptionError(
            f"the tasks have several conditions, {', '.join(found)}, whose states would be mixed; "
            "name tasks of one"
        )


def prompt_events(
    tasks: Mapping[str, TempoTask], limit: int | None, folds: int, seed: int
) -> ByItem:
    """Return the events that each item's options name, by item id, after checking the prompts.

    Every option that sounds in the clip is an event: up to four an item.

    Args:
        tasks: The tasks.
        limit: Only the first items of each.
        folds: Folds of classes, and of clips.
        seed: Seed of the folds.

    Raises:
        MissingIntervalsError: No event's times are known.
        OptionError: There is one class only, or there are fewer classes or clips than folds.
        PositionError: An event's name is not found in its prompt, or stands in it twice.
    """
    events: ByItem = {}
    labels: list[str] = []
    clusters: list[str] = []
    wrong: list[str] = []
    for task in tasks.values():
        documents = task.dataset["test"]
        for document in documents.select(range(min(limit or len(documents), len(documents)))):
            clip = task.clips.get(document["clip"])
            times = {} if clip is None else {event.label: event for event in clip.events}
            rotation = f"/rotation-{document['rotation']}" if document["rotation"] else ""
            found = tuple(
                EventTimes(
                    option=place,
                    label=label,
                    onset=times[label].onset,
                    offset=times[label].offset,
                    duration=times[label].duration,
                )
                for place, label in enumerate(document["options"])
                if label in times
            )
            if not found:
                continue
            events[f"{document['id']}/{document['condition']}{rotation}"] = found
            labels += [event.label for event in found]
            clusters += [cluster_of(document)] * len(found)
            question = Kind(document["kind"]).text
            try:
                check_names(document["prompt"], document["options"], found, question)
            except PositionError as error:
                wrong.append(f"  {document['id']}: {error}")
    if not events:
        raise MissingIntervalsError(
            f"no event's times are known in {', '.join(tasks)}, and they are what is looked for in "
            "the states; give them with --metadata '{\"data_intervals\": ...}', or choose "
            "tempo_synth_* tasks"
        )
    if wrong:
        more = [f"  ... and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        raise PositionError(
            "it cannot be told which tokens are events' names in "
            f"{len(wrong)} prompts:\n" + "\n".join([*wrong[:_SHOWN], *more])
        )
    if len(set(labels)) < 2:
        raise OptionError(
            f"all {len(labels)} events are of one class, {labels[0]!r}; expected two or more, as "
            "probes are tested on classes that they have not seen. Use more items"
        )
    Folds.draw(np.array(labels), np.array(clusters), folds, seed)
    return events


def check_names(
    prompt: str, options: Sequence[str], events: Sequence[EventTimes], question: str
) -> None:
    """Check that each event's name is found in its place, and stands nowhere else in a prompt.

    Raises:
        PositionError: It is not.
    """
    text = PromptText(prompt, tuple(range(len(prompt))), tuple(range(1, len(prompt) + 1)))
    spans = option_spans(text, options=tuple(options), question=question)
    if len(spans) != len(options):
        raise PositionError(
            f"found {len(spans)} options in the prompt and expected {len(options)}; use a form of "
            "options with letters or quotation marks"
        )
    for event in events:
        start, end = spans[event.option]
        others = [
            match.group()
            for match in phrase_pattern(event.label, re.IGNORECASE).finditer(prompt)
            if not (match.start() < end and start < match.end())
        ]
        if others:
            raise PositionError(
                f"the event's name {event.label!r} stands {len(others) + 1} times in the prompt, "
                "and what is known of it may be in the states of another place; leave the item "
                "out, or name the event otherwise"
            )


def by_key(events: ByItem, items: Sequence[Item]) -> ByItem:
    """Return events by the items' keys."""
    return {item.key: events[item.id] for item in items if item.id in events}

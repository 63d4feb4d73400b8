"""Predictions to the items that they are about: what is missing, doubled or unknown is listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tempo_tasks.errors import PredictionsError
from tempo_tasks.predictions.read_predictions import Prediction
from tempo_tasks.sources.csv_reader import LISTED


@dataclass(frozen=True)
class TaskItems:
    """What a task asks, in the order of its documents.

    Attributes:
        condition: Its condition, as its name has it.
        kind: Its kind.
        ids: The ids of the items.
        clips: The clip of each item.
    """

    condition: str
    kind: str
    ids: Sequence[str]
    clips: Sequence[str]


@dataclass(frozen=True)
class Matched:
    """Which prediction belongs to which item.

    Attributes:
        found: For each task, the prediction of each item, by the item's place in the task.
        missing: For each task with predictions, the ids of the items that have none.
        not_asked: Tasks without a single prediction.
    """

    found: Mapping[str, Mapping[int, Prediction]]
    missing: Mapping[str, Sequence[str]]
    not_asked: Sequence[str]


def match(
    predictions: Sequence[Prediction], tasks: Mapping[str, TaskItems], *, allow_missing: bool
) -> Matched:
    """Find the item of each prediction.

    Args:
        predictions: The answers.
        tasks: What the tasks ask, by their names.
        allow_missing: Whether items of a task may be without a prediction where others have one.

    Raises:
        PredictionsError: Predictions of unknown items, several of one, one that could be of
            several items, or missing ones; all kinds of it in one message.
    """
    finder = _Finder(tasks)
    found: dict[str, dict[int, list[Prediction]]] = {name: defaultdict(list) for name in tasks}
    unknown, unclear = [], []
    for prediction in predictions:
        places = finder.places(prediction)
        if not places:
            unknown.append(_named(prediction))
        elif len(places) > 1:
            ids = ", ".join(tasks[task].ids[at] for task, at in places[:3])
            unclear.append(f"{_named(prediction)}: {ids}")
        else:
            ((task, at),) = places
            found[task][at].append(prediction)
    doubled = [
        f"{tasks[task].ids[at]!a} ({tasks[task].condition}): rows "
        + ", ".join(str(prediction.row) for prediction in rows[:10])
        for task, items in found.items()
        for at, rows in items.items()
        if len(rows) > 1
    ]
    missing = {
        task: [name for at, name in enumerate(items.ids) if at not in found[task]]
        for task, items in tasks.items()
        if found[task]
    }
    problems = [
        *_listed(unknown, "predictions of items that the data do not have", _known(tasks)),
        *_listed(unclear, "predictions that fit several items", "Give the item's id in `id`"),
        *_listed(doubled, "items with several predictions", "Expected one of each item"),
    ]
    without = [f"{name!a} ({task})" for task, names in missing.items() for name in names]
    if not allow_missing:
        problems += _listed(
            without,
            "items without a prediction",
            "Give them (an empty text where the model said nothing), or score the others alone "
            "with --allow-missing",
        )
    if problems:
        raise PredictionsError("\n".join(problems))
    return Matched(
        found={
            task: {at: rows[0] for at, rows in sorted(items.items())}
            for task, items in found.items()
            if items
        },
        missing={task: names for task, names in missing.items() if names},
        not_asked=[task for task in tasks if not found[task]],
    )


class _Finder:
    """Finds items by id, or by clip and kind: the clip's id, its file's name, or that's stem."""

    def __init__(self, tasks: Mapping[str, TaskItems]) -> None:
        self.by_id: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
        self.by_clip: list[dict[tuple[str, str, str], list[tuple[str, int]]]] = [
            defaultdict(list) for _ in _WAYS
        ]
        for task, items in tasks.items():
            for at, (name, clip) in enumerate(zip(items.ids, items.clips, strict=True)):
                self.by_id[items.condition, name].append((task, at))
                for way, index in zip(_WAYS, self.by_clip, strict=True):
                    index[items.condition, items.kind, way(clip)].append((task, at))

    def places(self, prediction: Prediction) -> Sequence[tuple[str, int]]:
        """Return where the item of a prediction is: nowhere, once, or where it could be."""
        condition = prediction.condition.value
        if prediction.item is not None:
            return self.by_id.get((condition, prediction.item), ())
        assert prediction.clip is not None
        assert prediction.kind is not None
        # An exact name is not doubted because another one has the same end.
        for way, index in zip(_WAYS, self.by_clip, strict=True):
            key = condition, prediction.kind.value, way(prediction.clip)
            if places := index.get(key):
                return places
        return ()


def _as_it_is(name: str) -> str:
    return name


def _file_name(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _stem(name: str) -> str:
    file = _file_name(name)
    return file.rpartition(".")[0] or file


_WAYS = (_as_it_is, _file_name, _stem)


def _named(prediction: Prediction) -> str:
    name = prediction.item
    if name is None:
        assert prediction.kind is not None
        name = f"{prediction.clip}, {prediction.kind.value}"
    shown = ascii(name if len(name) <= 120 else f"{name[:117]}...")
    return f"row {prediction.row}: {shown} ({prediction.condition.value})"


def _known(tasks: Mapping[str, TaskItems]) -> str:
    examples = next((items for items in tasks.values() if items.ids), None)
    if examples is None:
        return "The data have no items"
    return (
        f"Expected ids such as {examples.ids[0]!a}, or the clip {examples.clips[0]!a} "
        "with a kind; check --data, --condition and --columns"
    )


def _listed(names: Sequence[str], what: str, advice: str) -> list[str]:
    if not names:
        return []
    more = [f"  ... and {len(names) - LISTED} more"] if len(names) > LISTED else []
    return [f"{len(names)} {what}. {advice}:", *(f"  {name}" for name in names[:LISTED]), *more]

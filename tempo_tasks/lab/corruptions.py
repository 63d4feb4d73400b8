"""What a trace corrupts an item to: silence, or its mirrored twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tempo_attn.config_fields import one_of
from tempo_attn.errors import OptionError
from tempo_attn.lab.items import Item
from tempo_tasks.harness.task_index import asked_tasks
from tempo_tasks.lab.options import wrong_options
from tempo_tasks.questions.conditions import Condition

CORRUPTIONS = ("silence", "mirror")
Corrupt = Callable[[Item], Item]


def silenced(item: Item) -> Item:
    """Return an item with silence of the same length in place of its audio."""
    prompt, handles = item.content
    return replace(item, content=(prompt, [{**handle, "silence": True} for handle in handles]))


def check_corruption(
    name: str, tasks: Sequence[str], metadata: Mapping[str, Any] | None = None
) -> None:
    """Check that tasks have what a corruption needs, before anything is loaded.

    Args:
        name: "silence" or "mirror".
        tasks: The tasks' names.
        metadata: See `asked_tasks`.

    Raises:
        OptionError: An unknown name, silent tasks, or none with mirrored twins.
    """
    with wrong_options():
        one_of("--corrupt", name, CORRUPTIONS)
    asked = asked_tasks(tasks, metadata)
    silent = [task for task, what in asked.items() if Condition.SILENCE in what.conditions]
    if silent:
        raise OptionError(
            f"task {silent[0]} gives silence, so there is nothing heard to trace; choose *_aqa, "
            "*_acqa or *_mirror tasks"
        )
    if name == "mirror" and not any(Condition.MIRROR in w.conditions for w in asked.values()):
        raise OptionError(
            f"--corrupt mirror needs items that have a mirrored twin, and {', '.join(asked)} have "
            "none; choose *_mirror tasks, such as tempo_synth_eo_mirror"
        )


def corruption(name: str, items: Sequence[Item]) -> tuple[list[Item], Corrupt]:
    """Return the items to trace, and what corrupts them.

    Args:
        name: "silence" or "mirror".
        items: All items of the tasks; for "mirror", of `*_mirror` tasks, whose items come in pairs.

    Raises:
        OptionError: An unknown name; silent items; or items that the corruption does not fit.
    """
    with wrong_options():
        one_of("--corrupt", name, CORRUPTIONS)
    silent = [item.id for item in items if item.condition == Condition.SILENCE.value]
    if silent:
        raise OptionError(
            f"{silent[0]} and {len(silent) - 1} more items are silent, so there is nothing heard "
            "to trace; choose *_aqa, *_acqa or *_mirror tasks"
        )
    mirrored = [item for item in items if item.condition == Condition.MIRROR.value]
    originals = [item for item in items if item.condition != Condition.MIRROR.value]
    if name == "silence":
        return _numbered(originals), silenced
    twins = {_pair(item): item for item in mirrored}
    # With a caption, a question has no twin: its prompt is another.
    found = _numbered(
        [
            item
            for item in originals
            if (twin := twins.get(_pair(item))) and twin.content[0] == item.content[0]
        ]
    )
    if not found:
        raise OptionError(
            "--corrupt mirror needs items that have a mirrored twin; choose *_mirror tasks, such "
            "as tempo_synth_eo_mirror, and a --limit of at least 2: twins are items of their own"
        )
    return found, _twin_of(twins)


def _twin_of(twins: Mapping[str, Item]) -> Corrupt:
    return lambda item: twins[_pair(item)]


def _pair(item: Item) -> str:
    """Return what an item and its twin have in common: the id of the question."""
    question = item.id.removesuffix(f"/{item.condition}")
    return question.removesuffix(f"/{Condition.MIRROR.value}")


def _numbered(items: Sequence[Item]) -> list[Item]:
    return [replace(item, index=number) for number, item in enumerate(items)]

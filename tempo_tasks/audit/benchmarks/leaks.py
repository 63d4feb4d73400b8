"""Items that give their answer away, or that no answer can be right about, by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from tempo_tasks.audit.benchmarks.choice_arrays import ChoiceArrays
from tempo_tasks.audit.benchmarks.guesses import TRAITS, alone
from tempo_tasks.questions.choice_items import ChoiceItem

Leak = dict[str, Any]


def leaks(arrays: ChoiceArrays) -> list[Leak]:
    """Return what was found: `name`, `meaning`, `n` of `of` items, and their `items`."""
    return [
        *_twice(arrays.items),
        *_spelling(arrays.items),
        *_presence(arrays),
        *_doubles(arrays.items),
    ]


def doubles(items: Sequence[ChoiceItem]) -> list[Leak]:
    """Return items that stand more than once; also of those that ask for a time."""
    return list(_doubles(items))


def _leak(name: str, meaning: str, found: Sequence[ChoiceItem], of: int, **more: Any) -> Leak:
    return {
        "name": name,
        "meaning": meaning,
        "n": len(found),
        "of": of,
        "items": [item.id for item in found],
        **more,
    }


def _twice(items: Sequence[ChoiceItem]) -> Iterator[Leak]:
    found = [item for item in items if item.twice]
    right = [item for item in found if item.answer_text in item.twice]
    meaning = "An option is offered twice, in another spelling or the same."
    yield _leak("option_twice", meaning, found, len(items))
    meaning = "The right option is offered twice; in another spelling, the other letter is wrong."
    yield _leak("answer_twice", meaning, right, len(items))


def _spelling(items: Sequence[ChoiceItem]) -> Iterator[Leak]:
    for name, trait in TRAITS.items():
        told = [item for item in items if alone(item.options, trait) is not None]
        right = [item for item in told if alone(item.options, trait) == item.right]
        meaning = f"The right option alone {name}, or alone does not."
        # Beside how often a wrong one does: a trait that falls on any option tells nothing.
        yield _leak(f"alone {name}", meaning, right, len(items), wrong=len(told) - len(right))


def _presence(arrays: ChoiceArrays) -> Iterator[Leak]:
    known = [
        (item, present)
        for item, present in zip(arrays.items, arrays.present, strict=True)
        if present is not None
    ]
    if not known:
        return
    only = [item for item, present in known if present[item.right] and sum(present) == 1]
    absent = [item for item, present in known if not present[item.right]]
    meaning = "Only the right option occurs in the clip: it asks which sounds occur, not when."
    yield _leak("only_right_occurs", meaning, only, len(known))
    meaning = "The right option is not among the sounds of the clip, as the data list them."
    yield _leak("right_absent", meaning, absent, len(known))


def _doubles(items: Sequence[ChoiceItem]) -> Iterator[Leak]:
    def asked(item: ChoiceItem) -> Hashable:
        return (frozenset(item.clips), item.question, frozenset(item.options), item.run)

    levels: tuple[tuple[str, str, Callable[[ChoiceItem], Hashable]], ...] = (
        ("same_item", "The same clips, question and options stand in another item.", asked),
        ("same_clip", "Another item asks about the same clips.", lambda item: item.cluster),
    )
    for name, meaning, key in levels:
        groups: dict[Hashable, list[ChoiceItem]] = defaultdict(list)
        for item in items:
            groups[key(item)].append(item)
        found = [
            item
            for group in groups.values()
            # Runs of one item are meant to ask about the same clips.
            if len({one.group or one.id for one in group}) > 1
            for item in group
        ]
        yield _leak(name, meaning, found, len(items))

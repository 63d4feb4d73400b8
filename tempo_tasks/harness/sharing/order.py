"""In which order prompts are run, so that those that begin alike meet while that is kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from tempo_tasks.harness.sharing.beginnings import Beginning


def in_order(
    found: Sequence[Beginning | None], length: Callable[[int], int], *, n_units: int, room: int
) -> list[int]:
    """Return the order in which prompts are best run.

    Those that share nothing come first. Of the others, units (a clip's prompts, or those of one
    text) are taken as many at a time as there is room for, and the prompts of these by what is left
    to run of them: the longest first in all.

    Args:
        found: What each prompt shares; None where nothing.
        length: Rough length of a prompt by its number, in tokens.
        n_units: Units at a time, at most.
        room: Positions whose keys and values can be kept.
    """
    units: dict[Hashable, list[int]] = {}
    order = []
    for number, beginning in enumerate(found):
        if beginning is None:
            order.append(number)
        elif beginning.has_audio:
            units.setdefault(beginning.keys[0], []).append(number)
        else:
            units.setdefault(beginning.keys[-1] if beginning.keys else number, []).append(number)
    order.sort(key=lambda number: -length(number))
    left = sorted(units.values(), key=lambda unit: -max(map(length, unit)))
    taken: list[int] = []
    kept: dict[Hashable, int] = {}
    n_taken = 0
    for unit in left:
        parts = {
            key: n_tokens
            for number in unit
            for key, n_tokens in _parts(found[number], length(number)).items()
        }
        if taken and (n_taken == n_units or sum({**kept, **parts}.values()) > room):
            order += _by_rest(taken, found, sum(kept.values()) <= room)
            taken, n_taken, kept = [], 0, {}
        taken += unit
        n_taken += 1
        kept |= parts
    return order + _by_rest(taken, found, sum(kept.values()) <= room)


def _parts(beginning: Beginning | None, length: int) -> dict[Hashable, int]:
    """Return the lengths of the parts of a beginning, the first one's roughly."""
    if beginning is None:
        return {}
    n_tokens = [len(part) for part in beginning.parts]
    return dict(zip(beginning.keys, [length] * beginning.has_audio + n_tokens, strict=True))


def _by_rest(numbers: list[int], found: Sequence[Beginning | None], fits: bool) -> list[int]:
    """Sort by what is left to run; by text, so that parts meet, where these do not fit."""

    def key(number: int) -> tuple[bytes, int, int]:
        beginning = found[number]
        if beginning is None:
            return b"", 0, number
        text = b"" if fits else b"".join(part.tobytes() for part in beginning.parts)
        return text, -len(beginning.rest), number

    return sorted(numbers, key=key)

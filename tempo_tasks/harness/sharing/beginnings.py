"""Where prompts begin alike: up to their last audio token, and on from there in their text.

Three questions about a caption share the caption, all questions of one kind about silence their
wording. Nothing is computed here; see `prefix_sharing`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
LEAST = 32
"""Tokens that a common part of texts must save in all: one more forward call takes as long."""


@dataclass(frozen=True)
class Beginning:
    """What a prompt shares with others, part by part.

    Attributes:
        keys: What is equal for prompts with the same beginning up to the end of each part.
        parts: Token ids of the parts that are text; one less than `keys` where the first is audio.
        rest: Token ids behind them: never empty.
    """

    keys: tuple[Hashable, ...]
    parts: tuple[Ids, ...]
    rest: Ids

    @property
    def text(self) -> Ids:
        """All token ids behind the audio; of a prompt without audio, all of them."""
        return np.concatenate([*self.parts, self.rest])

    @property
    def has_audio(self) -> bool:
        """Whether the first part is the template and the audio."""
        return len(self.keys) > len(self.parts)


def common_parts(texts: Sequence[Ids]) -> list[list[int]]:
    """Return where texts are best cut, so that what they have in common is computed once.

    Args:
        texts: Token ids of each.

    Returns:
        For each text the ends of its shared parts, ascending; at least one token is left behind the
        last of them.
    """
    # As bytes, most significant first, which sort as the numbers do and take little memory.
    order = sorted(range(len(texts)), key=lambda number: texts[number].astype(">i4").tobytes())
    cuts: list[list[int]] = [[] for _ in texts]
    ranges = [(0, len(order), 0, 0)]  # of the order: those alike up to a place, and their last cut
    while ranges:
        low, high, alike, cut = ranges.pop()
        if high - low < 2:
            continue
        members = [texts[number] for number in order[low:high]]
        shortest = min(map(len, members)) - 1
        end = max(alike, min(shortest, _n_alike(members[0], members[-1])))
        if (high - low - 1) * (end - cut) >= LEAST:
            cut = end
            for number in order[low:high]:
                cuts[number].append(end)
        start = low
        for place in range(low + 1, high + 1):  # those that go on alike
            if place == high or _token(members[place - low], end) != _token(
                members[start - low], end
            ):
                if (start, place) != (low, high):
                    ranges.append((start, place, end, cut))
                start = place
    return cuts


def _n_alike(one: Ids, other: Ids) -> int:
    """Return how many tokens two texts have in common at their start."""
    n = min(len(one), len(other))
    different = np.flatnonzero(one[:n] != other[:n])
    return int(different[0]) if len(different) else n


def _token(ids: Ids, place: int) -> int:
    return int(ids[place]) if place < len(ids) else -1


def cut_at(first: Hashable, text: Ids, cuts: Sequence[int], *, has_audio: bool) -> Beginning:
    """Return the parts of a prompt.

    Args:
        first: The key of what stands before the text.
        text: The token ids behind it.
        cuts: Where the text's shared parts end.
        has_audio: Whether something stands before the text.
    """
    before = (first,) if has_audio else ()
    keys = tuple((first, text[:cut].tobytes()) for cut in cuts)
    parts = tuple(text[start:end] for start, end in zip((0, *cuts), cuts, strict=False))
    return Beginning((*before, *keys), parts, text[cuts[-1] if cuts else 0 :])

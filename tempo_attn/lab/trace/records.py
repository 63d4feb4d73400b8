"""What causal tracing keeps of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from torch import Tensor

from tempo_attn.lab.item_records import ItemRecord, is_right
from tempo_attn.lab.items import Item

Direction = Literal["recover", "shift"]
DIRECTIONS: tuple[Direction, ...] = ("recover", "shift")
"""recover: clean states into the corrupted run; shift: corrupted states into the clean run."""
SMALLEST_GAP = 1e-4
"""Of the right answer's probability in the two runs; below it a rate is rounding alone."""
DROPPED = ("clean answer wrong", "corrupted answer right", "no gap")


@dataclass(frozen=True, kw_only=True)
class TraceRecord(ItemRecord):
    """What patches do to one item; see `ItemRecord`. `plain` is of the clean run.

    Attributes:
        corrupted: The candidates' logits of the corrupted run.
        dropped: Why nothing was patched: one of `DROPPED`; None if it was.
        patched: By direction: the right answer's probability (among the candidates) under every
            patch, in the order of the sites; empty where nothing was patched.
        twin_answer: The right answer of the corrupted run, where it has one of its own.
        twin: As `patched`: the probability of that answer.
        attributed: By direction: the change of the right answer's probability by every patch that
            is not random, to first order.
        engine: What ran the patches: "fast", "full" (one forward for every patch), or
            "gradient" where they are attributed alone.
    """

    corrupted: Sequence[float]
    dropped: str | None
    twin_answer: int | None = None
    patched: Mapping[str, Sequence[float]] = field(default_factory=dict)
    twin: Mapping[str, Sequence[float]] = field(default_factory=dict)
    attributed: Mapping[str, Sequence[float]] = field(default_factory=dict)
    engine: str = "fast"


def dropped(item: Item, clean: Tensor, corrupted: Tensor) -> str | None:
    """Return why an item tells nothing about what its audio does, or None.

    Args:
        item: The item.
        clean: The candidates' logits of its clean run, (candidates,), on the CPU.
        corrupted: Those of its corrupted run.
    """
    answer = np.array(item.answer)
    if not bool(is_right(clean.double().numpy(), answer)):
        return "clean answer wrong"
    if bool(is_right(corrupted.double().numpy(), answer)):
        return "corrupted answer right"
    gap = clean.double().softmax(-1) - corrupted.double().softmax(-1)
    return None if float(gap[item.answer]) > SMALLEST_GAP else "no gap"

"""What is kept of an item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tempo_attn.lab.item_records import ItemRecord


@dataclass(frozen=True, kw_only=True)
class SteerRecord(ItemRecord):
    """One item's answers with the name of each option moved; see `ItemRecord`.

    Attributes:
        control: The candidates' logits with every option's name moved by nothing, alpha = 0, on
            the same engine, (options, candidates).
        pushed: The candidates' logits with each option's name moved by each push, (pushes,
            options, candidates); options stand in the order of their candidates.
        engine: What ran the pushes: "fast" or "full".
    """

    control: Sequence[Sequence[float]]
    pushed: Sequence[Sequence[Sequence[float]]]
    engine: str

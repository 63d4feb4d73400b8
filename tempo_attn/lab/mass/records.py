"""What a measurement of attention mass keeps of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tempo_attn.lab.item_records import ItemRecord


@dataclass(frozen=True, kw_only=True)
class MassRecord(ItemRecord):
    """Where one item's query rows attend to; see `ItemRecord`.

    Attributes:
        audio: By set of rows ("last+keyword"): the attention mass on audio in each layer, 0 to 1,
            mean over heads and rows; None where the layer has no attention.
        first: Likewise the mass on the prompt's first token, which often is an attention sink.
    """

    audio: Mapping[str, Sequence[float | None]]
    first: Mapping[str, Sequence[float | None]]

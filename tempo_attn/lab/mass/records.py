"""What a measurement of attention mass keeps of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tempo_attn.lab.item_records import ItemRecord


@dataclass(frozen=True, kw_only=True)
class MassRecord(ItemRecord):
    """Where one item's query rows attend to; see `ItemRecord`.

    Attributes:
        audio: By set of rows ("last+keyword"): the attention mass on audio in each layer, 0 to 1,
            mean over heads and rows; None where the layer has no attention.
        first: Likewise the mass on the prompt's first token, which often is an attention sink.
        over_time: By set of rows and layer ("3"): the attention on every audio position, in their
            order, mean over heads and rows; its sum is the layer's mass on audio. None where the
            run does not record it.
    """

    audio: Mapping[str, Sequence[float | None]]
    first: Mapping[str, Sequence[float | None]]
    over_time: Mapping[str, Mapping[str, Sequence[float] | None]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON data, without `over_time` where it is not recorded."""
        data = super().to_dict()
        if self.over_time is None:
            del data["over_time"]
        return data

"""What a measurement of heads keeps of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tempo_attn.lab.item_records import ItemRecord

ByHead = Sequence[Sequence[float] | None]
"""Attention masses, 0 to 1: by layer, then by query head; None where a layer has no attention."""

TARGETS = ("audio", "event", "text")
"""What heads attend to: all audio, the right event's own time, as much text as there is audio."""


@dataclass(frozen=True, kw_only=True)
class HeadRecord(ItemRecord):
    """Where every head of one item attends to; see `ItemRecord`.

    Attributes:
        audio: By set of rows ("last+keyword"): the attention mass on audio, mean over the rows.
        text: Likewise on text positions, as many as there are audio ones, drawn at random for each
            item; on all of them where there are fewer.
        event: Likewise on the audio positions in the time of the right answer's event; None where
            its time is not known.
    """

    audio: Mapping[str, ByHead]
    text: Mapping[str, ByHead]
    event: Mapping[str, ByHead] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON data, without `event` where it is not known."""
        data = super().to_dict()
        if self.event is None:
            del data["event"]
        return data

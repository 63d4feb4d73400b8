"""What a run of `tempo listen` keeps of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tempo_attn.lab.item_records import ItemRecord

NAME = "name"
"""The rows of an option's own name; what other rows are called stands in `AttnScaleConfig`."""
Reading = Literal["attention", "asked", "steered"]
READINGS: tuple[Reading, ...] = ("attention", "asked", "steered")
"""What is looked at: attention itself; its change from one instruction to another; its change where
the difference that the instructions make to hidden states is added. See `change`."""
ByHead = Sequence[Sequence[int] | None]
"""By layer, then by query head, the mean over heads last: where the window begins, in audio
positions; -1 where all windows are alike. None where the layer has no attention."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """The windows with the highest attention of one set of query rows, against one event.

    Attributes:
        rows: The query rows: "name" for those of the option's own name, or a set ("last").
        reading: What is looked at.
        option: Which option's event it is compared with, from 0.
        width: Audio positions of a window.
        starts: Where the windows begin.
        masses: Attention in those windows, by layer and head as `starts`; for changes the change.
        silent: As `starts`, where the clip is silent; None for changes.
    """

    rows: str
    reading: Reading
    option: int
    width: int
    starts: ByHead
    masses: Sequence[Sequence[float] | None]
    silent: ByHead | None = None


@dataclass(frozen=True, kw_only=True)
class ListenRecord(ItemRecord):
    """Where attention looks in the clip of one item; see `ItemRecord`.

    Attributes:
        rate: Audio positions a second.
        n_positions: Audio positions in the clip's time.
        events: By option: when its event sounds, in seconds; None where the clip does not have it.
        looks: The windows that were found.
        over_time: By set of rows and layer ("3"): attention on every audio position, mean over
            heads and rows; for "name" of the right option's rows. As in `tempo mass`.
    """

    rate: float
    n_positions: int
    events: Sequence[Sequence[Sequence[float]] | None]
    looks: Sequence[Look]
    over_time: Mapping[str, Mapping[str, Sequence[float] | None]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON data, without `over_time` where it is not recorded."""
        data = super().to_dict()
        if self.over_time is None:
            del data["over_time"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ListenRecord:
        """Read what `to_dict` wrote.

        Raises:
            RunFolderError: A field is missing, unknown or of another type.
        """
        record = super().from_dict(data)
        looks = [Look(**look) for look in data["looks"]]
        return cls(**{**vars(record), "looks": looks})

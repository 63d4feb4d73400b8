"""What the lens keeps of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tempo_attn.lab.item_records import ItemRecord


@dataclass(frozen=True, kw_only=True)
class LensRecord(ItemRecord):
    """What the lens reads of one item; see `ItemRecord`.

    Attributes:
        probabilities: By candidates ("letters", "labels"), then by set of rows: the candidates'
            probabilities behind each layer, mean over the rows, [layer][candidate]. None in place
            of the labels' where two options begin with the same token.
        labels: The first token of each option's name as it stands in the prompt; None where it was
            not looked for.
    """

    probabilities: Mapping[str, Mapping[str, Sequence[Sequence[float]]] | None]
    labels: Sequence[int] | None = None

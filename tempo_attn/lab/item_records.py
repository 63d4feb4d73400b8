"""What every experiment keeps of an item, and which answers are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tempo_attn.errors import RunFolderError
from tempo_attn.files.json_types import misfit
from tempo_attn.lab.run_folder.files import item_name
from tempo_attn.statistics import Array

if TYPE_CHECKING:
    from typing_extensions import Self

    from tempo_attn.lab.items import Item

POOLED = "all"
"""The `kind` of what is over the items of all kinds of a condition."""


@dataclass(frozen=True, kw_only=True)
class ItemRecord:
    """What every experiment keeps of an item.

    Attributes:
        key: SHA-256 of what the model is given and of the right answer.
        index: Place among the run's items.
        id: The item's name.
        cluster: What statistics resample: items of one cluster (questions about one clip, or about
            a quartet of alike clips) are not independent.
        kind: What is asked (eo, lo, ld, or anything else that groups items).
        condition: What is given (aqa, acqa, silence ...).
        answer: Index of the right candidate.
        plain: The candidates' logits without any edit.
    """

    key: str
    index: int
    id: str
    cluster: str
    kind: str
    condition: str
    answer: int
    plain: Sequence[float]

    @classmethod
    def of(cls, item: Item, **found: Any) -> Self:
        """Return the record of an item, with what was found out about it."""
        names = ("key", "index", "id", "cluster", "kind", "condition", "answer")
        return cls(**{name: getattr(item, name) for name in names}, **found)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            RunFolderError: A field is missing, unknown or of another type.
        """
        if wrong := misfit(data, cls):
            raise RunFolderError(
                f"{item_name(data)}: {wrong}; its line was damaged or is of another release: "
                "delete it, and run the same command again"
            )
        return cls(**data)


def margins(logits: Array, answers: Array) -> Array:
    """Return the right candidate's logit minus the highest other one.

    Args:
        logits: (..., candidates).
        answers: Index of the right candidate, broadcastable to the leading dimensions.
    """
    answers = np.broadcast_to(answers, logits.shape[:-1])[..., None]
    right = np.take_along_axis(logits, answers, -1)[..., 0]
    others = logits.copy()
    np.put_along_axis(others, answers, -np.inf, -1)
    difference: Array = right - others.max(-1)
    return difference


def is_right(logits: Array, answers: Array) -> Array:
    """Return whether the right candidate wins; a tie is no answer, so it is wrong."""
    right: Array = margins(logits, answers) > 0
    return right

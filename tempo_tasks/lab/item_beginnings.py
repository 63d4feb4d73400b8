"""How the prompts of items begin: what the laboratory computes once for all items of a clip."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from tempo_attn.lab.items import Item
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.sharing.shared_inputs import beginnings, texts_behind_audio


class ItemBeginnings:
    """The beginnings of items as the harness makes and shares them.

    Args:
        lm: The model as the harness has it.

    Attributes:
        pad: Token id of padding.
        reason: Why nothing can be shared, as `share_prefix=False`; empty where it can.
    """

    def __init__(self, lm: LALM) -> None:
        self._lm = lm
        lm.sharing.look_at(lm)
        self.reason = lm.sharing.reason
        self.pad: int = lm.tokenizer.pad_token_id

    def key(self, item: Item) -> Hashable:
        """Return what is equal for items that begin alike; silence of one length is one clip."""
        return self._lm.sharing.key(self._lm, item.content)

    def inputs(self, item: Item) -> Mapping[str, Any]:
        """Return the model inputs of an item's beginning alone."""
        rows = [item.content]
        inputs = self._lm.deliver(*self._lm.ahead.take(rows))
        return beginnings(self._lm, inputs, texts_behind_audio(self._lm, rows))

    def question(self, item: Item) -> list[int]:
        """Return the token ids behind an item's beginning."""
        (ids,) = texts_behind_audio(self._lm, [item.content])
        found: list[int] = ids.tolist()
        return found

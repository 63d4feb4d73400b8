"""The prompts of a generation, which is many forward calls that follow each other."""

from __future__ import annotations

from torch import Tensor

from tempo_attn.runtime.key_value_cache import CacheNote


class Generation:
    """The prompts of a generation that is under way.

    Args:
        note: What is known of the prompts.
    """

    def __init__(self, note: CacheNote) -> None:
        self._first = note
        self._by_rows = {len(note.prompt.real): note}

    def note_for(
        self,
        ids: Tensor | None,
        cached: int,
        shape: tuple[int, int],
        on_cache: CacheNote | None,
    ) -> CacheNote | None:
        """Return the note on the prompts, if a call belongs to this generation.

        Others may be made meanwhile: a logits processor may call the model on another prompt.

        Args:
            ids: The call's token ids, (batch, positions), where there are any.
            cached: Positions that its cache holds.
            shape: (batch, positions) of the call.
            on_cache: The note that lies on its cache.
        """
        if shape[0] not in self._by_rows:  # beams, or several sequences for each prompt
            if shape[0] % len(self._first.prompt.real):
                return None
            self._by_rows[shape[0]] = self._first.expanded(shape[0])
        note = self._by_rows[shape[0]]
        if cached:
            return note if on_cache is note else None
        own_ids = note.prompt.ids
        if ids is None or own_ids is None:
            return note if shape[1] == note.prompt.real.shape[1] else None
        n_same = min(shape[1], own_ids.shape[1])
        return note if ids[:, :n_same].cpu().equal(own_ids[:, :n_same]) else None

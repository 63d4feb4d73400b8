"""Keys and values of a prompt's earlier chunks and of its answer, for one request and layer.

An engine keeps them in pages whose layout belongs to its attention kernel. What is kept here is in
plain layout, independent of any kernel, and only for rows still to be edited: a request whose whole
prompt comes in one chunk, and whose answer is not edited, keeps nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tempo_attn.errors import EditNotAppliedError


class KeyStore:
    """Keys and values in the order of their positions; the room doubles when it is full.

    Args:
        room: Positions to make room for at first.
    """

    def __init__(self, room: int) -> None:
        self.length = 0
        self._room = room
        self._kept: tuple[Tensor, Tensor] | None = None

    def extend(self, first: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add positions and return all so far.

        Args:
            first: Position of the first one. At 0 the store begins anew: a request that was
                preempted is computed again.
            key: (positions, key/value heads, dim).
            value: Of the same shape as `key`, but for its dim.

        Raises:
            EditNotAppliedError: Positions before `first` were never seen.
        """
        if first == 0:
            self.length = 0
        if first != self.length:
            raise EditNotAppliedError(
                f"an edited request goes on at position {first}, and the keys of its first "
                f"{self.length} positions are known; expected all before it. The engine took keys "
                "from a cache that the edit does not know: start it by `tempo serve`"
            )
        stop = first + len(key)
        if self._kept is None or stop > len(self._kept[0]):
            self._grow(stop, key, value)
        assert self._kept is not None
        for kept, new in zip(self._kept, (key, value), strict=True):
            kept[first:stop] = new
        self.length = stop
        return self._kept[0][:stop], self._kept[1][:stop]

    def _grow(self, stop: int, key: Tensor, value: Tensor) -> None:
        before = self._kept
        self._room = max(self._room, stop if before is None else 2 * len(before[0]), stop)
        grown = []
        for number, like in enumerate((key, value)):
            new = torch.empty(self._room, *like.shape[1:], dtype=like.dtype, device=like.device)
            if before is not None:
                new[: self.length] = before[number][: self.length]
            grown.append(new)
        self._kept = (grown[0], grown[1])

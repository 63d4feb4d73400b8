"""What one forward call edits: query rows, edited keys, and which of these each row sees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from tempo_attn.attention.masks import Visibility, fit_width, key_offset, visible_keys


@dataclass
class RowPlan:
    """What one forward call edits; shared by all layers of the edit.

    Attributes:
        rows: (batch, most rows) query indices within the call, padded with 0.
        where: Batch index, column of `rows` and query index of every chosen row: three (n,).
        keys: (batch, positions) bool: the edited keys by absolute position.
        first: Absolute position of the call's first query.
        n_queries: Queries of the call.
        mode: A name in `tempo_attn.modes.MODES`.
        strength: The mode's strength, or one for each batch row, (batch,).
        heads: Edited query heads by layer; None for all.
        whole: Every query of the call is chosen.
    """

    rows: Tensor
    where: tuple[Tensor, Tensor, Tensor]
    keys: Tensor
    first: int
    n_queries: int
    mode: str
    strength: float | Tensor | None
    heads: dict[int, list[int] | None]
    whole: bool
    _moved: dict[torch.device, RowPlan] = field(default_factory=dict, repr=False)
    _tails: dict[int, RowPlan] = field(default_factory=dict, repr=False)
    _visible: dict[Any, VisibleRows] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        chosen: Tensor,
        keys: Tensor,
        first: int,
        mode: str,
        strength: float | Tensor | None,
        heads: dict[int, list[int] | None],
    ) -> RowPlan:
        """Make a plan from a (batch, queries) bool mask of the chosen rows."""
        batch, queries = chosen.nonzero(as_tuple=True)
        columns = (chosen.cumsum(1) - 1)[batch, queries]
        rows = torch.zeros(len(chosen), int(chosen.sum(1).max()), dtype=torch.long)
        rows[batch, columns] = queries
        where, n_queries, whole = (batch, columns, queries), chosen.shape[1], bool(chosen.all())
        return cls(rows, where, keys, first, n_queries, mode, strength, heads, whole)

    def tail(self, n_queries: int) -> RowPlan:
        """Return the plan for the call's last queries.

        Layers that reuse the keys of earlier ones (Gemma 4) may run for those only that are asked
        for: the others would reach nothing. Asked before `on`.
        """
        if n_queries == self.n_queries:
            return self
        if n_queries not in self._tails:
            batch, _, queries = self.where
            chosen = torch.zeros(len(self.rows), self.n_queries, dtype=torch.bool)
            chosen[batch, queries] = True
            self._tails[n_queries] = RowPlan.of(
                chosen[:, -n_queries:],
                self.keys,
                self.first + self.n_queries - n_queries,
                self.mode,
                self.strength,
                self.heads,
            )
        return self._tails[n_queries]

    def advance(self, first: int) -> None:
        """Use the plan again, at a later absolute position."""
        for plan in (self, *self._moved.values()):
            plan.first = first
            plan._visible.clear()

    def on(self, device: torch.device) -> RowPlan:
        """Return the plan with its tensors on a device (layers may lie on several)."""
        if self.rows.device == device:
            return self
        if device not in self._moved:
            strength = self.strength
            moved = replace(self, _moved={}, _tails={}, _visible={})
            moved.rows, moved.keys = self.rows.to(device), self.keys.to(device)
            moved.where = tuple(t.to(device) for t in self.where)  # type: ignore[assignment]
            moved.strength = strength.to(device) if isinstance(strength, Tensor) else strength
            self._moved[device] = moved
        return self._moved[device]

    def visible(self, start: int, stop: int, mask: Any, *how: Any) -> VisibleRows:
        """Return what a block of rows sees; worked out once for all layers with the same mask.

        Args:
            start: The block's first column of `rows`.
            stop: The column after its last one.
            mask: The base kernel's mask.
            how: The further arguments of `visible_keys`.
        """
        key = (start, stop, id(mask), *how)
        if key not in self._visible:
            rows = self.rows[:, start:stop]
            n_queries, n_keys = how[:2]
            sight = visible_keys(mask, rows, self.first, *how)
            offset = key_offset(self.first, n_queries, n_keys)
            keys = fit_width(self.keys[:, offset : offset + n_keys], n_keys)[:, None, None, :]
            keys = keys & sight.allowed
            block = (self.where[1] >= start) & (self.where[1] < stop)
            batch, columns, queries = (index[block] for index in self.where)
            columns = columns - start
            hits = torch.zeros(len(rows), dtype=torch.int32, device=rows.device)
            hits.index_add_(0, batch, keys.any(-1).any(1)[batch, columns].int())
            where = (batch, columns, queries)
            self._visible[key] = VisibleRows(mask, rows, where, sight, keys, hits > 0)
        return self._visible[key]


@dataclass(frozen=True)
class VisibleRows:
    """What a block of query rows sees.

    Attributes:
        mask: The base kernel's mask; kept so that no other one can take its identity meanwhile.
        rows: (batch, rows) query indices within the call, as in `RowPlan`.
        where: The block's part of the plan's `where`; columns count from the block's first one.
        sight: What each row sees: see `visible_keys`.
        keys: (batch, 1 or heads, rows, keys) bool: the edited keys that each row sees.
        seen: (batch,) bool: some chosen row sees some edited key.
    """

    mask: Any
    rows: Tensor
    where: tuple[Tensor, Tensor, Tensor]
    sight: Visibility
    keys: Tensor
    seen: Tensor


class Session(Protocol):
    """What an edited layer asks during a forward call; `runtime.tracker` answers."""

    def plan_for(self, layer: int) -> RowPlan | None:
        """Return what to edit in this call, or None."""

    def applied(self, layer: int, seen: Tensor) -> None:
        """Take note of an edit; `seen`, (batch,): some chosen row saw some edited key."""

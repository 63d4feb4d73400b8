"""The one attention function: the model's own kernel for all rows, the chosen rows again by hand.

Row split (design measured on small models): the base kernel (sdpa, flash, eager) runs unchanged;
only the chosen query rows are recomputed from queries and keys, edited, and written over the
kernel's. Every other row is bit-identical and nothing of size (queries, keys) is ever built.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tempo_attn.attention.masks import Visibility, fit_width, key_offset, visible_keys
from tempo_attn.attention.mode_formulas import edit_logits
from tempo_attn.attention.row_attention import logits_of, probabilities_of, weighted
from tempo_attn.errors import AdapterError

MAX_BLOCK = 2**25
"""Logits that are held at once, in elements; more rows than fit are done in blocks."""

Attention = tuple[Tensor, Tensor | None]
_AS_IS: AbstractContextManager[Any] = nullcontext()


@dataclass
class RowPlan:
    """What one forward call edits; shared by all layers of the edit.

    Attributes:
        rows: (batch, most rows) query indices within the call, padded with 0.
        where: Batch index, column of `rows` and query index of every chosen row: three (n,).
        keys: (batch, positions) bool: the edited keys by absolute position.
        first: Absolute position of the call's first query.
        n_queries: Queries of the call.
        mode: A mode of `AttnScaleConfig`.
        strength: alpha or b, or one for each batch row, (batch,).
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
    _visible: dict[Any, _Visible] = field(default_factory=dict, repr=False)

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

    def visible(self, start: int, stop: int, mask: Any, *how: Any) -> _Visible:
        """Return what a block of rows sees; worked out once for all layers with the same mask.

        Args:
            start: First column of `rows`.
            stop: Behind its last one.
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
            self._visible[key] = _Visible(mask, rows, where, sight, keys, hits > 0)
        return self._visible[key]


@dataclass(frozen=True)
class _Visible:
    """What a block of rows sees: see `visible_keys` and `RowPlan`.

    The mask is kept so that no other one can take its identity while this is in use.
    """

    mask: Any
    rows: Tensor
    where: tuple[Tensor, Tensor, Tensor]
    sight: Visibility
    keys: Tensor  # edited keys that each row sees
    seen: Tensor  # (batch,): some chosen row sees some edited key


class Session(Protocol):
    """What an edited layer asks during a forward call."""

    def plan_for(self, layer: int) -> RowPlan | None:
        """Return what to edit in this call, or None."""

    def applied(self, layer: int, seen: Tensor) -> None:
        """Take note of an edit; `seen`, (batch,): some chosen row saw some edited key."""


@dataclass
class LayerEdit:
    """Set as `_tempo_edit` on a redirected attention module."""

    layer: int
    session: Session

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise AdapterError(
            "a model with edited attention can be neither copied nor pickled, as the copy would "
            "stay edited for ever: copy the wrapper (copy.deepcopy), or unload() it first"
        )


@dataclass(frozen=True)
class AttentionCall:
    """One call of an attention module: the arguments of `attend`, which see."""

    base: Callable[[], Attention]
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Any
    scaling: float
    sliding_window: int | None
    softcap: float | None
    is_causal: bool


@dataclass
class LayerTakeover:
    """Set as `_tempo_edit` on a redirected module whose attention is worked out by `run`.

    The laboratory runs single layers this way; see `tempo_attn.lab.engine.prefill`.
    """

    layer: int
    run: Callable[[int, AttentionCall], Attention]


def attend(
    module: nn.Module,
    base: Callable[[], Attention],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    *,
    scaling: float,
    sliding_window: int | None = None,
    softcap: float | None = None,
    is_causal: bool = True,
    dropout: float = 0.0,
    base_gives_weights: bool = False,
) -> Attention:
    """Run `base` and replace the rows that the module's edit chooses.

    Args:
        module: An attention module with `_tempo_edit`.
        base: The model's own attention, as it would have been called.
        query: (batch, heads, queries, dim), after rotary embedding.
        key: (batch, key/value heads, keys, dim), after the cache, not repeated.
        value: As `key`.
        attention_mask: What the base kernel takes: None, (batch, keys) padding, (batch, 1 or heads,
            queries, keys) bool or additive, or a flex-attention block mask.
        scaling: Factor of query times key.
        sliding_window: Number of keys a query sees, itself included; None for all.
        softcap: Bound of tanh soft-capping, applied before the edit as in the model.
        is_causal: Whether no mask means a causal one.
        dropout: Probability of dropping an attention weight.
        base_gives_weights: The base returns (batch, heads, queries, keys) weights too.

    Returns:
        Output (batch, queries, heads, dim) and the base's weights, if any, with the edited rows.
    """
    edit: LayerEdit | LayerTakeover = module._tempo_edit  # type: ignore[assignment]
    if isinstance(edit, LayerTakeover):
        how_called = (scaling, sliding_window, softcap, is_causal)
        call = AttentionCall(base, query, key, value, attention_mask, *how_called)
        return edit.run(edit.layer, call)
    plan = edit.session.plan_for(edit.layer)
    if plan is None:
        return base()
    plan = plan.tail(query.shape[2]).on(query.device)
    if not plan.rows.shape[1]:  # the layer computes none of the chosen rows
        edit.session.applied(edit.layer, torch.zeros(len(query), dtype=torch.bool))
        return base()
    heads = plan.heads[edit.layer]
    how = (query.shape[2], key.shape[2], sliding_window, is_causal)
    n_rows = plan.rows.shape[1]
    step = max(1, MAX_BLOCK // (query.shape[0] * query.shape[1] * key.shape[2]))
    if plan.whole and heads is None and not base_gives_weights and n_rows <= step:
        # Nothing of the kernel's would be left, as in most decoding steps.
        rows = plan.visible(0, n_rows, attention_mask, *how)
        context, _ = _recompute(query, key, value, plan, rows, scaling, softcap, dropout)
        edit.session.applied(edit.layer, rows.seen)
        return context.transpose(1, 2).to(query.dtype).contiguous(), None
    out, extra = base()
    weights = extra if base_gives_weights else None  # flex attention gives something else
    if out.requires_grad:  # the kernel keeps its output for the backward pass
        out = out.clone()
        weights = weights.clone() if weights is not None else None
    seen = torch.zeros(len(query), dtype=torch.bool, device=query.device)
    for start in range(0, n_rows, step):
        rows = plan.visible(start, min(start + step, n_rows), attention_mask, *how)
        context, probabilities = _recompute(
            query, key, value, plan, rows, scaling, softcap, dropout
        )
        _write(out, context, rows.where, heads)
        if weights is not None:
            _write(weights.transpose(1, 2), probabilities, rows.where, heads)
        seen |= rows.seen
    edit.session.applied(edit.layer, seen)
    return out, extra if weights is None else weights


def _write(
    target: Tensor, new: Tensor, where: tuple[Tensor, Tensor, Tensor], heads: list[int] | None
) -> None:
    """Write (batch, heads, rows, ...) over the chosen rows of (batch, queries, heads, ...)."""
    batch, columns, queries = where
    new = new.transpose(1, 2)[batch, columns].to(target.dtype)
    if heads is None:
        target[batch, queries] = new
    else:
        chosen = torch.tensor(heads, device=target.device)
        target[batch[:, None], queries[:, None], chosen] = new[:, chosen]


def _recompute(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    plan: RowPlan,
    rows: _Visible,
    scaling: float,
    softcap: float | None,
    dropout: float,
) -> tuple[Tensor, Tensor]:
    """Attention of a block of rows, at least in float32.

    Returns:
        Context (batch, heads, rows, dim) and probabilities (batch, heads, rows, keys).
    """
    n_heads, n_queries, dim = query.shape[1:]
    device = query.device.type
    lifted = torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else _AS_IS
    with lifted:
        if not plan.whole or rows.rows.shape[1] < n_queries:
            index = rows.rows[:, None, :, None].expand(-1, n_heads, -1, dim)
            query = query.gather(2, index)
        logits = logits_of(query, key, scaling, softcap)
        logits = edit_logits(logits, rows.keys, plan.mode, plan.strength, rows.sight.bias)
        probabilities = probabilities_of(logits, rows.sight, hidden=-torch.inf)
        dropped = nn.functional.dropout(probabilities, dropout) if dropout else probabilities
        return weighted(dropped, value), probabilities

"""The one attention function: the model's own kernel for all rows, the chosen rows again by hand.

Row split (design measured on small models): the base kernel (sdpa, flash, eager) runs unchanged;
only the chosen query rows are recomputed from queries and keys, edited, and written over the
kernel's. Every other row is bit-identical and nothing of size (queries, keys) is ever built.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tempo_attn.attention.mode_formulas import edit_logits
from tempo_attn.attention.row_attention import logits_of, probabilities_of, weighted
from tempo_attn.attention.row_plan import RowPlan, Session, VisibleRows
from tempo_attn.errors import AdapterError

MAX_BLOCK = 2**25
"""Logits that are held at once, in elements; more rows than fit are done in blocks."""

Attention = tuple[Tensor, Tensor | None]
_AS_IS: AbstractContextManager[Any] = nullcontext()


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
    """One call of an attention module; see `attend`, whose arguments these are."""

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
        value: Of the same shape as `key`.
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
    rows: VisibleRows,
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

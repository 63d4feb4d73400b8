"""The full engine: one full forward of the model for every variant.

For models whose layers cannot be run one by one, and for checking the fast engine. The model's own
kernel runs for all rows, and the edited ones are worked out again and written over it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from tempo_attn.attention.edited_attention import Attention, AttentionCall
from tempo_attn.attention.hidden_states import StateHooks
from tempo_attn.attention.row_attention import context_of
from tempo_attn.lab.engine.growing_batch import rows_at
from tempo_attn.lab.engine.model_under_study import RowsLeftOut
from tempo_attn.lab.engine.prefill import Decoder
from tempo_attn.lab.engine.query_rows import row_logits
from tempo_attn.lab.sweep.edited_rows import EditedRows
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.modes import MODES


def run_full(
    decoder: Decoder, forward: Callable[[], Any], edited: EditedRows, variant: Variant
) -> tuple[Any, Tensor]:
    """Run the model with one variant.

    Args:
        decoder: The decoder, in hand.
        forward: Calls the model without a cache.
        edited: The variant's rows.
        variant: The edit, control or random perturbation.

    Returns:
        What `forward` returned, and the audio statistics (items, 4).

    Raises:
        RowsLeftOut: An edited layer did not run for all rows.
    """
    if MODES[variant.mode].edits_states:
        return run_enriched(decoder, forward, edited, variant)
    return run_by_layer(decoder, forward, edited, dict.fromkeys(variant.layers, variant))


def run_by_layer(
    decoder: Decoder,
    forward: Callable[[], Any],
    edited: EditedRows,
    variants: Mapping[int, Variant],
) -> tuple[Any, Tensor]:
    """Run the model with an edit that differs from layer to layer; see `run_full`.

    Args:
        decoder: The decoder, in hand.
        forward: Calls the model without a cache.
        edited: The rows, the same in all layers.
        variants: The edit of attention of each edited layer.
    """
    statistics: list[Tensor] = []

    def attend(layer: int, call: AttentionCall) -> Attention:
        out, weights = call.base()
        if (variant := variants.get(layer)) is not None:
            if call.query.shape[2] < call.key.shape[2]:
                raise RowsLeftOut
            rows, noted = attend_rows(call, edited, variant)
            statistics.append(noted.to(edited.index.device))
            batch = torch.arange(len(rows), device=rows.device)[:, None]
            out = out.clone()
            out[batch, edited.on(out.device).index] = rows.transpose(1, 2).to(out.dtype)
        return out, weights

    with decoder.attending(attend):
        returned = forward()
    return returned, torch.stack(statistics).mean(0)


def run_enriched(
    decoder: Decoder, forward: Callable[[], Any], edited: EditedRows, variant: Variant
) -> tuple[Any, Tensor]:
    """Run the model with an enrichment; see `run_full`. Audio statistics are not defined: NaN."""
    early: list[Tensor] = []

    def keep(states: Tensor) -> None:
        early[:] = [_rows_of(states, edited)]

    def mix(states: Tensor) -> Tensor:
        rows = edited.on(states.device)
        deep = _rows_of(states, edited)[:, None]
        new = rows.enrich(deep, early[0].to(deep.device), [variant])[:, 0]
        return states.scatter(1, rows.index[..., None].expand_as(new), new)

    assert variant.source is not None
    with StateHooks() as hooks:
        hooks.on_output(decoder.layers[variant.source], keep)
        for layer in variant.layers:
            hooks.on_output(decoder.layers[layer], mix)
        returned = forward()
    return returned, torch.full((len(edited.index), 4), torch.nan, device=edited.index.device)


def _rows_of(states: Tensor, edited: EditedRows) -> Tensor:
    if states.shape[1] < edited.audio.shape[1]:
        raise RowsLeftOut
    return rows_at(states, edited.index)


def attend_rows(call: AttentionCall, edited: EditedRows, variant: Variant) -> tuple[Tensor, Tensor]:
    """Return the edited rows of a call, (items, heads, rows, dim), and the audio statistics."""
    edited = edited.on(call.query.device)
    logits, seen = row_logits(call, edited.index)
    new, statistics = edited.edit(logits[:, None], seen.map(lambda part: part[:, None]), [variant])
    return context_of(new[:, 0], seen, call.value), statistics[:, 0]

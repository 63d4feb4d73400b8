"""The attention of chosen query rows on a clip's audio positions, layer by layer and head by head.

Only the chosen rows' attention is worked out, and each layer's is handed on and forgotten before
the next: no map of all queries and keys is ever held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tempo_attn.attention.edited_attention import Attention, AttentionCall
from tempo_attn.attention.row_attention import probabilities_of
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy, RowsLeftOut
from tempo_attn.lab.engine.query_rows import QueryRows, row_logits
from tempo_attn.lab.items import Batch
from tempo_attn.statistics import Array

Profiles = list[list[Array]]
"""By item and set of rows: (query heads and, last, their mean; audio positions of the clip)."""


def over_time(
    subject: ModelUnderStudy,
    batch: Batch,
    sets: Sequence[Tensor],
    n_positions: Sequence[int],
    visit: Callable[[int, Profiles], None],
) -> Any:
    """Run a batch, and show each layer's attention on audio to `visit`.

    Args:
        subject: The model.
        batch: The prepared items.
        sets: Sets of query rows, each (items, tokens) bool, of at least one row an item; a set's
            attention is the mean over its rows.
        n_positions: How many of each item's audio positions are in its clip's time.
        visit: Is called with a layer's number and what it attends to.

    Returns:
        The model's output.
    """
    chosen = torch.stack(list(sets), 1)  # (items, sets, tokens)
    rows = QueryRows.of(chosen.any(1))
    at = rows.index[:, None].expand(-1, chosen.shape[1], -1)
    weights = (chosen.gather(2, at) & rows.valid[:, None]).double()
    weights /= weights.sum(2, keepdim=True)
    audio = [
        mask.nonzero().flatten()[:count].tolist()
        for mask, count in zip(batch.audio.cpu(), n_positions, strict=True)
    ]

    def attend(layer: int, call: AttentionCall) -> Attention:
        if call.query.shape[2] < call.key.shape[2]:
            raise RowsLeftOut
        attention = probabilities_of(*row_logits(call, rows.index.to(call.query.device)))
        # (items, 1, sets, rows) @ (items, heads, rows, keys)
        means = (weights.to(attention)[:, None] @ attention).float().cpu().double().numpy()
        found = []
        for item, places in enumerate(audio):
            on_audio = means[item][:, :, places].transpose(1, 0, 2)  # (sets, heads, positions)
            found.append([np.concatenate([one, one.mean(0, keepdims=True)]) for one in on_audio])
        visit(layer, found)
        return call.base()

    with subject.studied(), subject.decoder.attending(attend):
        return subject.on_all_rows(lambda: subject.call(batch))

"""How much attention goes to audio, layer by layer, from chosen query rows.

The probability that the softmax puts on audio keys, after arXiv 2606.17417 (there: from the final
prompt token, mean over heads and items). Only the chosen rows' attention is worked out, one layer
after another: no map of all queries and keys is ever held.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tempo_attn.attention.edited_attention import Attention, AttentionCall
from tempo_attn.attention.row_attention import probabilities_of
from tempo_attn.config import QUERIES
from tempo_attn.config_fields import some_of
from tempo_attn.errors import ConfigError
from tempo_attn.lab.engine.memory_and_batches import BatchPlan, InBatches
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy, RowsLeftOut, finite, rounded
from tempo_attn.lab.engine.query_rows import QueryRows, row_logits
from tempo_attn.lab.items import Batch, Item
from tempo_attn.lab.mass.records import MassRecord

RowSet = tuple[str, ...]


class MassMeter(InBatches[MassRecord]):
    """Measures attention mass.

    Args:
        subject: The model and how items become calls of it.
        rows: Sets of query rows, as `AttnScaleConfig.queries`.
        plan: How much runs at once.
    """

    def __init__(
        self,
        subject: ModelUnderStudy,
        rows: Sequence[Sequence[str]],
        *,
        plan: BatchPlan | None = None,
    ) -> None:
        if not rows:
            raise ConfigError("rows are missing: whose attention is to be measured?")
        self.subject = subject
        # Named as in the tables of a sweep, however they are written.
        self.rows: list[RowSet] = [tuple(some_of("rows", list(names), QUERIES)) for names in rows]
        self.plan = plan or BatchPlan()

    def measure(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Measure a prepared batch.

        Returns:
            The candidates' logits (items, candidates); and the mass on audio and on the first
            token, (items, sets of rows, layers, 2), NaN where a layer has no attention.
        """
        n_layers = len(self.subject.decoder.layers)
        device = self.subject.device
        sets = [QueryRows.of(batch.rows(names)) for names in self.rows]
        found = torch.full((len(batch.items), len(sets), n_layers, 2), torch.nan, device=device)
        first = torch.zeros_like(batch.real)
        first[torch.arange(len(first)), batch.real.int().argmax(1)] = True
        keys = torch.stack([batch.audio, first], -1).to(device, torch.float32)

        def attend(layer: int, call: AttentionCall) -> Attention:
            if call.query.shape[2] < call.key.shape[2]:
                raise RowsLeftOut
            for number, rows in enumerate(sets):
                index = rows.index.to(call.query.device)
                attention = probabilities_of(*row_logits(call, index)).mean(1)
                by_row = attention @ keys.to(attention)  # (items, rows, 2)
                weights = rows.valid.to(attention)[..., None]
                found[:, number, layer] = ((by_row * weights).sum(1) / weights.sum(1)).to(found)
            return call.base()

        with self.subject.studied(), self.subject.decoder.attending(attend):
            output = self.subject.on_all_rows(lambda: self.subject.call(batch))
        return self.subject.candidate_logits(output, batch), found

    def _records(self, items: Sequence[Item]) -> list[MassRecord]:
        plain, masses = self.measure(self.subject.read(items))
        finite(items, plain)
        names = ["+".join(rows) for rows in self.rows]
        plain_rows, mass_of = plain.double().cpu().tolist(), masses.double().cpu()
        return [
            MassRecord.of(
                item,
                plain=rounded(plain_rows[row]),
                audio=_by_rows(names, mass_of[row, :, :, 0]),
                first=_by_rows(names, mass_of[row, :, :, 1]),
            )
            for row, item in enumerate(items)
        ]


def _by_rows(names: Sequence[str], masses: Tensor) -> dict[str, list[float | None]]:
    return {name: rounded(layers) for name, layers in zip(names, masses.tolist(), strict=True)}

"""How much attention goes to audio, layer by layer, from chosen query rows.

The probability that the softmax puts on audio keys, after arXiv 2606.17417 (there: from the final
prompt token, mean over heads and items). Only the chosen rows' attention is worked out, one layer
after another: no map of all queries and keys is ever held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

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


class Measured(NamedTuple):
    """What is measured of a batch.

    Attributes:
        logits: The candidates' logits, (items, candidates).
        masses: The mass on audio and on the first token, (items, sets of rows, layers, 2), NaN
            where a layer has no attention.
        over_keys: By layer, for those that are recorded over time: the attention on every key,
            (items, sets of rows, keys), NaN likewise.
    """

    logits: Tensor
    masses: Tensor
    over_keys: Mapping[int, Tensor]


class MassMeter(InBatches[MassRecord]):
    """Measures attention mass.

    Args:
        subject: The model and how items become calls of it.
        rows: Sets of query rows, as `AttnScaleConfig.queries`.
        plan: How much runs at once.
        over_time: Layers, from 0, whose attention on every single audio position is recorded.

    Raises:
        ConfigError: No rows, unknown ones, or a layer that the model does not have.
    """

    def __init__(
        self,
        subject: ModelUnderStudy,
        rows: Sequence[Sequence[str]],
        *,
        plan: BatchPlan | None = None,
        over_time: Sequence[int] = (),
    ) -> None:
        if not rows:
            raise ConfigError("rows are missing: whose attention is to be measured?")
        self.subject = subject
        # Named as in the tables of a sweep, however they are written.
        self.rows: list[RowSet] = [tuple(some_of("rows", list(names), QUERIES)) for names in rows]
        self.plan = plan or BatchPlan()
        self.over_time = recorded_layers(over_time, len(subject.decoder.layers))

    def measure(self, batch: Batch) -> Measured:
        """Measure a prepared batch."""
        n_layers = len(self.subject.decoder.layers)
        device = self.subject.device
        sets = [QueryRows.of(batch.rows(names)) for names in self.rows]
        found = torch.full((len(batch.items), len(sets), n_layers, 2), torch.nan, device=device)
        shape = (len(batch.items), len(sets), batch.real.shape[1])
        over_keys = {layer: torch.full(shape, torch.nan, device=device) for layer in self.over_time}
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
                if layer in over_keys:
                    by_key = (attention * weights).sum(1) / weights.sum(1)
                    over_keys[layer][:, number] = by_key.to(found)
            return call.base()

        with self.subject.studied(), self.subject.decoder.attending(attend):
            output = self.subject.on_all_rows(lambda: self.subject.call(batch))
        return Measured(self.subject.candidate_logits(output, batch), found, over_keys)

    def _records(self, items: Sequence[Item]) -> list[MassRecord]:
        batch = self.subject.read(items)
        plain, masses, over_keys = self.measure(batch)
        finite(items, plain)
        names = ["+".join(rows) for rows in self.rows]
        plain_rows, mass_of = plain.double().cpu().tolist(), masses.double().cpu()
        return [
            MassRecord.of(
                item,
                plain=rounded(plain_rows[row]),
                audio=_by_rows(names, mass_of[row, :, :, 0]),
                first=_by_rows(names, mass_of[row, :, :, 1]),
                over_time=_over_time(names, over_keys, row, batch.audio[row]) or None,
            )
            for row, item in enumerate(items)
        ]


def recorded_layers(layers: Sequence[int], n_layers: int) -> list[int]:
    """Return in order the layers whose attention over time is recorded.

    Raises:
        ConfigError: The model does not have one of them.
    """
    if missing := [layer for layer in layers if not 0 <= layer < n_layers]:
        raise ConfigError(
            f"over_time: the model has no layer {missing[0]}; expected 0 to {n_layers - 1}"
        )
    return sorted(set(layers))


def _by_rows(names: Sequence[str], masses: Tensor) -> dict[str, list[float | None]]:
    return {name: rounded(layers) for name, layers in zip(names, masses.tolist(), strict=True)}


def _over_time(
    names: Sequence[str], over_keys: Mapping[int, Tensor], row: int, audio: Tensor
) -> dict[str, dict[str, list[float] | None]]:
    """Return one item's attention on its audio positions; None in a layer without attention."""
    if not over_keys:
        return {}
    on_audio = {layer: by_set[row].cpu()[:, audio.cpu()] for layer, by_set in over_keys.items()}
    return {
        name: {
            # A position's part is small: six decimals keep the sum to the mass's five.
            str(layer): None
            if bool(by_set[number].isnan().any())
            else [round(value, 6) for value in by_set[number].double().tolist()]
            for layer, by_set in on_audio.items()
        }
        for number, name in enumerate(names)
    }

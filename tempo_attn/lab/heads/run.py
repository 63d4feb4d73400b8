"""How much attention every head gives to audio, to the right event, and to text.

After arXiv 2603.06854, whose score of a head is the correlation of its attention mass on audio,
from the last prompt token, with correctness; the masses are measured here, the scores are in
`scores`. Only the chosen rows' attention is worked out, one layer after another: no map of all
queries and keys is ever held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
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
from tempo_attn.lab.engine.random_nulls import item_seeds
from tempo_attn.lab.heads.records import TARGETS, ByHead, HeadRecord
from tempo_attn.lab.items import Batch, Item

Spans = Mapping[str, Sequence[tuple[float, float]]]
"""By item key: when the right answer's event sounds, in audio positions from the clip's start."""


class HeadMeter(InBatches[HeadRecord]):
    """Measures the attention masses of every head.

    Args:
        subject: The model and how items become calls of it.
        rows: Sets of query rows, as `AttnScaleConfig.queries`.
        spans: When the right answers' events sound; items that are not in it have no `event`.
        plan: How much runs at once.
        seed: Seed of the text positions that are drawn.

    Raises:
        ConfigError: No rows, or unknown ones.
    """

    def __init__(
        self,
        subject: ModelUnderStudy,
        rows: Sequence[Sequence[str]],
        *,
        spans: Spans | None = None,
        plan: BatchPlan | None = None,
        seed: int = 0,
    ) -> None:
        if not rows:
            raise ConfigError("rows are missing: whose attention is to be measured?")
        self.subject = subject
        self.rows = [tuple(some_of("rows", list(names), QUERIES)) for names in rows]
        self.spans = spans or {}
        self.plan = plan or BatchPlan()
        self._seed = seed

    def measure(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Measure a prepared batch.

        Returns:
            The candidates' logits, (items, candidates); and the masses, (items, sets of rows,
            layers, heads, targets), NaN where a layer has no attention.
        """
        decoder, device = self.subject.decoder, self.subject.device
        sets = [QueryRows.of(batch.rows(names)) for names in self.rows]
        keys = self._targets(batch).to(device)
        found: dict[int, list[Tensor]] = {}

        def attend(layer: int, call: AttentionCall) -> Attention:
            if call.query.shape[2] < call.key.shape[2]:
                raise RowsLeftOut
            found[layer] = []
            for rows in sets:
                index = rows.index.to(call.query.device)
                attention = probabilities_of(*row_logits(call, index))
                by_row = attention @ keys.to(attention)[:, None]  # (items, heads, rows, targets)
                weights = rows.weights.to(attention)[:, None, :, None]
                found[layer].append((by_row * weights).sum(2).to(device))
            return call.base()

        with self.subject.studied(), decoder.attending(attend):
            output = self.subject.on_all_rows(lambda: self.subject.call(batch))
        n_heads = next(iter(found.values()))[0].shape[1]
        none = [torch.full((len(batch.items), n_heads, len(TARGETS)), torch.nan, device=device)]
        by_layer = [found.get(layer, none * len(sets)) for layer in range(len(decoder.layers))]
        masses = [torch.stack(of_set, 1) for of_set in zip(*by_layer, strict=True)]
        return self.subject.candidate_logits(output, batch), torch.stack(masses, 1)

    def _targets(self, batch: Batch) -> Tensor:
        """Return what counts as each target, (items, tokens, targets), 0 or 1."""
        event, text = torch.zeros_like(batch.audio), torch.zeros_like(batch.audio)
        first = batch.real.int().argmax(1)
        for row, (item, seeds) in enumerate(
            zip(batch.items, item_seeds(batch.items, self._seed), strict=True)
        ):
            audio = batch.audio[row].nonzero().flatten()
            for start, end in self.spans.get(item.key, ()):
                event[row, audio[max(0, math.floor(start)) : max(1, math.ceil(end))]] = True
            # The first token is left out: it often is an attention sink, whatever it says.
            others = batch.real[row] & ~batch.audio[row]
            others[first[row]] = False
            places = others.nonzero().flatten().tolist()
            drawn = np.random.default_rng(seeds).permutation(places)[: len(audio)]
            text[row, torch.as_tensor(drawn, dtype=torch.long)] = True
        return torch.stack([batch.audio, event, text], -1).float()

    def _records(self, items: Sequence[Item]) -> list[HeadRecord]:
        batch = self.subject.read(items)
        plain, masses = self.measure(batch)
        finite(items, plain)
        logits, masses = plain.double().cpu(), masses.double().cpu()
        return [
            HeadRecord.of(
                item,
                plain=rounded(logits[row].tolist()),
                **{
                    target: self._by_rows(masses[row, ..., number])
                    for number, target in enumerate(TARGETS)
                    if target != "event" or item.key in self.spans
                },
            )
            for row, item in enumerate(items)
        ]

    def _by_rows(self, masses: Tensor) -> dict[str, ByHead]:
        """Return the masses of one item and target, (sets of rows, layers, heads), by set."""
        return {
            "+".join(names): [
                None if math.isnan(heads[0]) else rounded(heads) for heads in of_set.tolist()
            ]
            for names, of_set in zip(self.rows, masses, strict=True)
        }

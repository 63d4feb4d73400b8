"""How attention is shared between audio and text, layer by layer, from chosen rows.

Share of the softmax on audio keys, after arXiv 2606.17417 (there: from the final prompt token, mean
over heads and items). Only the chosen rows' attention is worked out, one layer after another: no
map of all queries and keys is ever held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tempo_attn.attention import Attention, AttentionCall
from tempo_attn.config import QUERIES
from tempo_attn.config_checks import some_of
from tempo_attn.errors import ConfigError
from tempo_attn.lab.full import row_logits
from tempo_attn.lab.inference import cluster_sums, cluster_weights, interval_of_mean
from tempo_attn.lab.items import Batch, Item
from tempo_attn.lab.plan import Plan
from tempo_attn.lab.records import Array, ItemRecord, is_right
from tempo_attn.lab.rows import EditedRows
from tempo_attn.lab.subject import RowsLeftOut, Subject, finite, rounded
from tempo_attn.row_attention import probabilities_of

GROUPS = ("all", "right", "wrong")
RowSet = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ShareRecord(ItemRecord):
    """Where one item's rows attend to; see `ItemRecord`.

    Attributes:
        audio: By set of rows ("last+keyword"): the share of audio in each layer, mean over heads
            and rows; None where the layer has no attention.
        first: Likewise the share of the prompt's first token, which often is an attention sink.
    """

    audio: Mapping[str, Sequence[float | None]]
    first: Mapping[str, Sequence[float | None]]


class Sharer:
    """Measures attention shares.

    Args:
        subject: The model and how items become calls of it.
        rows: Sets of query rows, as `AttnScaleConfig.queries`.
        plan: How much runs at once.
    """

    def __init__(
        self, subject: Subject, rows: Sequence[Sequence[str]], *, plan: Plan | None = None
    ) -> None:
        if not rows:
            raise ConfigError("rows are missing: whose attention is to be measured?")
        self.subject = subject
        # Named as in the tables of a sweep, however they are written.
        self.rows: list[RowSet] = [tuple(some_of("rows", list(names), QUERIES)) for names in rows]
        self.plan = plan or Plan()

    def run(self, items: Sequence[Item]) -> Iterator[list[ShareRecord]]:
        """Run all items, batch by batch; see `Sweeper.run`."""
        for batch in self.plan.batches(items):
            yield self.run_batch(batch)

    def run_batch(self, items: Sequence[Item]) -> list[ShareRecord]:
        """Run one batch; where memory runs out it is halved and done again."""
        return self.plan.in_halves(items, self._records)

    def shares(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Measure a prepared batch.

        Returns:
            The candidates' logits (items, candidates); and the shares of audio and of the first
            token, (items, sets of rows, layers, 2), NaN where a layer has no attention.
        """
        n_layers = len(self.subject.decoder.layers)
        device = self.subject.device
        sets = [EditedRows.of(batch, names, 0, device) for names in self.rows]
        found = torch.full((len(batch.items), len(sets), n_layers, 2), torch.nan, device=device)
        first = torch.zeros_like(batch.real)
        first[torch.arange(len(first)), batch.real.int().argmax(1)] = True
        keys = torch.stack([batch.audio, first], -1).to(device, torch.float32)

        def attend(layer: int, call: AttentionCall) -> Attention:
            if call.query.shape[2] < call.key.shape[2]:
                raise RowsLeftOut
            for number, rows in enumerate(sets):
                rows = rows.on(call.query.device)
                shares = probabilities_of(*row_logits(call, rows.index)).mean(1)
                by_row = shares @ keys.to(shares)  # (items, rows, 2)
                weights = rows.valid.to(shares)[..., None]
                found[:, number, layer] = ((by_row * weights).sum(1) / weights.sum(1)).to(found)
            return call.base()

        with self.subject.studied(), self.subject.decoder.attending(attend):
            output = self.subject.on_all_rows(lambda: self.subject.call(batch))
        return self.subject.candidate_logits(output, batch), found

    def _records(self, items: Sequence[Item]) -> list[ShareRecord]:
        plain, shares = self.shares(self.subject.read(items))
        finite(items, plain)
        names = ["+".join(rows) for rows in self.rows]
        plain_rows, share_rows = plain.double().cpu().tolist(), shares.double().cpu()
        return [
            ShareRecord.of(
                item,
                plain=rounded(plain_rows[row]),
                audio=_by_rows(names, share_rows[row, :, :, 0]),
                first=_by_rows(names, share_rows[row, :, :, 1]),
            )
            for row, item in enumerate(items)
        ]


def _by_rows(names: Sequence[str], shares: Tensor) -> dict[str, list[float | None]]:
    return {name: rounded(layers) for name, layers in zip(names, shares.tolist(), strict=True)}


def share_rows(
    records: Sequence[ShareRecord], *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> list[dict[str, Any]]:
    """Return the table of shares: per kind, condition, group of items, set of rows and layer.

    Args:
        records: Of all items, in any order.
        resamples: As `interval_of_mean`, like the other arguments.
        seed: Of the resamples.
        level: Coverage of the intervals.

    Returns:
        Rows with `group` "all", "right" or "wrong" items: mean `share` of audio with its interval
        by clip (`low`, `high`), standard deviation over items `sd`, mean share of the `first`
        token, `text` (neither of the two); and with `group` "right - wrong": the difference of the
        two means with its interval.
    """
    ordered = sorted(records, key=lambda record: record.index)
    found = []
    for condition in dict.fromkeys(record.condition for record in ordered):
        for kind in dict.fromkeys(r.kind for r in ordered if r.condition == condition):
            mine = [r for r in ordered if (r.kind, r.condition) == (kind, condition)]
            right = is_right(
                np.array([r.plain for r in mine], dtype=float), np.array([r.answer for r in mine])
            )
            clips = np.unique([r.clip for r in mine], return_inverse=True)[1]
            how = {"resamples": resamples, "seed": seed, "level": level}
            for rows in mine[0].audio:
                audio = np.array([r.audio[rows] for r in mine], dtype=float)
                first = np.array([r.first[rows] for r in mine], dtype=float)
                labels = {"kind": kind, "condition": condition, "rows": rows}
                found += _table(labels, audio, first, right, clips, how)
    return found


def _table(
    labels: Mapping[str, Any],
    audio: Array,
    first: Array,
    right: Array,
    clips: Array,
    how: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the rows of one kind, condition and set of rows."""
    found = []
    for group, chosen in zip(GROUPS, (right | True, right, ~right), strict=True):
        if not chosen.any():
            continue
        intervals = interval_of_mean(audio[chosen], clips[chosen], **how)
        for layer in range(audio.shape[1]):
            share, sink = audio[chosen, layer].mean(), first[chosen, layer].mean()
            found.append(
                {
                    **labels,
                    "group": group,
                    "layer": layer,
                    "n": int(chosen.sum()),
                    "n_clips": len(np.unique(clips[chosen])),
                    "share": _number(share),
                    "low": _number(intervals[layer, 0]),
                    "high": _number(intervals[layer, 1]),
                    "sd": _number(audio[chosen, layer].std(ddof=1) if chosen.sum() > 1 else np.nan),
                    "first": _number(sink),
                    "text": _number(1 - share - sink),
                }
            )
    if right.any() and not right.all():
        low, high = _difference_interval(audio, right, clips, how)
        difference = audio[right].mean(0) - audio[~right].mean(0)
        found += [
            {
                **labels,
                "group": "right - wrong",
                "layer": layer,
                "n": len(right),
                "n_clips": len(np.unique(clips)),
                "share": _number(difference[layer]),
                "low": _number(low[layer]),
                "high": _number(high[layer]),
                "sd": None,
                "first": None,
                "text": None,
            }
            for layer in range(audio.shape[1])
        ]
    return found


def _difference_interval(
    audio: Array, right: Array, clips: Array, how: Mapping[str, Any]
) -> tuple[Array, Array]:
    """Percentile bootstrap over clips of a difference of two groups' means, (layers,) each."""
    if len(np.unique(clips)) < 2:  # one clip has no spread
        return (np.full(audio.shape[1], np.nan),) * 2
    weights = cluster_weights(clips, how["resamples"], how["seed"])
    means = []
    for chosen in (right, ~right):
        sums, _ = cluster_sums(np.where(chosen[:, None], audio, 0.0), clips)
        sizes, _ = cluster_sums(chosen[:, None].astype(float), clips)
        with np.errstate(invalid="ignore"):  # a resample without any item of the group
            means.append((weights @ sums) / (weights @ sizes))
    tail = 100 * (1 - how["level"]) / 2
    low, high = np.nanpercentile(means[0] - means[1], [tail, 100 - tail], axis=0)
    return low, high


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)

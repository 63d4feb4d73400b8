"""What a decoder's layers say of the answer before it is given: the logit lens on candidates.

After AudioLens (arXiv 2506.05140): what leaves a layer goes through the final norm and the
unembedding, as if it were the last layer. Only the candidates' first tokens are looked at, and only
chosen rows, at once inside the forward: no hidden state is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tempo_attn.attention.hidden_states import StateHooks
from tempo_attn.config import QUERIES
from tempo_attn.config_fields import some_of
from tempo_attn.errors import ConfigError, UnsupportedModelError
from tempo_attn.lab.engine.fast_against_full import Comparison, rounding
from tempo_attn.lab.engine.growing_batch import rows_at
from tempo_attn.lab.engine.memory_and_batches import BatchPlan, InBatches
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy, RowsLeftOut, finite, rounded
from tempo_attn.lab.engine.query_rows import QueryRows
from tempo_attn.lab.engine.readout import Readout
from tempo_attn.lab.items import Batch, Item
from tempo_attn.lab.lens.option_tokens import Labels, first_tokens
from tempo_attn.lab.lens.records import LensRecord

ROWS = (*QUERIES, "audio")
CANDIDATES = ("letters", "labels")
RowSet = tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """What the lens reads of a batch.

    Attributes:
        plain: (items, candidates): the model's own logits of the letters.
        last: The same by the lens, from what leaves the last layer at the last row.
        probabilities: (items, kinds of candidates, sets of rows, layers, candidates), float32.
        labels: The labels' tokens of each item; None where they were not looked for.
    """

    plain: Tensor
    last: Tensor
    probabilities: Tensor
    labels: Sequence[Labels | None]


def parse_views(
    rows: Sequence[str | Sequence[str]], candidates: Sequence[str]
) -> tuple[list[RowSet], list[str]]:
    """Return sets of rows and candidates, named as in the tables, however they are written.

    Raises:
        ConfigError: None, or unknown ones.
    """
    if not rows:
        raise ConfigError("rows are missing: where is the lens to look?")
    named = (some_of("rows", n if isinstance(n, str) else list(n), ROWS) for n in rows)
    found = list(dict.fromkeys(tuple(names) for names in named))
    return found, some_of("candidates", list(candidates), CANDIDATES)


class Lens(InBatches[LensRecord]):
    """Reads the candidates' probabilities behind every layer.

    Where a set has several rows, the probabilities are their mean, and the set's answer is the
    likeliest candidate of that mean. A single row of an option's name favours the candidates whose
    tokens it resembles; over the names of all options this cancels.

    Args:
        subject: The model and how items become calls of it.
        rows: Sets of rows: those of `AttnScaleConfig.queries`, and "audio".
        candidates: Some of `CANDIDATES`: the letters, that is the items' own candidates; or the
            first token of each option's name.
        plan: How much runs at once.

    Raises:
        ConfigError: No rows or no candidates, or unknown ones.
        UnsupportedModelError: The model has no final norm or no unembedding where expected.
    """

    def __init__(
        self,
        subject: ModelUnderStudy,
        rows: Sequence[str | Sequence[str]],
        *,
        candidates: Sequence[str] = CANDIDATES,
        plan: BatchPlan | None = None,
    ) -> None:
        self.subject = subject
        self.rows, self.candidates = parse_views(rows, candidates)
        self.plan = plan or BatchPlan()
        self._readout = Readout(subject.model, subject.family)
        self._checked = False

    def read(self, batch: Batch) -> Reading:
        """Read a prepared batch.

        Raises:
            UnsupportedModelError: The decoder's layers do not hand on hidden states one by one.
        """
        labels: Sequence[Labels | None] = [None] * len(batch.items)
        if "labels" in self.candidates:
            labels = [first_tokens(batch, row) for row in range(len(batch.items))]
        view = _View.of(self, batch, labels)
        with torch.inference_mode():
            output = self.subject.on_all_rows(lambda: self._forward(batch, view))
        plain = self.subject.candidate_logits(output, batch)
        return Reading(plain, view.last, view.found, labels)

    def _prepare(self, items: Sequence[Item]) -> Batch:
        in_audio = any("audio" in names for names in self.rows)
        return self.subject.read(items, behind=True, states=in_audio)

    def _forward(self, batch: Batch, view: _View) -> Any:
        """Call the model with the view's hooks on; what others' hooks change is what is read."""
        layers = self.subject.decoder.layers
        view.seen = [0] * len(layers)
        with StateHooks() as hooks:
            for number, layer in enumerate(layers):
                hooks.on_output(layer, partial(view.see, number))
            output = self.subject.call(batch, view.first)
        if set(view.seen) != {1}:
            raise UnsupportedModelError(
                f"the decoder's layers ran {view.seen} times in one forward; expected each once"
            )
        return output

    def _records(self, items: Sequence[Item]) -> list[LensRecord]:
        reading = self.read(self._prepare(items))
        finite(items, reading.plain, reading.probabilities)
        if not self._checked:
            check(reading.last, reading.plain, self.subject.dtype)
            self._checked = True
        plain, found = (t.double().cpu().tolist() for t in (reading.plain, reading.probabilities))
        records = []
        for row, item in enumerate(items):
            labels = reading.labels[row]
            named: dict[str, Any] = {
                kind: self._by_rows(by_set)
                for kind, by_set in zip(self.candidates, found[row], strict=True)
            }
            if "labels" in named and not _differ(labels):
                named["labels"] = None
            record = LensRecord.of(
                item,
                plain=rounded(plain[row]),
                probabilities=named,
                labels=None if labels is None else list(labels),
            )
            records.append(record)
        return records

    def _by_rows(self, found: Sequence[Sequence[Sequence[float]]]) -> dict[str, list[list[float]]]:
        return {
            "+".join(names): [rounded(layer) for layer in layers]
            for names, layers in zip(self.rows, found, strict=True)
        }


@dataclass
class _View:
    """One batch under the lens: which rows and tokens it looks at, and what it has seen.

    Attributes:
        readout: Norm and unembedding.
        n_tokens: Positions that every layer must have.
        n_letters: Candidates of each kind.
        tokens: (items, candidates of all kinds) token ids.
        letters: (items, candidates) token ids.
        sets: Of each set of rows: their positions (items, rows), and what each counts in the
            mean; see `QueryRows`.
        found: As `Reading.probabilities`.
        seen: How often each layer has run.
        first: The first position that the forward must run.
        n_before: Positions that it does not run, as their keys and values are known.
        before: What left each layer at the positions before, where these are not run again.
    """

    readout: Readout
    n_tokens: int
    n_letters: int
    tokens: Tensor
    letters: Tensor
    sets: Sequence[tuple[Tensor, Tensor]]
    found: Tensor
    seen: list[int]
    last: Tensor
    first: int
    n_before: int
    before: Sequence[Tensor] | None

    @classmethod
    def of(cls, lens: Lens, batch: Batch, labels: Sequence[Labels | None]) -> _View:
        letters, n_layers = batch.candidates, len(lens.subject.decoder.layers)
        kinds = {"letters": letters, "labels": letters}
        if None not in labels:
            kinds["labels"] = torch.tensor(labels)
        chosen = [QueryRows.of(_chosen(batch, names)) for names in lens.rows]
        n_items, n_letters = letters.shape
        shape = n_items, len(lens.candidates), len(chosen), n_layers, n_letters
        n_tokens = batch.real.shape[1]
        before = None if batch.before is None else batch.before.states
        first = min(rows.first for rows in chosen) if before is None else n_tokens - 1
        return cls(
            readout=lens._readout,
            n_tokens=n_tokens,
            n_letters=n_letters,
            tokens=torch.cat([kinds[kind] for kind in lens.candidates], 1),
            letters=letters,
            sets=[(rows.index, rows.weights) for rows in chosen],
            found=torch.full(shape, torch.nan, device=lens.subject.device),
            seen=[0] * n_layers,
            last=torch.empty(0),
            first=first,
            n_before=0 if before is not None else lens.subject.n_before(batch, first),
            before=None if before is None else before[1:],
        )

    def see(self, layer: int, hidden: Tensor) -> None:
        """Read what leaves a layer, (items, tokens, width)."""
        if self.before is not None:
            hidden = torch.cat([self.before[layer].to(hidden), hidden], 1)
        left_out = self.n_tokens - hidden.shape[1]
        if left_out > self.n_before:
            raise RowsLeftOut
        self.seen[layer] += 1
        for number, (index, weights) in enumerate(self.sets):
            logits = self.readout(rows_at(hidden, index - left_out), self.tokens)
            by_row = logits.view(*logits.shape[:-1], -1, self.n_letters).softmax(-1)
            pooled = (by_row * weights.to(by_row)[..., None, None]).sum(1)
            self.found[:, :, number, layer] = pooled.to(self.found)
        if layer == len(self.seen) - 1:
            self.last = self.readout(hidden[:, -1:], self.letters)[:, 0]


def _chosen(batch: Batch, names: RowSet) -> Tensor:
    """Return a set's rows, (items, tokens) bool."""
    queries = tuple(name for name in names if name != "audio")
    rows = batch.rows(queries) if queries else torch.zeros_like(batch.real)
    return rows | batch.audio if "audio" in names else rows


def _differ(labels: Labels | None) -> bool:
    return labels is not None and len(set(labels)) == len(labels)


def check(found: Tensor, own: Tensor, dtype: torch.dtype) -> None:
    """Check that the lens at the end is the model.

    Args:
        found: The letters' logits by the lens at the last layer's last row, (items, candidates).
        own: The model's own.
        dtype: The model's.

    Raises:
        UnsupportedModelError: They differ by more than rounding explains.
    """
    # A 16-bit unembedding rounds off what the readout does not.
    compared = Comparison.of_logits("", found.to(own), own, rounding(own, dtype), dtype)
    if not compared.agrees:
        raise UnsupportedModelError(
            "the final norm and unembedding were not found: at the last layer they give logits "
            f"that differ by {compared.difference:.2g} from the model's own, more than rounding "
            "explains, so nothing can be read from the layers before"
        )

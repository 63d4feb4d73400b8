"""The sweep engine: every variant of a grid on every item, from one prefill an item.

`Sweeper` takes the fast way (`replay`) where the model allows it, and the slow one (`full`)
elsewhere; it finds out by running both on its first batch and comparing the logits.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tempo_attn.config_fields import one_of
from tempo_attn.errors import (
    ConfigError,
    TempoError,
    UnsupportedInputError,
    UnsupportedModelError,
)
from tempo_attn.lab.engine.batching import Plan, out_of_memory
from tempo_attn.lab.engine.engine_choice import WAYS, disagreement, rounding
from tempo_attn.lab.engine.model_under_study import Subject, finite, rounded
from tempo_attn.lab.engine.readout import Readout
from tempo_attn.lab.items import Batch, Item
from tempo_attn.lab.sweep.edited_rows import EditedRows
from tempo_attn.lab.sweep.full_forward import run_full
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.probes import probes
from tempo_attn.lab.sweep.records import SweepRecord
from tempo_attn.lab.sweep.replay import Replay

_NOT_FOR_REPLAY = (UnsupportedModelError, UnsupportedInputError)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What a batch answers.

    Attributes:
        plain: (items, candidates) logits without an edit.
        logits: (items, variants, candidates).
        audio: (items, variants, 4): `AUDIO_STATISTICS`, NaN where undefined.
        confidence: (items,) probability of the likeliest first token of an answer, without an edit.
    """

    plain: Tensor
    logits: Tensor
    audio: Tensor
    confidence: Tensor


class Sweeper:
    """Runs the variants of a grid on items.

    Args:
        subject: The model and how items become calls of it.
        variants: What to run; see `Grid.variants`.
        plan: How much runs at once.
        seed: Of the random perturbations.
        way: "auto"; or "replay" or "full" to insist on one.

    Attributes:
        way: "replay" or "full", once it is known.
        reason: Why not "replay"; empty where it is.
        checked: Largest difference of the two ways' logits on the first batch; None before, or
            where there is nothing to compare.

    Raises:
        ConfigError: There is no variant, or one edits a layer that has no attention.
    """

    def __init__(
        self,
        subject: Subject,
        variants: Sequence[Variant],
        *,
        plan: Plan | None = None,
        seed: int = 0,
        way: str = "auto",
    ) -> None:
        if not variants:
            raise ConfigError("a sweep needs at least one variant; the grid is empty")
        one_of("way", way, WAYS)
        self.subject = subject
        self.variants = list(variants)
        self.plan = plan or Plan()
        self.way, self.reason = way, ""
        self.checked: float | None = None
        self._seed = seed
        self._decoder = subject.decoder
        self._check_layers()
        try:
            self._readout: Readout | None = Readout(subject.model, subject.family)
        except UnsupportedModelError as error:
            self._must_be_full(str(error))
            self._readout = None

    def _check_layers(self) -> None:
        edited = {layer for variant in self.variants for layer in variant.layers}
        without = sorted(edited & set(self._decoder.without_attention))
        if without:
            n_layers = len(self._decoder.layers)
            those = sorted(set(range(n_layers)) - set(self._decoder.without_attention))
            raise ConfigError(
                f"layers {without} have no attention that can be edited; those that have: {those}"
            )

    def run(self, items: Sequence[Item]) -> Iterator[list[SweepRecord]]:
        """Run all items, batch by batch; see `Plan` for how they are batched.

        Yields:
            The records of one batch.

        Raises:
            PositionError: An item has no audio, or not the rows that the grid edits.
            NonFiniteLogitsError: The model's logits are NaN or infinite.
        """
        for batch in self.plan.batches(items):
            yield self.run_batch(batch)

    def run_batch(self, items: Sequence[Item]) -> list[SweepRecord]:
        """Run one batch; where memory runs out it is halved and done again."""
        return self.plan.in_halves(items, self._records)

    def answer(self, batch: Batch) -> Answer:
        """Run the variants on a prepared batch."""
        with self.subject.studied():
            edited = self._edited_rows(batch)
            if self.way == "auto":
                self._find_way(batch, edited)
            if self.way == "full":
                return self._answer_in_full(batch, edited, range(len(self.variants)))
            return self._answer_by_replay(batch, edited)

    def _edited_rows(self, batch: Batch) -> dict[tuple[str, ...], EditedRows]:
        sets = dict.fromkeys(variant.rows for variant in self.variants)
        device = self.subject.device
        return {names: EditedRows.of(batch, names, self._seed, device) for names in sets}

    # ------------------------------------------------------------------ the two ways

    def _answer_by_replay(
        self, batch: Batch, edited: Mapping[tuple[str, ...], EditedRows]
    ) -> Answer:
        assert self._readout is not None
        start = min(rows.first for rows in edited.values())
        prefill, output = self._decoder.remember(lambda: self.subject.call(batch), start)
        plain = self._readout(prefill.output[:, -1:], batch.candidates)[:, 0]
        n_items, n_candidates = batch.candidates.shape
        logits = plain.new_empty(n_items, len(self.variants), n_candidates)
        audio = plain.new_empty(n_items, len(self.variants), 4)
        by_rows: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number, variant in enumerate(self.variants):
            by_rows[variant.rows].append(number)
        for names, numbers in by_rows.items():
            rows = edited[names]
            # Of like depth side by side: they join the growing batch together.
            numbers = sorted(numbers, key=lambda number: self.variants[number].layers[0])
            for chunk in self.plan.chunks(numbers, prefill, rows.first):
                variants = [self.variants[number] for number in chunk]
                replay = Replay(self._decoder, prefill, rows, variants)
                logits[:, chunk] = self._readout(replay.run(), batch.candidates)
                audio[:, chunk] = replay.statistics.to(audio)
        return Answer(plain, logits, audio, confidence_of(output))

    def _answer_in_full(
        self,
        batch: Batch,
        edited: Mapping[tuple[str, ...], EditedRows],
        numbers: Sequence[int],
        readout: Readout | None = None,
    ) -> Answer:
        """Run variants one by one; `readout` reads the logits instead of the model's own head."""
        # From the start where rows were left out: all variants are run the same way.
        return self.subject.on_all_rows(lambda: self._one_by_one(batch, edited, numbers, readout))

    def _one_by_one(
        self,
        batch: Batch,
        edited: Mapping[tuple[str, ...], EditedRows],
        numbers: Sequence[int],
        readout: Readout | None,
    ) -> Answer:
        confidence: list[Tensor] = []

        def forward() -> Tensor:
            with self._decoder.leaving() as left:
                output = self.subject.call(batch)
            confidence.append(confidence_of(output))
            if readout is None:
                return self.subject.candidate_logits(output, batch)
            return readout(left[0][:, -1:], batch.candidates)[:, 0]

        plain = forward()
        logits, audio = [], []
        for number in numbers:
            variant = self.variants[number]
            found, statistics = run_full(self._decoder, forward, edited[variant.rows], variant)
            logits.append(found)
            audio.append(statistics)
        return Answer(plain, torch.stack(logits, 1), torch.stack(audio, 1), confidence[0])

    # ------------------------------------------------------------------ which way

    def settle(self, items: Sequence[Item]) -> None:
        """Find out which way to take on some items; the same ones give the same answer."""

        def find(part: Sequence[Item]) -> list[None]:
            if self.way == "auto":  # not known by an earlier part
                with self.subject.studied():
                    batch = self.subject.read(part)
                    self._find_way(batch, self._edited_rows(batch))
            return []

        self.plan.in_halves(items, find)

    def _find_way(self, batch: Batch, edited: Mapping[tuple[str, ...], EditedRows]) -> None:
        """Compare the two ways on some variants; take the fast one where they agree."""
        try:
            fast = self._answer_by_replay(batch, edited)
        except Exception as error:
            wrong_items = isinstance(error, TempoError) and not isinstance(error, _NOT_FOR_REPLAY)
            if wrong_items or out_of_memory(error):
                raise
            self._must_be_full(f"{type(error).__name__}: {error}")
            return
        assert self._readout is not None
        numbers = probes(self.variants)
        # Beside each probe its control: what recomputing rows changes by itself.
        controls = [self.variants.index(self.variants[n].control) for n in numbers if self._has(n)]
        slow = self._answer_in_full(batch, edited, [*numbers, *controls], self._readout)
        all_controls = [n for n, v in enumerate(self.variants) if v.role == "control"]
        noise = max(
            _largest(slow.logits[:, len(numbers) :] - slow.plain[:, None]),
            _largest(fast.logits[:, controls] - fast.plain[:, None]),
        )
        own = self.subject.candidate_logits(self.subject.call(batch), batch)
        dtype = self.subject.dtype
        found = fast.plain[:, None].expand(-1, len(all_controls), -1)
        compared = {
            "the final norm and the unembedding give": (
                fast.plain,
                own,
                _head_rounding(own, dtype),
            ),
            "running layers again gives": (
                torch.cat([fast.plain[:, None], fast.logits[:, [*numbers, *controls]]], 1),
                torch.cat([slow.plain[:, None], slow.logits], 1),
                noise,
            ),
            "running layers again without an edit gives": (
                fast.logits[:, all_controls],
                found,
                noise,
            ),
        }
        self.checked = 0.0
        for what, (mine, full, explained) in compared.items():
            if not mine.numel():
                continue
            difference, too_large = disagreement(mine, full, explained, dtype)
            self.checked = max(self.checked, difference)
            if too_large:
                self._must_be_full(f"{what} logits that differ by {difference:.2g} from a forward")
                return
        self.way = "replay"

    def _has(self, number: int) -> bool:
        return self.variants[number].control in self.variants

    def _must_be_full(self, reason: str) -> None:
        if self.way == "replay":
            raise UnsupportedModelError(f"the fast way does not fit this model: {reason}")
        self.way, self.reason = "full", reason
        _log.warning(
            "every variant takes one full forward, which is slow: %s (%s)",
            type(self.subject.model).__name__,
            reason,
        )

    # ------------------------------------------------------------------ records

    def _records(self, items: Sequence[Item]) -> list[SweepRecord]:
        answer = self.answer(self.subject.read(items))
        finite(items, answer.plain, answer.logits)
        plain, logits, audio, confidence = (
            part.double().cpu().tolist()
            for part in (answer.plain, answer.logits, answer.audio, answer.confidence)
        )
        return [
            SweepRecord.of(
                item,
                plain=rounded(plain[row]),
                logits=[rounded(values) for values in logits[row]],
                audio=[rounded(values) for values in audio[row]],
                way=self.way,
                confidence=round(confidence[row], 5),
            )
            for row, item in enumerate(items)
        ]


def confidence_of(output: Any) -> Tensor:
    """Return the probability of the likeliest next token, (items,), of a model's output."""
    logits: Tensor = output.logits[:, -1]
    return logits.float().softmax(-1).amax(-1)


def _largest(change: Tensor) -> float:
    return float(change.abs().max()) if change.numel() else 0.0


def _head_rounding(logits: Tensor, dtype: torch.dtype) -> float:
    """What a 16-bit unembedding rounds off, which the readout does not."""
    return 0.0 if dtype in (torch.float32, torch.float64) else rounding(logits, dtype)

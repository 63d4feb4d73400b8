"""The sweep: every variant of a grid on every item, from one prefill an item.

`Sweeper` runs on the fast engine (`fast_engine`) where the model allows it, and on full forwards
(`full_engine`) elsewhere; `EngineChoice` finds out by comparing the two on the first batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tempo_attn.errors import ConfigError
from tempo_attn.lab.engine.fast_against_full import Comparison, EngineChoice
from tempo_attn.lab.engine.memory_and_batches import BatchPlan, InBatches
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy, finite, rounded
from tempo_attn.lab.engine.readout import Readout
from tempo_attn.lab.items import Batch, Item
from tempo_attn.lab.sweep.edited_rows import EditedRows
from tempo_attn.lab.sweep.fast_engine import EditedBatch
from tempo_attn.lab.sweep.full_engine import run_full
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepRecord
from tempo_attn.lab.sweep.variants_run_in_full import probes

RowsBySet = Mapping[tuple[str, ...], EditedRows]


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


class Sweeper(InBatches[SweepRecord]):
    """Runs the variants of a grid on items.

    Args:
        subject: The model and how items become calls of it.
        variants: What to run; see `Grid.variants`.
        plan: How much runs at once.
        seed: Seed of the random perturbations.
        engine: One of `ENGINES`: "auto"; or "fast" or "full" to insist on one.

    Attributes:
        choice: Which engine runs the variants, once it is known, and why.

    Raises:
        ConfigError: There is no variant or no such engine, or a variant edits a layer that has no
            attention.
    """

    def __init__(
        self,
        subject: ModelUnderStudy,
        variants: Sequence[Variant],
        *,
        plan: BatchPlan | None = None,
        seed: int = 0,
        engine: str = "auto",
    ) -> None:
        if not variants:
            raise ConfigError("a sweep needs at least one variant; the grid is empty")
        self.subject = subject
        self.variants = list(variants)
        self.plan = plan or BatchPlan()
        self._seed = seed
        self._decoder = subject.decoder
        self._check_layers()
        self.choice = EngineChoice(subject, engine, "variant")

    def _check_layers(self) -> None:
        edited = {layer for variant in self.variants for layer in variant.layers}
        without = sorted(edited & set(self._decoder.without_attention))
        if without:
            n_layers = len(self._decoder.layers)
            those = sorted(set(range(n_layers)) - set(self._decoder.without_attention))
            raise ConfigError(
                f"layers {without} have no attention that can be edited; those that have: {those}"
            )

    def answer(self, batch: Batch) -> Answer:
        """Run the variants on a prepared batch."""
        with self.subject.studied():
            edited = self._edited_rows(batch)
            if self.choice.open:
                self._choose_engine(batch, edited)
            if self.choice.engine == "full":
                return self._answer_in_full(batch, edited, range(len(self.variants)))
            assert self.choice.readout is not None
            return self._answer_fast(batch, edited, self.choice.readout)

    def _read(self, items: Sequence[Item]) -> Batch:
        # Full forwards run all rows; the fast engine those behind the audio.
        return self.subject.read(items, behind=self.choice.engine != "full")

    def _edited_rows(self, batch: Batch) -> dict[tuple[str, ...], EditedRows]:
        sets = dict.fromkeys(variant.rows for variant in self.variants)
        device = self.subject.device
        return {names: EditedRows.of(batch, names, self._seed, device) for names in sets}

    # ------------------------------------------------------------------ the two engines

    def _answer_fast(self, batch: Batch, edited: RowsBySet, readout: Readout) -> Answer:
        start = min(rows.first for rows in edited.values())
        prefill, output = self.subject.remember(batch, start)
        plain = readout(prefill.output[:, -1:], batch.candidates)[:, 0]
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
                edits = EditedBatch(self._decoder, prefill, rows, variants)
                logits[:, chunk] = readout(edits.run(), batch.candidates)
                audio[:, chunk] = edits.statistics.to(audio)
        return Answer(plain, logits, audio, confidence_of(output))

    def _answer_in_full(
        self,
        batch: Batch,
        edited: RowsBySet,
        numbers: Sequence[int],
        readout: Readout | None = None,
    ) -> Answer:
        """Run variants one by one; `readout` reads the logits instead of the model's own head."""
        # From the start where rows were left out: all variants are run the same way.
        return self.subject.on_all_rows(lambda: self._one_by_one(batch, edited, numbers, readout))

    def _one_by_one(
        self,
        batch: Batch,
        edited: RowsBySet,
        numbers: Sequence[int],
        readout: Readout | None,
    ) -> Answer:
        confidence: list[Tensor] = []

        def forward() -> Tensor:
            output, logits = self.subject.answer(batch, readout)
            confidence.append(confidence_of(output))
            return logits

        plain = forward()
        logits, audio = [], []
        for number in numbers:
            variant = self.variants[number]
            found, statistics = run_full(self._decoder, forward, edited[variant.rows], variant)
            logits.append(found)
            audio.append(statistics)
        return Answer(plain, torch.stack(logits, 1), torch.stack(audio, 1), confidence[0])

    # ------------------------------------------------------------------ which engine

    def settle(self, items: Sequence[Item]) -> None:
        """Choose the engine on some items; the same items give the same choice."""

        def choose(part: Sequence[Item]) -> list[None]:
            if self.choice.open:  # not settled by an earlier part
                with self.subject.studied():
                    batch = self._read(part)
                    self._choose_engine(batch, self._edited_rows(batch))
            return []

        self.plan.in_halves(items, choose)

    def _choose_engine(self, batch: Batch, edited: RowsBySet) -> None:
        """Compare the two engines on some variants; take the fast one where they agree."""
        fast = self.choice.try_fast(lambda readout: self._answer_fast(batch, edited, readout))
        if fast is None:
            return
        numbers = probes(self.variants)
        # Beside each probe its control: what recomputing rows changes by itself.
        controls = [self.variants.index(self.variants[n].control) for n in numbers if self._has(n)]
        both = [*numbers, *controls]
        slow = self._answer_in_full(batch, edited, both, self.choice.readout)
        all_controls = [n for n, v in enumerate(self.variants) if v.role == "control"]
        noise = max(
            _largest(slow.logits[:, len(numbers) :] - slow.plain[:, None]),
            _largest(fast.logits[:, controls] - fast.plain[:, None]),
        )
        _, own = self.subject.answer(batch)
        dtype = self.subject.dtype
        self.choice.decide(
            [
                Comparison.of_readout(fast.plain, own, dtype),
                Comparison.of_logits(
                    "running layers again gives logits",
                    torch.cat([fast.plain[:, None], fast.logits[:, both]], 1),
                    torch.cat([slow.plain[:, None], slow.logits], 1),
                    noise,
                    dtype,
                ),
                Comparison.of_logits(
                    "running layers again without an edit gives logits",
                    fast.logits[:, all_controls],
                    fast.plain[:, None].expand(-1, len(all_controls), -1),
                    noise,
                    dtype,
                ),
            ]
        )

    def _has(self, number: int) -> bool:
        return self.variants[number].control in self.variants

    # ------------------------------------------------------------------ records

    def _records(self, items: Sequence[Item]) -> list[SweepRecord]:
        answer = self.answer(self._read(items))
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
                engine=self.choice.engine,
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

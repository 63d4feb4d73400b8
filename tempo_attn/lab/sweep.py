"""The sweep engine: every variant of a grid on every item, from one prefill an item.

`Sweeper` takes the fast way (`replay`) where the model allows it, and the slow one (`full`)
elsewhere; it finds out by running both on its first batch and comparing the logits.
"""

from __future__ import annotations

import inspect
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tempo_attn.errors import (
    ConfigError,
    NonFiniteLogitsError,
    UnsupportedInputError,
    UnsupportedModelError,
)
from tempo_attn.families import Family, get_family
from tempo_attn.lab.capture import Decoder
from tempo_attn.lab.full import RowsLeftOut, run_full
from tempo_attn.lab.grid import Variant
from tempo_attn.lab.items import Batch, Item, Prepare
from tempo_attn.lab.plan import Plan
from tempo_attn.lab.readout import Readout
from tempo_attn.lab.records import SweepRecord
from tempo_attn.lab.replay import Replay
from tempo_attn.lab.rows import EditedRows
from tempo_attn.positions import TextReader

TOLERANCE = 1e-4
"""Largest difference of candidate logits (relative above 1) that float32 arithmetic explains."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What a batch answers.

    Attributes:
        plain: (items, candidates) logits without an edit.
        logits: (items, variants, candidates).
        audio: (items, variants, 4): `AUDIO_STATISTICS`, NaN where undefined.
    """

    plain: Tensor
    logits: Tensor
    audio: Tensor


class Sweeper:
    """Runs the variants of a grid on items.

    Args:
        model: The model, not wrapped, in evaluation mode.
        variants: What to run; see `Grid.variants`.
        prepare: Makes model inputs of items.
        tokenizer: For keyword and option rows.
        plan: How much runs at once.
        seed: Of the random perturbations.
        way: "auto"; or "replay" or "full" to insist on one.
        forward: Calls the model with the prepared inputs; default: the model itself.

    Attributes:
        way: "replay" or "full", once it is known.
        reason: Why not "replay"; empty where it is.
        checked: Largest difference of the two ways' logits on the first batch; None before, or
            where there is nothing to compare.
    """

    def __init__(
        self,
        model: nn.Module,
        variants: Sequence[Variant],
        prepare: Prepare,
        *,
        tokenizer: Any = None,
        plan: Plan | None = None,
        seed: int = 0,
        way: str = "auto",
        forward: Callable[..., Any] | None = None,
    ) -> None:
        if not variants:
            raise ConfigError("a sweep needs at least one variant; the grid is empty")
        if way not in ("auto", "replay", "full"):
            raise ConfigError(f"way must be 'auto', 'replay' or 'full', not {way!r}")
        self.family: Family = get_family(getattr(model, "config", None))
        self.family.check_model(model)
        self.variants = list(variants)
        self.plan = plan or Plan()
        self.way, self.reason = way, ""
        self.checked: float | None = None
        self._model, self._prepare, self._seed = model, prepare, seed
        self._forward = forward or model
        self._decoder = Decoder(model, self.family)
        self._more: dict[str, Any] = {}
        if _takes(self._forward, "use_cache"):
            self._more["use_cache"] = False
        if _takes(self._forward, "logits_to_keep"):
            self._more["logits_to_keep"] = 1
        self._check_layers()
        self._reader = None if tokenizer is None else TextReader(tokenizer)
        try:
            self._readout: Readout | None = Readout(model, self.family)
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

    # ------------------------------------------------------------------ items

    def run(self, items: Sequence[Item]) -> Iterator[list[SweepRecord]]:
        """Run all items, batch by batch; see `Plan` for how they are batched.

        Where memory runs out, a batch is halved and done again.

        Yields:
            The records of one batch.

        Raises:
            PositionError: An item has no audio, or not the rows that the grid edits.
            NonFiniteLogitsError: The model's logits are NaN or infinite.
        """
        for batch in self.plan.batches(items):
            yield self.run_batch(batch)

    def run_batch(self, items: Sequence[Item]) -> list[SweepRecord]:
        """Run one batch, in halves where memory runs out."""
        try:
            answer = self.answer(self.read(items))
        except (RuntimeError, MemoryError) as error:
            if not self.plan.shrink(error, len(items)):
                raise
        else:
            return self._records(items, answer)
        self.plan.free()  # outside the except block, where the error holds the batch's tensors
        if len(items) == 1:
            return self.run_batch(items)
        half = len(items) // 2
        return self.run_batch(items[:half]) + self.run_batch(items[half:])

    def read(self, items: Sequence[Item]) -> Batch:
        """Prepare a batch."""
        return Batch.of(items, self._prepare(items), self._model, self.family, self._reader)

    def answer(self, batch: Batch) -> Answer:
        """Run the variants on a prepared batch."""
        with self._ready():
            edited = self._edited_rows(batch)
            if self.way == "auto":
                self._find_way(batch, edited)
            if self.way == "full":
                return self._answer_in_full(batch, edited, range(len(self.variants)))
            return self._answer_by_replay(batch, edited)

    @contextmanager
    def _ready(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            stack.enter_context(self._decoder.in_hand())
            yield

    def _edited_rows(self, batch: Batch) -> dict[tuple[str, ...], EditedRows]:
        device = self._device()
        sets = dict.fromkeys(variant.rows for variant in self.variants)
        return {names: EditedRows.of(batch, names, self._seed, device) for names in sets}

    def _device(self) -> torch.device:
        return next(self.family.decoder(self._model).parameters()).device

    def _call(self, batch: Batch) -> Any:
        return self._forward(**batch.inputs, **self._more)

    # ------------------------------------------------------------------ the two ways

    def _answer_by_replay(
        self, batch: Batch, edited: Mapping[tuple[str, ...], EditedRows]
    ) -> Answer:
        assert self._readout is not None
        start = min(rows.first for rows in edited.values())
        prefill, _ = self._decoder.remember(lambda: self._call(batch), start)
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
            for chunk in self.plan.chunks(numbers, prefill, rows):
                variants = [self.variants[number] for number in chunk]
                hidden, statistics = Replay(self._decoder, prefill, rows, variants).run()
                logits[:, chunk] = self._readout(hidden, batch.candidates)
                audio[:, chunk] = statistics.to(audio)
        return Answer(plain, logits, audio)

    def _answer_in_full(
        self,
        batch: Batch,
        edited: Mapping[tuple[str, ...], EditedRows],
        numbers: Sequence[int],
    ) -> Answer:
        plain = self._candidate_logits(self._call(batch), batch)
        logits, audio = [], []
        for number in numbers:
            variant = self.variants[number]
            try:
                output, statistics = run_full(
                    self._decoder, lambda: self._call(batch), edited[variant.rows], variant
                )
            except RowsLeftOut:
                del self._more["logits_to_keep"]
                return self._answer_in_full(batch, edited, numbers)
            logits.append(self._candidate_logits(output, batch))
            audio.append(statistics)
        return Answer(plain, torch.stack(logits, 1), torch.stack(audio, 1))

    def _candidate_logits(self, output: Any, batch: Batch) -> Tensor:
        last: Tensor = output.logits[:, -1].float()
        return last.gather(1, batch.candidates.to(last.device))

    def _find_way(self, batch: Batch, edited: Mapping[tuple[str, ...], EditedRows]) -> None:
        """Compare the two ways on some variants; take the fast one where they agree."""
        try:
            fast = self._answer_by_replay(batch, edited)
        except (UnsupportedModelError, UnsupportedInputError) as error:
            self._must_be_full(str(error))
            return
        numbers = self._probes()
        slow = self._answer_in_full(batch, edited, numbers)
        found = torch.cat([fast.plain[:, None], fast.logits[:, numbers]], 1)
        wanted = torch.cat([slow.plain[:, None], slow.logits], 1)
        difference = float(((found - wanted).abs() / wanted.abs().clamp(min=1.0)).max())
        self.checked = difference
        exact = self._model.dtype == torch.float32
        # In 16 bits, the two ways round differently; a mistake is far larger than this.
        allowed = TOLERANCE if exact else 0.05 + 0.05 * float(wanted.abs().max())
        if difference <= allowed:
            self.way = "replay"
        else:
            self._must_be_full(
                f"running layers again gives logits that differ by {difference:.2g} from a full "
                "forward"
            )

    def _probes(self) -> list[int]:
        """Choose variants for the comparison: of every set of rows one that starts early."""
        chosen: dict[tuple[str, ...], int] = {}
        for number, variant in enumerate(self.variants):
            if variant.role == "edit":
                best = chosen.setdefault(variant.rows, number)
                if variant.layers[0] < self.variants[best].layers[0]:
                    chosen[variant.rows] = number
        return list(chosen.values()) or [0]

    def _must_be_full(self, reason: str) -> None:
        if self.way == "replay":
            raise UnsupportedModelError(f"the fast way does not fit this model: {reason}")
        self.way, self.reason = "full", reason
        _log.warning(
            "every variant takes one full forward, which is slow: %s (%s)",
            type(self._model).__name__,
            reason,
        )

    # ------------------------------------------------------------------ records

    def _records(self, items: Sequence[Item], answer: Answer) -> list[SweepRecord]:
        if not bool(answer.plain.isfinite().all() and answer.logits.isfinite().all()):
            raise NonFiniteLogitsError(
                f"the logits of items {[item.id for item in items[:3]]} ... are NaN or infinite; "
                "run the model in bfloat16 or float32"
            )
        plain, logits, audio = (
            part.double().cpu().tolist() for part in (answer.plain, answer.logits, answer.audio)
        )
        return [
            SweepRecord(
                key=item.key,
                index=item.index,
                id=item.id,
                clip=item.clip,
                kind=item.kind,
                condition=item.condition,
                answer=item.answer,
                plain=_rounded(plain[row]),
                logits=[_rounded(values) for values in logits[row]],
                audio=[_rounded(values) for values in audio[row]],
            )
            for row, item in enumerate(items)
        ]


def _rounded(values: Sequence[float]) -> list[Any]:
    return [round(value, 5) if value == value else None for value in values]


def _takes(forward: Any, name: str) -> bool:
    function = forward.forward if isinstance(forward, nn.Module) else forward
    return name in inspect.signature(function).parameters

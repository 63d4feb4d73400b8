"""The trial: every push of every option's name, from one prefill an item.

After "On Temporal Binding in LALMs" (Primus & Widmer), which moves the states at event names along
the time that they hold. `docs/steering.md` says where this differs from the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tempo_attn.directions import Directions
from tempo_attn.errors import ConfigError
from tempo_attn.lab.engine.fast_against_full import Comparison, EngineChoice
from tempo_attn.lab.engine.memory_and_batches import BatchPlan, InBatches
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy, finite, rounded
from tempo_attn.lab.engine.option_names import name_rows
from tempo_attn.lab.engine.query_rows import QueryRows
from tempo_attn.lab.engine.readout import Readout
from tempo_attn.lab.items import Batch, Item
from tempo_attn.lab.steer.moved_batch import MovedBatch, run_moved
from tempo_attn.lab.steer.pushes import Push, Steps
from tempo_attn.lab.steer.records import SteerRecord


class SteerTrial(InBatches[SteerRecord]):
    """Runs pushes on items.

    Args:
        subject: The model and how items become calls of it.
        directions: The direction of each layer: later in time.
        pushes: What to run; see `pushes`.
        signs: By kind of item: 1 where the latest option wins, -1 where the earliest does.
        plan: How much runs at once.
        seed: Seed of the random directions.
        engine: One of `ENGINES`: "auto"; or "fast" or "full" to insist on one.

    Attributes:
        choice: Which engine runs the pushes, once it is known, and why.

    Raises:
        ConfigError: There is nothing to run, no such engine, or the directions are of a model of
            another width.
    """

    def __init__(
        self,
        subject: ModelUnderStudy,
        directions: Directions,
        pushes: Sequence[Push],
        signs: Mapping[str, int],
        *,
        plan: BatchPlan | None = None,
        seed: int = 0,
        engine: str = "auto",
    ) -> None:
        if not pushes:
            raise ConfigError("there is nothing to run: no push is given")
        config = subject.family.decoder(subject.model).config
        width = getattr(config.get_text_config(), "hidden_size", None)  # type: ignore[operator, union-attr]
        for push in pushes:
            directions.require(push.layers, width)
        self.subject = subject
        self.plan = plan or BatchPlan()
        self.choice = EngineChoice(subject, engine, "push")
        self._decoder = subject.decoder
        # The control first: the first push that is the direction's, with alpha = 0.
        self._pushes = [replace(pushes[0], strength=0.0, draw=0), *pushes]
        self._steps = Steps(directions, seed)
        self._signs = dict(signs)

    def settle(self, items: Sequence[Item]) -> None:
        """Choose the engine on some items; the same items give the same choice."""

        def choose(part: Sequence[Item]) -> list[None]:
            if self.choice.open:
                with self.subject.studied():
                    batch = self._read(part)
                    self._choose_engine(batch, self._places(batch))
            return []

        self.plan.in_halves(items, choose)

    def _records(self, items: Sequence[Item]) -> list[SteerRecord]:
        with self.subject.studied():
            batch = self._read(items)
            places = self._places(batch)
            if self.choice.open:
                self._choose_engine(batch, places)
            if self.choice.engine == "full":
                _, plain = self.subject.answer(batch)
                logits = self._in_full(batch, places, range(len(self._pushes)))
            else:
                assert self.choice.readout is not None
                plain, logits = self._fast(batch, places, self.choice.readout)
        finite(items, plain, logits)
        answers = logits.double().cpu().tolist()
        return [
            SteerRecord.of(
                item,
                plain=rounded(plain[row].double().cpu().tolist()),
                control=[rounded(values) for values in answers[row][0]],
                pushed=[[rounded(values) for values in one] for one in answers[row][1:]],
                engine=self.choice.engine,
            )
            for row, item in enumerate(items)
        ]

    def _read(self, items: Sequence[Item]) -> Batch:
        # Full forwards run all rows; the fast engine those behind the audio.
        return self.subject.read(items, behind=self.choice.engine != "full")

    def _places(self, batch: Batch) -> list[QueryRows]:
        return [QueryRows.of(rows) for rows in name_rows(batch)]

    def _signs_of(self, batch: Batch) -> Tensor:
        unknown = [item for item in batch.items if item.kind not in self._signs]
        if unknown:
            raise ConfigError(
                f"{unknown[0].id!r} is of the kind {unknown[0].kind!r}, in which no option wins by "
                f"being earlier or later; expected {', '.join(self._signs)}"
            )
        return torch.tensor([float(self._signs[item.kind]) for item in batch.items])

    # ------------------------------------------------------------------ the two engines

    def _fast(
        self, batch: Batch, places: Sequence[QueryRows], readout: Readout
    ) -> tuple[Tensor, Tensor]:
        """Return logits without a push, and those of (items, pushes, options, candidates)."""
        start = min(at.first for at in places)
        prefill, _ = self.subject.remember(batch, start)
        plain = readout(prefill.output[:, -1:], batch.candidates)[:, 0]
        n_items, n_candidates = batch.candidates.shape
        shape = (n_items, len(self._pushes), len(places), n_candidates)
        found, signs = plain.new_empty(shape), self._signs_of(batch)
        # Of like depth side by side: they join the growing batch together.
        order = sorted(range(len(self._pushes)), key=lambda number: self._pushes[number].layers[0])
        for option, at in enumerate(places):
            for chunk in self.plan.chunks(order, prefill, at.first):
                of_chunk = [self._pushes[number] for number in chunk]
                ran = MovedBatch(self._decoder, prefill, at, of_chunk, self._steps, signs)
                found[:, chunk, option] = readout(ran.run(), batch.candidates).to(found)
        return plain, found

    def _in_full(
        self,
        batch: Batch,
        places: Sequence[QueryRows],
        numbers: Sequence[int],
        readout: Readout | None = None,
    ) -> Tensor:
        """Run pushes one by one; `readout` reads the logits instead of the model's own head."""
        signs, n_tokens = self._signs_of(batch), batch.real.shape[1]

        def one(push: Push, at: QueryRows) -> Tensor:
            return self.subject.on_all_rows(
                lambda: run_moved(
                    self._decoder,
                    lambda: self.subject.answer(batch, readout)[1],
                    at,
                    push,
                    self._steps,
                    signs,
                    n_tokens,
                )
            )

        return torch.stack(
            [torch.stack([one(self._pushes[n], at) for at in places], 1) for n in numbers], 1
        )

    # ------------------------------------------------------------------ which engine

    def _choose_engine(self, batch: Batch, places: Sequence[QueryRows]) -> None:
        """Compare the two engines on some pushes; take the fast one where they agree."""
        fast = self.choice.try_fast(lambda readout: self._fast(batch, places, readout))
        if fast is None:
            return
        plain, logits = fast
        numbers = self._probes()
        slow = self._in_full(batch, places, numbers, self.choice.readout)
        _, own = self.subject.answer(batch)
        dtype = self.subject.dtype
        noise = float((logits[:, 0] - plain[:, None]).abs().max())
        self.choice.decide(
            [
                Comparison.of_readout(plain, own, dtype),
                Comparison.of_logits(
                    "running layers again gives logits", logits[:, numbers], slow, noise, dtype
                ),
            ]
        )

    def _probes(self) -> list[int]:
        """Choose pushes to run in full: the control, and the strongest of each set of layers."""
        strongest: dict[tuple[tuple[int, ...], bool], int] = {}
        for number, push in enumerate(self._pushes):
            key = push.layers, push.draw > 0
            best = self._pushes[strongest.setdefault(key, number)]
            if abs(push.strength) > abs(best.strength):
                strongest[key] = number
        ordered = sorted(strongest.values(), key=lambda n: self._pushes[n].layers)
        return list(dict.fromkeys([0, *ordered[:2], *ordered[-2:]]))

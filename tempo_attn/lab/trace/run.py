"""Causal tracing: which states carry what a model has heard?

Two runs of the same prompt, one with the clip ("clean") and one with something else of the same
length ("corrupted": silence, or the mirrored twin). One of the two is run with states of the other
written at some places, and the probability of the right answer tells what these states carry
(arXiv 2603.13768; for the mirrored twin Primus & Widmer).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tempo_attn.config_fields import one_of
from tempo_attn.errors import ConfigError, PositionError
from tempo_attn.lab.engine.hidden_states import States, keeping
from tempo_attn.lab.engine.memory_and_batches import BatchPlan, InBatches
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy, finite, rounded
from tempo_attn.lab.engine.random_nulls import item_seeds
from tempo_attn.lab.items import Batch, Item
from tempo_attn.lab.trace.attribution import attributed
from tempo_attn.lab.trace.patcher import Patcher
from tempo_attn.lab.trace.patches import Source
from tempo_attn.lab.trace.records import DIRECTIONS, Direction, TraceRecord, dropped
from tempo_attn.lab.trace.sites import Site, places

METHODS = ("patching", "attribution", "both")


def check_options(directions: Sequence[str], method: str, single: bool) -> None:
    """Check what can be told before there is a model.

    Raises:
        ConfigError: No or an unknown direction, an unknown method, or single positions with
            attribution, which is of whole groups.
    """
    if not directions:
        raise ConfigError(f"directions: none; expected some of {', '.join(DIRECTIONS)}")
    for direction in directions:
        one_of("directions", direction, DIRECTIONS)
    one_of("method", method, METHODS)
    if single and method != "patching":
        raise ConfigError(
            "attribution is of whole groups of positions: use method 'patching' for single ones"
        )


@dataclass
class Traced:
    """What the patches of one batch do, whatever its answers are; all on the CPU.

    Attributes:
        patched: By direction: the right answers' probabilities under every patch, (items, sites).
        twin: By direction: the same of the twins' right answers.
        attributed: By direction: first-order changes of the right answers' probabilities,
            (items, sites that are not random).
        clean: The candidates' logits of the clean run, (items, candidates), worked out as those of
            the patches are; None where nothing was patched.
        corrupted: Likewise of the corrupted run.
    """

    patched: dict[Direction, Tensor] = field(default_factory=dict)
    twin: dict[Direction, Tensor] = field(default_factory=dict)
    attributed: dict[Direction, Tensor] = field(default_factory=dict)
    clean: Tensor | None = None
    corrupted: Tensor | None = None


class Tracer(InBatches[TraceRecord]):
    """Patches one run with states of the other.

    Args:
        subject: The model and how items become calls of it.
        corrupt: Returns the item's corrupted twin: the same prompt with other audio of its length.
        sites: The patches; see `sites`.
        directions: Which run is patched.
        method: "patching", "attribution" (first order, three passes), or "both".
        single: Patch the positions of a group one at a time, and take the mean over them; else all
            at once.
        plan: How much runs at once.
        seed: Seed of the random changes.
        engine: One of `ENGINES`: "auto"; or "fast" or "full" to insist on one.

    Attributes:
        patcher: Runs the patches.
        true_sites: The sites that are not random.

    Raises:
        ConfigError: Nothing to patch, or an unknown direction or method; or single positions with
            attribution, which is of whole groups.
    """

    def __init__(
        self,
        subject: ModelUnderStudy,
        corrupt: Callable[[Item], Item],
        sites: Sequence[Site],
        *,
        directions: Sequence[Direction] = ("recover",),
        method: str = "patching",
        single: bool = False,
        plan: BatchPlan | None = None,
        seed: int = 0,
        engine: str = "auto",
    ) -> None:
        check_options(directions, method, single)
        self.subject = subject
        if subject.beginnings is not None:
            subject.beginnings.expect_several_forwards()
        self.plan = plan or BatchPlan()
        self.patcher = Patcher(subject, sites, single=single, plan=self.plan, engine=engine)
        self.true_sites = [site for site in self.patcher.sites if not site.random]
        self.directions = list(dict.fromkeys(directions))
        self.method = method
        self._corrupt = corrupt
        self._seed = seed
        self._components = list(dict.fromkeys(site.component for site in sites))
        self._groups = list(dict.fromkeys(site.group for site in sites))

    def settle(self, items: Sequence[Item]) -> None:
        """Choose the engine on some items; the same items give the same choice."""

        def choose(part: Sequence[Item]) -> list[None]:
            if self.patcher.choice.open and self.method != "attribution":
                self.trace(part, [self._corrupt(item) for item in part])
            return []

        self.plan.in_halves(items, choose)

    # ------------------------------------------------------------------ records

    def _records(self, items: Sequence[Item]) -> list[TraceRecord]:
        twins = [self._corrupt(item) for item in items]
        clean, corrupted = self._logits(items), self._logits(twins)
        finite(items, clean, corrupted)
        why = [
            dropped(item, one, other)
            for item, one, other in zip(items, clean.cpu(), corrupted.cpu(), strict=True)
        ]
        kept = [n for n, reason in enumerate(why) if reason is None]
        if kept:
            self.settle(items[:2])
        found = Traced()
        if kept:
            found = self.trace([items[n] for n in kept], [twins[n] for n in kept])
        if found.clean is not None and found.corrupted is not None:
            # Of the very batch that was patched.
            clean[kept], corrupted[kept] = found.clean.to(clean), found.corrupted.to(corrupted)
        plain, other = clean.double().cpu().tolist(), corrupted.double().cpu().tolist()
        engine = "gradient" if self.method == "attribution" else self.patcher.choice.engine
        records = []
        for n, item in enumerate(items):
            own = twins[n].answer != item.answer
            at = kept.index(n) if n in kept else None
            records.append(
                TraceRecord.of(
                    item,
                    plain=rounded(plain[n]),
                    corrupted=rounded(other[n]),
                    dropped=why[n],
                    twin_answer=twins[n].answer if own else None,
                    engine=engine,
                    patched=_of_item(found.patched, at),
                    twin=_of_item(found.twin, at) if own else {},
                    attributed=_of_item(found.attributed, at),
                )
            )
        return records

    def _logits(self, items: Sequence[Item]) -> Tensor:
        batch = self.subject.read(items, behind=True)
        with self.subject.studied():
            logits = self.patcher.logits(batch)
        return logits.clone()  # one that may be written to

    # ------------------------------------------------------------------ one batch

    def trace(self, items: Sequence[Item], twins: Sequence[Item]) -> Traced:
        """Patch a batch, whatever its answers are.

        Args:
            items: The items.
            twins: Their corrupted twins.
        """
        clean, corrupted = (self.subject.read(each, behind=True) for each in (items, twins))
        _require_alike(clean, corrupted)
        where = {group: places(clean, group) for group in self._groups}
        start = min(at.first for at in where.values())
        seeds = item_seeds(items, self._seed)
        found = Traced()
        for direction in self.directions:
            recover = direction == "recover"
            base, other = (corrupted, clean) if recover else (clean, corrupted)
            with self.subject.studied():
                states = self._states(other, start)
                if self.method != "attribution":
                    source = Source(states, start, seeds)
                    shares, plain = self.patcher.run(base, source, start, where)
                    shares, both = shares.cpu(), (plain.cpu(), self.patcher.logits(other).cpu())
                    found.corrupted, found.clean = both if recover else both[::-1]
                    found.patched[direction] = _of_answers(shares, items)
                    found.twin[direction] = _of_answers(shares, twins)
            if self.method != "patching":
                # The right answer is the clean one's, whichever run is patched.
                answers = [item.answer for item in items]
                found.attributed[direction] = attributed(
                    self.subject, base, answers, states, start, where, self.true_sites
                ).cpu()
        return found

    def _states(self, batch: Batch, start: int) -> States:
        n_tokens = batch.real.shape[1]

        def forward() -> States:
            with keeping(self.subject.decoder, self._components, start, n_tokens) as states:
                self.subject.call(batch)
            return states

        return self.subject.on_all_rows(forward)


def _of_item(found: Mapping[Direction, Tensor], at: int | None) -> dict[str, list[float]]:
    """Return one item's numbers by direction; none where it was dropped."""
    return {} if at is None else {name: rounded(v[at].tolist()) for name, v in found.items()}


def _of_answers(shares: Tensor, items: Sequence[Item]) -> Tensor:
    """Return the right answers' part of (items, sites, candidates)."""
    answers = torch.tensor([item.answer for item in items])
    return shares.gather(-1, answers[:, None, None].expand(-1, shares.shape[1], -1))[..., 0]


def _require_alike(clean: Batch, corrupted: Batch) -> None:
    """Check that the two runs have the same positions and candidates; texts are the caller's."""
    wrong = [item.id for item in clean.items]
    if clean.real.shape == corrupted.real.shape:
        unlike = (clean.real != corrupted.real) | (clean.audio != corrupted.audio)
        unlike |= (clean.candidates != corrupted.candidates).any(1)[:, None]
        wrong = [item.id for item, row in zip(clean.items, unlike, strict=True) if bool(row.any())]
    if wrong:
        raise PositionError(
            f"{wrong[0]!r} and its corrupted twin do not have the same positions of text and "
            "audio, or other candidates, so states of one mean nothing in the other; expected the "
            "same prompt with audio of the same length"
        )

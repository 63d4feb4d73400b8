"""Causal tracing: which states carry what a model has heard?

Two runs of the same prompt, one with the clip ("clean") and one with something else of the same
length ("corrupted": silence, or the mirrored twin). One of the two is run with states of the other
written at some places, and the probability of the right answer tells what these states carry
(arXiv 2603.13768; for the mirrored twin Primus & Widmer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tempo_attn.errors import (
    ConfigError,
    PositionError,
    TempoError,
    UnsupportedInputError,
    UnsupportedModelError,
)
from tempo_attn.lab.attribution import attributed
from tempo_attn.lab.full import RowsLeftOut
from tempo_attn.lab.items import Batch, Item
from tempo_attn.lab.patching import Patching, Source, run_patched
from tempo_attn.lab.plan import Plan, out_of_memory
from tempo_attn.lab.readout import Readout
from tempo_attn.lab.records import ItemRecord, is_right
from tempo_attn.lab.sites import Places, Site, places
from tempo_attn.lab.states import States, keeping
from tempo_attn.lab.subject import Subject, finite, rounded
from tempo_attn.lab.ways import TOLERANCE, rounding

Direction = Literal["recover", "shift"]
DIRECTIONS: tuple[Direction, ...] = ("recover", "shift")
"""recover: clean states into the corrupted run; shift: corrupted states into the clean run."""
DROPPED = ("clean answer wrong", "corrupted answer right", "no gap")
METHODS = ("patching", "attribution", "both")


@dataclass(frozen=True, kw_only=True)
class TraceRecord(ItemRecord):
    """What patches do to one item; see `ItemRecord`. `plain` is of the clean run.

    Attributes:
        corrupted: The candidates' logits of the corrupted run.
        dropped: Why nothing was patched: one of `DROPPED`; None if it was.
        patched: By direction: the right answer's probability (among the candidates) under every
            patch, in the order of the sites; empty where nothing was patched.
        attributed: By direction: its change by every patch that is not random, to first order.
        way: "replay", or "full" (one forward for every patch).
    """

    corrupted: Sequence[float]
    dropped: str | None
    patched: Mapping[str, Sequence[float]] = field(default_factory=dict)
    attributed: Mapping[str, Sequence[float]] = field(default_factory=dict)
    way: str = "replay"


@dataclass
class _Run:
    """One of the two runs of a batch."""

    batch: Batch
    states: States
    probability: Tensor


class Tracer:
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
        seed: Of the random changes.
        way: "auto"; or "replay" or "full" to insist on one.

    Attributes:
        way: "replay" or "full", once it is known.
        reason: Why not "replay"; empty where it is.
        checked: Largest difference of probabilities between the two ways; None before the check.

    Raises:
        ConfigError: Nothing to patch, or an unknown direction or method.
    """

    def __init__(
        self,
        subject: Subject,
        corrupt: Callable[[Item], Item],
        sites: Sequence[Site],
        *,
        directions: Sequence[Direction] = ("recover",),
        method: str = "patching",
        single: bool = False,
        plan: Plan | None = None,
        seed: int = 0,
        way: str = "auto",
    ) -> None:
        for what, values, known in (
            ("direction", directions, DIRECTIONS),
            ("method", [method], METHODS),
            ("way", [way], ("auto", "replay", "full")),
        ):
            unknown = [value for value in values if value not in known]
            if unknown or not values:
                raise ConfigError(f"{what} {unknown}: expected of {', '.join(known)}")
        if not sites:
            raise ConfigError("there is nothing to patch: no site is given")
        self.subject = subject
        self.sites = list(sites)
        self.true_sites = [site for site in self.sites if not site.random]
        self.directions = list(dict.fromkeys(directions))
        self.method = method
        self.single = single
        self.plan = plan or Plan()
        self.way, self.reason = way, ""
        self.checked: float | None = None
        self._corrupt = corrupt
        self._seed = seed
        self._decoder = subject.decoder
        self._components = list(dict.fromkeys(site.component for site in self.sites))
        self._groups = list(dict.fromkeys(site.group for site in self.sites))
        try:
            self._readout: Readout | None = Readout(subject.model, subject.family)
        except UnsupportedModelError as error:
            self._readout = None
            self._must_be_full(str(error))

    def run(self, items: Sequence[Item]) -> Iterator[list[TraceRecord]]:
        """Trace all items, batch by batch; see `Plan` for how they are batched."""
        for batch in self.plan.batches(items):
            yield self.run_batch(batch)

    def run_batch(self, items: Sequence[Item]) -> list[TraceRecord]:
        """Trace one batch; where memory runs out it is halved and done again."""
        return self.plan.in_halves(items, self._records)

    # ------------------------------------------------------------------ records

    def _records(self, items: Sequence[Item]) -> list[TraceRecord]:
        twins = [self._corrupt(item) for item in items]
        clean, corrupted = self._logits(items), self._logits(twins)
        finite(items, clean, corrupted)
        why = [
            _dropped(item, one, other)
            for item, one, other in zip(items, clean.cpu(), corrupted.cpu(), strict=True)
        ]
        kept = [n for n, reason in enumerate(why) if reason is None]
        found = self.trace([items[n] for n in kept], [twins[n] for n in kept]) if kept else {}
        plain, other = clean.double().cpu().tolist(), corrupted.double().cpu().tolist()
        records = []
        for n, item in enumerate(items):
            mine: dict[str, dict[str, list[Any]]] = {"patched": {}, "attributed": {}}
            if n in kept:
                for (what, direction), values in found.items():
                    mine[what][direction] = rounded(values[kept.index(n)].tolist())
            records.append(
                TraceRecord.of(
                    item,
                    plain=rounded(plain[n]),
                    corrupted=rounded(other[n]),
                    dropped=why[n],
                    way=self.way,
                    **mine,
                )
            )
        return records

    def _logits(self, items: Sequence[Item]) -> Tensor:
        batch = self.subject.read(items)
        with torch.inference_mode():
            return self.subject.candidate_logits(self.subject.call(batch), batch)

    def settle(self, items: Sequence[Item]) -> None:
        """Find out which way to take on some items; the same ones give the same answer."""

        def find(part: Sequence[Item]) -> list[None]:
            if self.way == "auto" and self.method != "attribution":
                self.trace(part, [self._corrupt(item) for item in part])
            return []

        self.plan.in_halves(items, find)

    # ------------------------------------------------------------------ one batch

    def trace(self, items: Sequence[Item], twins: Sequence[Item]) -> dict[tuple[str, str], Tensor]:
        """Patch a batch, whatever its answers are.

        Args:
            items: The items.
            twins: Their corrupted twins.

        Returns:
            By ("patched", direction): probabilities (items, sites); and by ("attributed",
            direction): their first-order changes (items, sites that are not random). On the CPU.
        """
        clean, corrupted = self.subject.read(items), self.subject.read(twins)
        _require_alike(clean, corrupted)
        where = {group: places(clean, group) for group in self._groups}
        start = min(at.first for at in where.values())
        found: dict[tuple[str, str], Tensor] = {}
        for direction in self.directions:
            base, other = (corrupted, clean) if direction == "recover" else (clean, corrupted)
            # The right answer is the clean one's, whichever run is patched.
            base.items, other.items = items, items
            with self.subject.studied():
                states = self._states(other, start)
                if self.method != "attribution":
                    patched = self._patched(base, states, start, where)
                    found["patched", direction] = patched.cpu()
            if self.method != "patching":
                approximate = attributed(self.subject, base, states, start, where, self.true_sites)
                found["attributed", direction] = approximate.cpu()
        return found

    def _states(self, batch: Batch, start: int) -> States:
        n_tokens = batch.real.shape[1]
        try:
            with keeping(self._decoder, self._components, start, n_tokens) as states:
                self.subject.call(batch)
        except RowsLeftOut:
            self.subject.keep_all_rows()
            return self._states(batch, start)
        return states

    def _patched(
        self, base: Batch, states: States, start: int, where: Mapping[str, Places]
    ) -> Tensor:
        seeds = [[self._seed, int(item.key[:15], 16)] for item in base.items]
        source = Source(states, start, seeds)
        if self.way == "auto":
            self._find_way(base, source, start, where)
        if self.way == "full":
            return self._in_full(base, source, where, self.sites)
        return self._fast(base, source, start, where)

    def _fast(self, base: Batch, source: Source, start: int, where: Mapping[str, Places]) -> Tensor:
        assert self._readout is not None
        prefill, _ = self._decoder.remember(lambda: self.subject.call(base), start)
        found = torch.zeros(len(base.items), len(self.sites), device=self.subject.device)
        for group, numbers in self._by_group(self.sites).items():
            # Of like depth side by side: they join the growing batch together.
            numbers = sorted(numbers, key=lambda number: self.sites[number].layer)
            for at, share in self._pieces(where[group]):
                for chunk in self.plan.chunks(numbers, prefill, at.first):
                    patches = [self.sites[number] for number in chunk]
                    hidden = Patching(self._decoder, prefill, source, at, patches).run()
                    logits = self._readout(hidden, base.candidates)
                    found[:, chunk] += share.to(found)[:, None] * _probability(logits, base)
        return found

    def _in_full(
        self, base: Batch, source: Source, where: Mapping[str, Places], sites: Sequence[Site]
    ) -> Tensor:
        n_tokens = base.real.shape[1]
        columns = []
        for site in sites:
            column = torch.zeros(len(base.items), device=self.subject.device)
            for at, share in self._pieces(where[site.group]):
                output = self._run_patched(base, source, at, site, n_tokens)
                logits = self.subject.candidate_logits(output, base)[:, None]
                column += share.to(column) * _probability(logits, base)[:, 0]
            columns.append(column)
        return torch.stack(columns, 1)

    def _run_patched(
        self, base: Batch, source: Source, at: Places, site: Site, n_tokens: int
    ) -> Any:
        def forward() -> Any:
            return self.subject.call(base)

        try:
            return run_patched(self._decoder, forward, source, at, site, n_tokens)
        except RowsLeftOut:
            self.subject.keep_all_rows()
            return run_patched(self._decoder, forward, source, at, site, n_tokens)

    @staticmethod
    def _by_group(sites: Sequence[Site]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, site in enumerate(sites):
            found.setdefault(site.group, []).append(number)
        return found

    def _pieces(self, at: Places) -> list[tuple[Places, Tensor]]:
        """Return what is patched at once, each with its share of each item's mean, (items,)."""
        whole = torch.ones(len(at.index))
        if not self.single:
            return [(at, whole)]
        # An item with fewer positions repeats its last one, which counts once.
        return [
            (
                Places(at.index[:, n : n + 1], torch.ones_like(at.counts)),
                (n < at.counts) / at.counts,
            )
            for n in range(at.index.shape[1])
        ]

    # ------------------------------------------------------------------ which way

    def _find_way(
        self, base: Batch, source: Source, start: int, where: Mapping[str, Places]
    ) -> None:
        """Compare the two ways on some patches; take the fast one where they agree."""
        try:
            fast = self._fast(base, source, start, where)
        except Exception as error:
            wrong_items = isinstance(error, TempoError) and not isinstance(
                error, (UnsupportedModelError, UnsupportedInputError)
            )
            if wrong_items or out_of_memory(error):
                raise
            self._must_be_full(f"{type(error).__name__}: {error}")
            return
        numbers = self._probes()
        slow = self._in_full(base, source, where, [self.sites[n] for n in numbers])
        self.checked = float((fast[:, numbers] - slow).abs().max())
        dtype = self.subject.dtype
        # In 16 bits the two ways round differently; a probability moves by a quarter at most of
        # what its logit does.
        logits = self.subject.candidate_logits(self.subject.call(base), base)
        coarse = dtype not in (torch.float32, torch.float64)
        allowed = 4 * rounding(logits, dtype) if coarse else TOLERANCE
        if self.checked <= allowed:
            self.way = "replay"
        else:
            self._must_be_full(
                f"patches give probabilities that differ by {self.checked:.2g} from a full forward"
            )

    def _probes(self) -> list[int]:
        """Choose patches to run in full: of each component and group, the first and a middle."""
        found: list[int] = []
        n_layers = len(self._decoder.layers)
        for component in self._components:
            for group in self._groups:
                mine = [
                    n
                    for n, site in enumerate(self.sites)
                    if (site.component, site.group) == (component, group)
                ]
                middle = min(mine, key=lambda n: abs(self.sites[n].layer - n_layers // 2))
                found += dict.fromkeys([mine[0], middle, *([mine[1]] if len(mine) > 1 else [])])
        return found

    def _must_be_full(self, reason: str) -> None:
        if self.way == "replay":
            raise UnsupportedModelError(f"the fast way does not fit this model: {reason}")
        self.way, self.reason = "full", reason


def _probability(logits: Tensor, base: Batch) -> Tensor:
    """Return the right answers' probabilities, (items, variants)."""
    answers = torch.tensor([item.answer for item in base.items], device=logits.device)
    shares = logits.float().softmax(-1)
    return shares.gather(-1, answers[:, None, None].expand(-1, shares.shape[1], -1))[..., 0]


def _dropped(item: Item, clean: Tensor, corrupted: Tensor) -> str | None:
    """Return why an item tells nothing about what its audio does, or None."""
    answer = np.array(item.answer)
    if not bool(is_right(clean.double().numpy(), answer)):
        return "clean answer wrong"
    if bool(is_right(corrupted.double().numpy(), answer)):
        return "corrupted answer right"
    gap = clean.double().softmax(-1) - corrupted.double().softmax(-1)
    return None if float(gap[item.answer]) > 0 else "no gap"


def _require_alike(clean: Batch, corrupted: Batch) -> None:
    if clean.real.shape == corrupted.real.shape:
        unlike = (clean.real != corrupted.real) | (clean.audio != corrupted.audio)
        wrong = [item.id for item, row in zip(clean.items, unlike, strict=True) if bool(row.any())]
    else:
        wrong = [item.id for item in clean.items]
    if wrong:
        raise PositionError(
            f"{wrong[0]!r} and its corrupted twin do not have the same positions of text and "
            "audio, so states of one mean nothing in the other; their audio must be equally long"
        )

"""Many patches of one batch: fast on a remembered prefill, or slowly, one forward each."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
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
from tempo_attn.lab.engine.engine_choice import TOLERANCE, WAYS
from tempo_attn.lab.engine.model_under_study import Subject
from tempo_attn.lab.engine.query_rows import QueryRows
from tempo_attn.lab.engine.readout import Readout
from tempo_attn.lab.items import Batch
from tempo_attn.lab.trace.patches import Patching, Source, run_patched
from tempo_attn.lab.trace.sites import Site

COARSE_TOLERANCE = 0.02
"""The same of probabilities in 16 bits, where the two ways round differently (by 0.003 in the
embedded model in bfloat16)."""
_log = logging.getLogger(__name__)


class Patcher:
    """Runs patches on batches.

    Args:
        subject: The model.
        sites: The patches.
        single: Patch the positions of a group one at a time, and take the mean over them; else all
            at once.
        plan: How much runs at once.
        way: "auto"; or "replay" or "full" to insist on one.

    Attributes:
        way: "replay" or "full", once it is known.
        reason: Why not "replay"; empty where it is.
        checked: Largest difference of probabilities between the two ways; None before the check.

    Raises:
        ConfigError: There is nothing to patch, or no such way.
    """

    def __init__(
        self,
        subject: Subject,
        sites: Sequence[Site],
        *,
        single: bool = False,
        plan: Plan | None = None,
        way: str = "auto",
    ) -> None:
        one_of("way", way, WAYS)
        if not sites:
            raise ConfigError("there is nothing to patch: no site is given")
        self.subject = subject
        self.sites = list(sites)
        self.single = single
        self.plan = plan or Plan()
        self.way, self.reason = way, ""
        self.checked: float | None = None
        self._decoder = subject.decoder
        try:
            self._readout: Readout | None = Readout(subject.model, subject.family)
        except UnsupportedModelError as error:
            self._readout = None
            self._must_be_full(str(error))

    def run(
        self, base: Batch, source: Source, start: int, where: Mapping[str, QueryRows]
    ) -> tuple[Tensor, Tensor]:
        """Patch a batch; the decoder is in hand.

        Args:
            base: The run that is patched.
            source: What is written.
            start: The first position of all groups.
            where: The positions of every group.

        Returns:
            The candidates' probabilities, (items, sites, candidates); and their logits without a
            patch, worked out in the same way, (items, candidates).
        """
        if self.way == "auto":
            self._find_way(base, source, start, where)
        if self.way == "full":
            plain = self.subject.candidate_logits(self.subject.call(base), base)
            return self._in_full(base, source, where, self.sites), plain
        return self._fast(base, source, start, where)

    def logits(self, batch: Batch) -> Tensor:
        """Return the candidates' logits of a run without a patch, (items, candidates).

        Worked out as those of patches are: in 16 bits the model's own unembedding rounds.
        """
        with self._decoder.leaving() as left:
            output = self.subject.call(batch)
        if self.way != "replay" or self._readout is None:
            return self.subject.candidate_logits(output, batch)
        return self._readout(left[0][:, -1:], batch.candidates)[:, 0]

    def _fast(
        self, base: Batch, source: Source, start: int, where: Mapping[str, QueryRows]
    ) -> tuple[Tensor, Tensor]:
        assert self._readout is not None
        prefill, _ = self._decoder.remember(lambda: self.subject.call(base), start)
        plain = self._readout(prefill.output[:, -1:], base.candidates)[:, 0]
        n_items, n_candidates = base.candidates.shape
        shape = (n_items, len(self.sites), n_candidates)
        found = torch.zeros(shape, device=self.subject.device)
        for group, numbers in self._by_group().items():
            # Of like depth side by side: they join the growing batch together.
            numbers = sorted(numbers, key=lambda number: self.sites[number].layer)
            for at, share in self._pieces(where[group]):
                for chunk in self.plan.chunks(numbers, prefill, at.first):
                    patches = [self.sites[number] for number in chunk]
                    hidden = Patching(self._decoder, prefill, source, at, patches).run()
                    shares = self._readout(hidden, base.candidates).softmax(-1)
                    found[:, chunk] += share.to(found)[:, None, None] * shares.to(found)
        return found, plain

    def _in_full(
        self,
        base: Batch,
        source: Source,
        where: Mapping[str, QueryRows],
        sites: Sequence[Site],
        readout: Readout | None = None,
    ) -> Tensor:
        """Patch one by one; `readout` reads the logits instead of the model's own head."""
        n_tokens = base.real.shape[1]
        columns = []
        for site in sites:
            column = torch.zeros(base.candidates.shape, device=self.subject.device)
            for at, share in self._pieces(where[site.group]):
                with self._decoder.leaving() as left:
                    output = self._run_patched(base, source, at, site, n_tokens)
                logits = self.subject.candidate_logits(output, base)
                if readout is not None:
                    logits = readout(left[-1][:, -1:], base.candidates)[:, 0]
                shares = logits.softmax(-1)
                column += share.to(column)[:, None] * shares.to(column)
            columns.append(column)
        return torch.stack(columns, 1)

    def _run_patched(
        self, base: Batch, source: Source, at: QueryRows, site: Site, n_tokens: int
    ) -> Any:
        def forward() -> Any:
            return self.subject.call(base)

        return self.subject.on_all_rows(
            lambda: run_patched(self._decoder, forward, source, at, site, n_tokens)
        )

    def _by_group(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, site in enumerate(self.sites):
            found.setdefault(site.group, []).append(number)
        return found

    def _pieces(self, at: QueryRows) -> list[tuple[QueryRows, Tensor]]:
        """Return what is patched at once, each with its share of each item's mean, (items,)."""
        whole = torch.ones(len(at.index))
        if not self.single:
            return [(at, whole)]
        # An item with fewer positions repeats its last one, which counts once.
        return [
            (
                QueryRows(at.index[:, n : n + 1], torch.ones_like(at.counts)),
                (n < at.counts) / at.counts,
            )
            for n in range(at.index.shape[1])
        ]

    # ------------------------------------------------------------------ which way

    def _find_way(
        self, base: Batch, source: Source, start: int, where: Mapping[str, QueryRows]
    ) -> None:
        """Compare the two ways on some patches; take the fast one where they agree."""
        try:
            fast, _ = self._fast(base, source, start, where)
        except Exception as error:
            wrong_items = isinstance(error, TempoError) and not isinstance(
                error, (UnsupportedModelError, UnsupportedInputError)
            )
            if wrong_items or out_of_memory(error):
                raise
            self._must_be_full(f"{type(error).__name__}: {error}")
            return
        numbers = self._probes()
        probes = [self.sites[number] for number in numbers]
        slow = self._in_full(base, source, where, probes, self._readout)
        self.checked = float((fast[:, numbers] - slow).abs().max())
        exact = self.subject.dtype in (torch.float32, torch.float64)
        allowed = TOLERANCE if exact else COARSE_TOLERANCE
        if self.checked <= allowed:
            self.way = "replay"
        else:
            self._must_be_full(
                f"patches give probabilities that differ by {self.checked:.2g} from a full forward"
            )

    def _probes(self) -> list[int]:
        """Choose patches to run in full: the first and a middle one of each kind and group."""
        kinds: dict[tuple[object, ...], list[int]] = {}
        for number, site in enumerate(self.sites):
            kinds.setdefault((site.component, site.group, site.random), []).append(number)
        middle = len(self._decoder.layers) // 2
        found: dict[int, None] = {}
        for numbers in kinds.values():
            nearest = min(numbers, key=lambda number: abs(self.sites[number].layer - middle))
            found |= dict.fromkeys([numbers[0], nearest])
        return list(found)

    def _must_be_full(self, reason: str) -> None:
        if self.way == "replay":
            raise UnsupportedModelError(f"the fast way does not fit this model: {reason}")
        self.way, self.reason = "full", reason
        _log.warning(
            "every patch takes one full forward, which is slow: %s (%s)",
            type(self.subject.model).__name__,
            reason,
        )

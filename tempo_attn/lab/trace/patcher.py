"""Many patches of one batch: on the fast engine, or by one full forward each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tempo_attn.errors import ConfigError
from tempo_attn.lab.engine.fast_against_full import Comparison, EngineChoice
from tempo_attn.lab.engine.memory_and_batches import BatchPlan
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.engine.query_rows import QueryRows
from tempo_attn.lab.engine.readout import Readout
from tempo_attn.lab.items import Batch
from tempo_attn.lab.trace.patches import PatchedBatch, Source, run_patched
from tempo_attn.lab.trace.sites import Site


class Patcher:
    """Runs patches on batches.

    Args:
        subject: The model.
        sites: The patches.
        single: Patch the positions of a group one at a time, and take the mean over them; else all
            at once.
        plan: How much runs at once.
        engine: One of `ENGINES`: "auto"; or "fast" or "full" to insist on one.

    Attributes:
        choice: Which engine runs the patches, once it is known, and why.

    Raises:
        ConfigError: There is nothing to patch, or no such engine.
    """

    def __init__(
        self,
        subject: ModelUnderStudy,
        sites: Sequence[Site],
        *,
        single: bool = False,
        plan: BatchPlan | None = None,
        engine: str = "auto",
    ) -> None:
        if not sites:
            raise ConfigError("there is nothing to patch: no site is given")
        self.subject = subject
        self.sites = list(sites)
        self.single = single
        self.plan = plan or BatchPlan()
        self._decoder = subject.decoder
        self.choice = EngineChoice(subject, engine, "patch")

    def run(
        self, base: Batch, source: Source, start: int, where: Mapping[str, QueryRows]
    ) -> tuple[Tensor, Tensor]:
        """Patch a batch, inside `studied`.

        Args:
            base: The run that is patched.
            source: What is written.
            start: The first position of all groups.
            where: The positions of every group.

        Returns:
            The candidates' probabilities, (items, sites, candidates); and their logits without a
            patch, worked out in the same way, (items, candidates).
        """
        if self.choice.open:
            self._choose_engine(base, source, start, where)
        if self.choice.engine == "full":
            _, plain = self.subject.answer(base)
            return self._in_full(base, source, where, self.sites), plain
        assert self.choice.readout is not None
        return self._fast(base, source, start, where, self.choice.readout)

    def logits(self, batch: Batch) -> Tensor:
        """Return the candidates' logits of a run without a patch, (items, candidates).

        Worked out as those of patches are: in 16 bits the model's own unembedding rounds.
        """
        readout = self.choice.readout if self.choice.engine == "fast" else None
        return self.subject.answer(batch, readout, batch.real.shape[1] - 1)[1]

    def _fast(
        self,
        base: Batch,
        source: Source,
        start: int,
        where: Mapping[str, QueryRows],
        readout: Readout,
    ) -> tuple[Tensor, Tensor]:
        prefill, _ = self.subject.remember(base, start)
        plain = readout(prefill.output[:, -1:], base.candidates)[:, 0]
        n_items, n_candidates = base.candidates.shape
        shape = (n_items, len(self.sites), n_candidates)
        found = torch.zeros(shape, device=self.subject.device)
        for group, numbers in self._by_group().items():
            # Of like depth side by side: they join the growing batch together.
            numbers = sorted(numbers, key=lambda number: self.sites[number].layer)
            for at, share in self._pieces(where[group]):
                for chunk in self.plan.chunks(numbers, prefill, at.first):
                    patches = [self.sites[number] for number in chunk]
                    hidden = PatchedBatch(self._decoder, prefill, source, at, patches).run()
                    shares = readout(hidden, base.candidates).softmax(-1)
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
        columns = []
        for site in sites:
            column = torch.zeros(base.candidates.shape, device=self.subject.device)
            for at, share in self._pieces(where[site.group]):
                logits = self._run_patched(base, source, at, site, readout)
                shares = logits.softmax(-1)
                column += share.to(column)[:, None] * shares.to(column)
            columns.append(column)
        return torch.stack(columns, 1)

    def _run_patched(
        self, base: Batch, source: Source, at: QueryRows, site: Site, readout: Readout | None
    ) -> Tensor:
        n_tokens = base.real.shape[1]

        def forward() -> Tensor:
            return self.subject.answer(base, readout)[1]

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

    # ------------------------------------------------------------------ which engine

    def _choose_engine(
        self, base: Batch, source: Source, start: int, where: Mapping[str, QueryRows]
    ) -> None:
        """Compare the two engines on some patches; take the fast one where they agree."""
        run = self.choice.try_fast(lambda readout: self._fast(base, source, start, where, readout))
        if run is None:
            return
        fast, plain = run
        numbers = self._probes()
        probes = [self.sites[number] for number in numbers]
        slow = self._in_full(base, source, where, probes, self.choice.readout)
        what, dtype = "patches give probabilities", self.subject.dtype
        _, own = self.subject.answer(base)
        self.choice.decide(
            [
                # Both engines' patches are read by the readout: so that is compared by itself.
                Comparison.of_readout(plain, own, dtype),
                Comparison.of_probabilities(what, fast[:, numbers], slow, dtype),
            ]
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

"""What a sweep finds out about one item, and all of it as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tempo_attn.errors import ConfigError, RunFolderError
from tempo_attn.lab.item_records import ItemRecord, is_right, margins
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.statistics import Array

if TYPE_CHECKING:
    from tempo_attn.lab.run_folder.folder import Run

AUDIO_STATISTICS = ("mass_before", "mass_after", "entropy_before", "entropy_after")


@dataclass(frozen=True, kw_only=True)
class SweepRecord(ItemRecord):
    """One item under all variants of a sweep; see `ItemRecord`.

    Attributes:
        logits: The candidates' logits under every variant, in the grid's order.
        audio: `AUDIO_STATISTICS` of every variant: mass (0 to 1) and entropy (nats) of attention
            on audio before and after the edit, in the edited rows, heads and layers; None where
            undefined (no mass is left).
        engine: What ran the variants: "fast", or "full" (one forward for every variant).
        generated: Index of the candidate that free generation names, without any edit; -1 for
            none; None where it was not generated.
        confidence: Probability of the likeliest first token of an answer, without any edit.
    """

    logits: Sequence[Sequence[float]]
    audio: Sequence[Sequence[float | None]]
    engine: str = "fast"
    generated: int | None = None
    confidence: float | None = None


class SweepResults:
    """All records of a sweep as arrays, in the order of the items.

    Args:
        variants: The grid's variants.
        records: One for each item; any order.

    Raises:
        ConfigError: There is no record; or one does not fit the variants, has another number of
            candidates than the others, a logit that is not finite, or an answer that is no
            candidate.
    """

    def __init__(self, variants: Sequence[Variant], records: Sequence[SweepRecord]) -> None:
        if not records:
            raise ConfigError("a sweep without items has no results: run it on at least one")
        self.variants = list(variants)
        self.records = sorted(records, key=lambda record: record.index)
        for record in self.records:
            if len(record.logits) != len(self.variants) or len(record.audio) != len(self.variants):
                raise ConfigError(
                    f"item {record.id!r} has {len(record.logits)} variants and the sweep has "
                    f"{len(self.variants)}: these are records of another sweep"
                )
        self.number = {variant: at for at, variant in enumerate(self.variants)}
        self._check_candidates()

    @classmethod
    def of_run(cls, run: Run) -> SweepResults:
        """Return what a run folder holds of a sweep, or of a command whose runs are sweeps.

        Raises:
            RunFolderError: It is the run of a command without variants.
            ConfigError: A variant or a record is damaged, or they do not go together.
        """
        variants = run.manifest.settings.of_command.get("variants")
        if variants is None:
            raise RunFolderError(
                f"a run of `tempo {run.manifest.command}` has no variants; expected one of "
                "`tempo sweep`"
            )
        return cls(
            [Variant.from_dict(variant) for variant in variants],
            [SweepRecord.from_dict(record) for record in run.records],
        )

    def _check_candidates(self) -> None:
        expected, first = len(self.records[0].plain), self.records[0].id
        for record in self.records:
            found = {len(record.plain), *map(len, record.logits)}
            if found != {expected}:
                raise ConfigError(
                    f"item {record.id!r} has {' and '.join(map(str, sorted(found)))} candidates; "
                    f"expected {expected} for every item and variant, as {first!r} has without an "
                    "edit. Items with another number of options need a sweep of their own"
                )
            if record.answer not in range(expected):
                raise ConfigError(
                    f"item {record.id!r} has the answer {record.answer!r}; expected the index of "
                    f"one of its {expected} candidates, from 0"
                )
        logits = np.concatenate([self.plain, self.logits.reshape(len(self.records), -1)], 1)
        wrong = np.flatnonzero(~np.isfinite(logits).all(1))
        if len(wrong):
            raise ConfigError(
                f"item {self.records[wrong[0]].id!r} has a logit that is NaN, infinite or missing; "
                "expected finite numbers. Run the sweep again, in bfloat16 or float32"
            )

    @cached_property
    def answers(self) -> Array:
        """Index of the right candidate, (items,)."""
        return np.array([record.answer for record in self.records])

    @cached_property
    def clusters(self) -> Array:
        """Number of each item's cluster, (items,)."""
        names = [record.cluster for record in self.records]
        return np.unique(names, return_inverse=True)[1]

    @cached_property
    def plain(self) -> Array:
        """Candidate logits without an edit, (items, candidates)."""
        return np.array([record.plain for record in self.records], dtype=float)

    @cached_property
    def logits(self) -> Array:
        """Candidate logits, (items, variants, candidates)."""
        return np.array([record.logits for record in self.records], dtype=float)

    @cached_property
    def audio(self) -> Array:
        """`AUDIO_STATISTICS`, (items, variants, 4); NaN where undefined."""
        return np.array([record.audio for record in self.records], dtype=float)

    @cached_property
    def right(self) -> Array:
        """Whether the right candidate has the highest logit, (items, variants) bool."""
        return is_right(self.logits, self.answers[:, None])

    @cached_property
    def plain_right(self) -> Array:
        """The same without an edit, (items,) bool."""
        return is_right(self.plain, self.answers)

    @cached_property
    def margins(self) -> Array:
        """The right candidate's logit above the best other one, (items, variants)."""
        return margins(self.logits, self.answers[:, None])

    def where(self, kind: str | None = None, condition: str | None = None) -> Array:
        """Return which items are of a kind and a condition, (items,) bool; None for any."""
        return np.array(
            [
                kind in (None, record.kind) and condition in (None, record.condition)
                for record in self.records
            ]
        )

"""Editing sets of heads, on items that had no part in choosing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from tempo_attn.errors import ConfigError
from tempo_attn.lab.engine.memory_and_batches import BatchPlan, InBatches
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy, finite, rounded
from tempo_attn.lab.items import Item
from tempo_attn.lab.sweep.edited_rows import EditedRows
from tempo_attn.lab.sweep.full_engine import run_by_layer
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.try_heads.records import HeadSet, TriedRecord
from tempo_attn.modes import MODES


class HeadTrial(InBatches[TriedRecord]):
    """Runs the model with sets of heads edited, one full forward for each.

    Args:
        subject: The model and how items become calls of it.
        sets: The sets of heads.
        edit: Mode, strength and rows of the edit; its layers and heads are those of a set.
        plan: How much runs at once.
        seed: Seed of random perturbations, of which there are none here.

    Raises:
        ConfigError: The edit is not one of single heads, or there is no set of best heads.
    """

    def __init__(
        self,
        subject: ModelUnderStudy,
        sets: Sequence[HeadSet],
        edit: Variant,
        *,
        plan: BatchPlan | None = None,
        seed: int = 0,
    ) -> None:
        if MODES[edit.mode].edits_states:
            raise ConfigError(f"mode {edit.mode!r} edits states, which have no heads")
        best = [one for one in sets if not one.random]
        if not best:
            raise ConfigError("there is no set of heads to try")
        self.subject = subject
        self.plan = plan or BatchPlan()
        self._seed = seed
        self._rows = edit.rows
        largest = max(best, key=lambda one: len(one.heads))
        control = _by_layer(edit, largest)
        self._variants = [
            {layer: variant.control for layer, variant in control.items()},
            *(_by_layer(edit, one) for one in sets),
        ]

    def _records(self, items: Sequence[Item]) -> list[TriedRecord]:
        subject = self.subject
        batch = subject.read(items)
        with subject.studied():
            edited = EditedRows.of(batch, self._rows, self._seed, subject.device)
            _, plain = subject.answer(batch)
            outputs = [
                subject.on_all_rows(
                    lambda by_layer=by_layer: run_by_layer(  # type: ignore[misc]
                        subject.decoder, lambda: subject.call(batch), edited, by_layer
                    )[0]
                )
                for by_layer in self._variants
            ]
        logits = torch.stack([subject.candidate_logits(output, batch) for output in outputs], 1)
        finite(items, plain, logits)
        answers = logits.double().cpu().tolist()
        return [
            TriedRecord.of(
                item,
                plain=rounded(plain[row].double().cpu().tolist()),
                control=rounded(answers[row][0]),
                edited=[rounded(one) for one in answers[row][1:]],
            )
            for row, item in enumerate(items)
        ]


def _by_layer(edit: Variant, heads: HeadSet) -> dict[int, Variant]:
    """Return the edit of every layer that a set of heads is in."""
    return {
        layer: replace(edit, layers=(layer,), heads=tuple(of_layer))
        for layer, of_layer in heads.by_layer.items()
    }

"""Variants of attention, run on a study's items in a run folder: what four commands share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tempo_attn.lab.items import Item
from tempo_attn.lab.run_folder.folder import Run
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepRecord
from tempo_attn.lab.sweep.run import Sweeper
from tempo_tasks.lab.study import Study
from tempo_tasks.lab.tasks_to_items import generate


def run_variants(
    study: Study,
    variants: Sequence[Variant],
    *,
    command: str = "sweep",
    engine: str = "auto",
    n_generated: int = 0,
    out: Path | None = None,
    **more: Any,
) -> Run:
    """Run variants in a run folder; see `Study.run`.

    Args:
        study: The model and its items.
        variants: What is run on every item.
        command: Which command of `tempo` the run belongs to.
        engine: "auto", "fast" or "full".
        n_generated: How many items are also answered by generation.
        out: The run folder; by default that of the study's settings.
        more: Further settings for the manifest.
    """
    sweeper = Sweeper(
        study.subject,
        variants,
        plan=study.plan,
        seed=study.settings.seed,
        engine=engine,
    )

    # Spread over the items, so that every task has its part.
    n_items = len(study.items)
    n_asked = min(n_generated, n_items)
    generated = {number * n_items // n_asked for number in range(n_asked)}
    sweeper.settle(study.plan.extremes(study.items))

    def run_batch(items: Sequence[Item]) -> list[SweepRecord]:
        records = sweeper.run_batch(items)
        asked = [item for item in items if item.index in generated]
        if asked:
            answers = study.plan.in_halves(asked, lambda part: generate(study.lm, part))
            found = dict(zip((item.key for item in asked), answers, strict=True))
            records = [replace(r, generated=found.get(r.key)) for r in records]
        return records

    settings = {
        "variants": [variant.to_dict() for variant in variants],
        "engine": engine,
        "n_generated": n_generated,
        **more,
    }
    return study.run(command, settings, run_batch, out=out)

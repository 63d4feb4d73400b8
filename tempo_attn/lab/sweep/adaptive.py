"""Edits whose strength depends on the item's confidence (AdaptVis), put together of records.

Such an edit runs a prompt with one of two strengths. A sweep has run both of them on every item and
holds the confidence of the plain run, so the adaptive edit needs no further forward: each item's
logits and audio statistics are those of the strength that it takes.

Source: arXiv 2503.01773; the rule is that of `tempo_attn.config.Adaptive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tempo_attn.errors import ConfigError
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.modes import NULLS
from tempo_attn.statistics import Array


def constituents(variant: Variant) -> tuple[Variant, Variant]:
    """Return the low and the high strength of an adaptive variant as ordinary ones.

    Raises:
        ConfigError: The variant is not adaptive.
    """
    if variant.adaptive is None:
        raise ConfigError(f"{variant.name!r} is not adaptive; expected threshold, low and high")
    _, low, high = variant.adaptive
    return (
        replace(variant, strength=low, adaptive=None),
        replace(variant, strength=high, adaptive=None),
    )


def takes_low(results: SweepResults, variant: Variant) -> Array:
    """Return which items take the low strength, (items,) bool: confidence below the threshold.

    Records hold the confidence with 5 decimals; the wrapper compares the unrounded one.

    Raises:
        ConfigError: The variant is not adaptive, or a record has no confidence.
    """
    if variant.adaptive is None:
        raise ConfigError(f"{variant.name!r} is not adaptive; expected threshold, low and high")
    for record in results.records:
        if record.confidence is None:
            raise ConfigError(
                f"item {record.id!r} has no confidence, which {variant.name!r} depends on; the run "
                "is of an older version: run it again in another folder"
            )
    confidence = np.array([record.confidence for record in results.records], dtype=float)
    low: Array = confidence < variant.adaptive[0]
    return low


def composed(results: SweepResults, edits: Sequence[Variant]) -> SweepResults:
    """Return results with adaptive edits as further variants, each followed by its nulls.

    Args:
        results: A sweep with both strengths of every edit and, where nulls are wanted, theirs. The
            control is the same for both strengths and for the adaptive edit.
        edits: Adaptive variants.

    Raises:
        ConfigError: An edit is not adaptive, one of its strengths is not in the sweep, or a record
            has no confidence.
    """
    added: list[Variant] = []
    chosen: list[Array] = []
    for edit in edits:
        low = takes_low(results, edit)
        missing = [part.name for part in constituents(edit) if part not in results.number]
        if missing:
            raise ConfigError(
                f"{edit.name!r} needs {missing} among the sweep's {len(results.variants)} variants"
            )
        for variant in (edit, *(edit.null(kind) for kind in NULLS)):
            parts = constituents(variant)
            if all(part in results.number for part in parts):
                added.append(variant)
                below, above = (results.number[part] for part in parts)
                chosen.append(np.where(low, below, above))
    columns = [[int(number) for number in row] for row in zip(*chosen, strict=True)]
    records = [
        replace(
            record,
            logits=[*record.logits, *(record.logits[number] for number in row)],
            audio=[*record.audio, *(record.audio[number] for number in row)],
        )
        for record, row in zip(results.records, columns or [[]] * len(results.records), strict=True)
    ]
    return SweepResults([*results.variants, *added], records)

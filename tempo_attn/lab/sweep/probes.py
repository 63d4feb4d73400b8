"""Which variants of a sweep are also run in full, to check the fast engine."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from tempo_attn.config import NEUTRAL
from tempo_attn.lab.sweep.grid import Variant


def probes(variants: Sequence[Variant]) -> list[int]:
    """Choose variants to run in full, by number.

    Of every set of rows, and of layer sets, head groups and enrichments, the strongest edit at the
    earliest layer: a mistake shows most there.
    """
    chosen: dict[tuple[object, ...], int] = {}
    for number, variant in enumerate(variants):
        if variant.role == "edit":
            kind = variant.heads is not None, variant.mode == "enrich"
            place = (variant.rows, len(variant.layers) > 1, *kind)
            best = chosen.setdefault(place, number)
            if _rank(variant) < _rank(variants[best]):
                chosen[place] = number
    return list(chosen.values()) or [0]


def _rank(variant: Variant) -> tuple[int, float]:
    if variant.strength is None:  # knockout
        return variant.layers[0], -inf
    return variant.layers[0], -abs(variant.strength - NEUTRAL[variant.mode])

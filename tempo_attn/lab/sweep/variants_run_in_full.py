"""Which variants of a sweep are also run in full, to check the fast engine."""

from __future__ import annotations

from collections.abc import Sequence

from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.modes import MODES


def probes(variants: Sequence[Variant]) -> list[int]:
    """Choose variants to run in full, by number.

    Of every set of rows, and of layer sets, head groups and enrichments, the strongest edit at the
    earliest layer: a mistake shows most there.
    """
    chosen: dict[tuple[object, ...], int] = {}
    for number, variant in enumerate(variants):
        if variant.role == "edit":
            kind = variant.heads is not None, MODES[variant.mode].edits_states
            place = (variant.rows, len(variant.layers) > 1, *kind)
            best = chosen.setdefault(place, number)
            if _rank(variant) < _rank(variants[best]):
                chosen[place] = number
    return list(chosen.values()) or [0]


def _rank(variant: Variant) -> tuple[int, float]:
    return variant.layers[0], -MODES[variant.mode].size(variant.strength)

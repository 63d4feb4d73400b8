"""Results of sweeps that nobody ran: who answers what is written down, the logits follow."""

from collections.abc import Mapping, Sequence

import numpy as np

from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepRecord, SweepResults

TIE = -1


def edit(strength=0.5, layers=(3,), rows=("last",), **fields):
    return Variant(layers=layers, rows=rows, strength=strength, **fields)


def logits_of(pick: int, candidates: int = 4, gap: float = 1.0) -> list[float]:
    """Logits that choose a candidate by a gap; all equal for `TIE`."""
    return [gap * (candidate == pick) for candidate in range(candidates)]


def sweep(
    picks: Mapping[Variant, Sequence[int]],
    *,
    answers: Sequence[int] | None = None,
    plain: Sequence[int] | None = None,
    clusters: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
    generated: Sequence[int | None] | None = None,
    audio: Mapping[Variant, Sequence[Sequence[float | None]]] | None = None,
    gaps: Mapping[Variant, float] | None = None,
    candidates: int = 4,
    order: Sequence[int] | None = None,
) -> SweepResults:
    """Return results where every variant picks these candidates, one for each item.

    Args:
        picks: The candidate that each variant chooses for every item, or `TIE`.
        answers: The right ones; 0 for all items if not given.
        plain: What is chosen without an edit; like the first variant if not given.
        clusters: One for each item; all different if not given.
        kinds: One for each item; "eo" if not given.
        conditions: One for each item; "aqa" if not given.
        generated: The generated answers; none if not given.
        audio: The audio statistics of every item, by variant; undefined if not given.
        gaps: By how much a variant's candidate is ahead; 1 if not given.
        candidates: Their number.
        order: Place of each item in the run; as given if not given.
    """
    n = len(next(iter(picks.values())))
    plain = next(iter(picks.values())) if plain is None else plain
    gaps, audio = gaps or {}, audio or {}
    undefined = [[None] * 4] * n
    records = [
        SweepRecord(
            key=f"{i:064x}",
            index=i if order is None else int(order[i]),
            id=f"item-{i}",
            cluster=f"clip-{i}" if clusters is None else clusters[i],
            kind="eo" if kinds is None else kinds[i],
            condition="aqa" if conditions is None else conditions[i],
            answer=0 if answers is None else answers[i],
            plain=logits_of(plain[i], candidates),
            logits=[logits_of(p[i], candidates, gaps.get(v, 1.0)) for v, p in picks.items()],
            audio=[audio.get(variant, undefined)[i] for variant in picks],
            generated=None if generated is None else generated[i],
        )
        for i in range(n)
    ]
    return SweepResults(list(picks), records)


def random_picks(
    edits: Sequence[Variant], n: int, rng: np.random.Generator, candidates: int = 4
) -> dict[Variant, list[int]]:
    """Return guesses of every edit and of its control; ties are among them."""
    variants = dict.fromkeys([*(variant.control for variant in edits), *edits])
    return {v: rng.integers(TIE, candidates, n).tolist() for v in variants}

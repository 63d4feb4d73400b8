"""Recovery rates and belief shifts of a trace, with intervals by cluster and their null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tempo_attn.lab.trace.records import DROPPED, TraceRecord
from tempo_attn.lab.trace.sites import Site
from tempo_attn.statistics import Array, cluster_sums, cluster_weights

_PLACE = ("condition", "kind", "direction", "component")
_NO_GAP = 1e-9  # a difference of probabilities that is rounding alone


def trace_rows(
    records: Sequence[TraceRecord],
    sites: Sequence[Site],
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """Return the table of a trace: per condition, kind, direction and site.

    With P the right answer's probability and the items i that were not dropped, `rate` is
    sum_i (P_patched - P_base) / sum_i (P_source - P_base): base is the run that is patched, source
    the one that states come from. Direction "recover" makes it the recovery rate of arXiv
    2603.13768, "shift" the belief shift of Primus & Widmer. These print the mean of the items' own
    ratios, which is `mean_rate`; an item whose two runs hardly differ can make it anything.

    Args:
        records: Of all items, in any order.
        sites: The patches, in the records' order.
        resamples: Of the percentile bootstrap over clusters.
        seed: Of the resamples.
        level: Coverage of the intervals.

    Returns:
        Rows with `n`, `n_clusters`, `rate`, `low`, `high`; `mean_rate` with its ends; the null's
        (`null`, `null_low`, `null_high`): a change of the same size in random directions; the same
        of the twin's right answer (`twin` ..., `twin_null` ...), where the corrupted run has one:
        what only does harm lowers the right answer but does not raise the twin's; the rate
        `attributed` to first order; and the mean probabilities `p_base`, `p_source`, `p_patched`.
        None where nothing was measured, and for ends where there are fewer than two clusters or, of
        the twin's answer, resamples in which the two runs do not differ, or the other way round.
    """
    how = {"resamples": resamples, "seed": seed, "level": level}
    places = {site: number for number, site in enumerate(sites)}
    found: list[dict[str, Any]] = []
    for (condition, kind), mine in _by_kind(records).items():
        kept = [record for record in mine if record.dropped is None]
        if not kept:
            continue
        runs = _Runs.of(kept, [record.answer for record in kept])
        others = [record.twin_answer for record in kept]
        twins = None if None in others else _Runs.of(kept, [n for n in others if n is not None])
        for direction in dict.fromkeys([*kept[0].patched, *kept[0].attributed]):
            base, source = runs.base_and_source(direction)
            patched = _array([r.patched.get(direction) for r in kept])
            attributed = _array([r.attributed.get(direction) for r in kept])
            changes = None if patched is None else patched - base[:, None]
            rates = _ends(changes, source - base, runs.clusters, how)
            to_twin = None
            if twins is not None:
                before, after = twins.base_and_source(direction)
                theirs = _array([r.twin.get(direction) for r in kept])
                gained = None if theirs is None else theirs - before[:, None]
                to_twin = _ends(gained, after - before, runs.clusters, how)
            first_order = _ends(attributed, source - base, runs.clusters, how)
            true = [site for site in sites if not site.random]
            for order, site in enumerate(true):
                number, null = places[site], places.get(site.null)
                found.append(
                    {
                        "condition": condition,
                        "kind": kind,
                        "direction": direction,
                        "component": site.component,
                        "group": site.group,
                        "layer": site.layer,
                        "n": len(kept),
                        "n_clusters": len(np.unique(runs.clusters)),
                        **_named(rates, number, ("rate", "low", "high")),
                        **_named(rates, number, ("mean_rate", "mean_low", "mean_high"), 3),
                        **_named(rates, null, ("null", "null_low", "null_high")),
                        **_named(to_twin, number, ("twin", "twin_low", "twin_high")),
                        **_named(to_twin, null, ("twin_null", "twin_null_low", "twin_null_high")),
                        **_named(
                            first_order,
                            order,
                            ("attributed", "attributed_low", "attributed_high"),
                        ),
                        "p_base": _number(base.mean()),
                        "p_source": _number(source.mean()),
                        "p_patched": None
                        if patched is None
                        else _number(patched[:, number].mean()),
                    }
                )
    return found


def dropped_rows(records: Sequence[TraceRecord]) -> list[dict[str, Any]]:
    """Return how many items of each condition and kind were traced, and why others were not."""
    return [
        {
            "condition": condition,
            "kind": kind,
            "n": len(mine),
            "traced": sum(record.dropped is None for record in mine),
            **{reason: sum(record.dropped == reason for record in mine) for reason in DROPPED},
        }
        for (condition, kind), mine in _by_kind(records).items()
    ]


def agreement_rows(rows: Sequence[Mapping[str, Any]], *, top: int = 5) -> list[dict[str, Any]]:
    """Return how well attribution agrees with true patching, over the sites of each component.

    Args:
        rows: As `trace_rows`, with both.
        top: How many of the largest (in size) to compare.

    Returns:
        Rows with Spearman's `rank_correlation`, Pearson's `correlation`, and `same_top`: how many
        of the `top` largest are among the other's. None where sites do not differ.
    """
    from scipy import stats  # takes a second

    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["rate"] is not None and row["attributed"] is not None:
            groups.setdefault(tuple(row[name] for name in _PLACE), []).append(row)
    found = []
    for place, mine in groups.items():
        true = np.array([row["rate"] for row in mine])
        approximate = np.array([row["attributed"] for row in mine])
        differ = len(mine) > 2 and np.ptp(true) > 0 and np.ptp(approximate) > 0
        largest = [set(np.argsort(-np.abs(v), kind="stable")[:top]) for v in (true, approximate)]
        found.append(
            {
                **dict(zip(_PLACE, place, strict=True)),
                "sites": len(mine),
                "rank_correlation": _number(stats.spearmanr(true, approximate)[0])
                if differ
                else None,
                "correlation": _number(stats.pearsonr(true, approximate)[0]) if differ else None,
                "top": min(top, len(mine)),
                "same_top": len(largest[0] & largest[1]),
            }
        )
    return found


class _Runs:
    """The two runs' probabilities of some answers, (items,), and the items' clusters."""

    def __init__(self, clean: Array, corrupted: Array, clusters: Array) -> None:
        self.clean, self.corrupted, self.clusters = clean, corrupted, clusters

    @classmethod
    def of(cls, records: Sequence[TraceRecord], answers: Sequence[int]) -> _Runs:
        chosen = np.array(answers)[:, None]
        parts = []
        for name in ("plain", "corrupted"):
            logits = np.array([getattr(record, name) for record in records], dtype=float)
            shares = np.exp(logits - logits.max(1, keepdims=True))
            shares /= shares.sum(1, keepdims=True)
            parts.append(np.take_along_axis(shares, chosen, 1)[:, 0])
        clusters = np.unique([record.cluster for record in records], return_inverse=True)[1]
        return cls(parts[0], parts[1], clusters)

    def base_and_source(self, direction: str) -> tuple[Array, Array]:
        """Return the probabilities in the run that is patched, and in the other one."""
        both = self.corrupted, self.clean
        return both if direction == "recover" else both[::-1]


def _by_kind(records: Sequence[TraceRecord]) -> dict[tuple[str, str], list[TraceRecord]]:
    found: dict[tuple[str, str], list[TraceRecord]] = {}
    for record in sorted(records, key=lambda record: record.index):
        found.setdefault((record.condition, record.kind), []).append(record)
    return found


def _array(values: Sequence[Sequence[float] | None]) -> Array | None:
    """Return (items, sites); None where nothing was measured."""
    return None if values[0] is None else np.array(values, dtype=float)


def _ends(
    changes: Array | None, gaps: Array, clusters: Array, how: Mapping[str, Any]
) -> Array | None:
    """Return pooled rates and means of rates with their ends, (sites, 6).

    Args:
        changes: (items, sites): P_patched - P_base, or None.
        gaps: (items,): P_source - P_base.
        clusters: (items,).
        how: `resamples`, `seed` and `level`.
    """
    # The twin's answer may be no likelier in one run than in the other.
    if changes is None or abs(gaps.sum()) < _NO_GAP:
        return None
    n_sites = changes.shape[1]
    gap = gaps[:, None]
    ratios = np.divide(changes, gap, out=np.full_like(changes, np.nan), where=gap != 0)
    found = np.full((n_sites, 6), np.nan)
    found[:, 0], found[:, 3] = changes.sum(0) / gaps.sum(), ratios.mean(0)
    if len(np.unique(clusters)) < 2:  # one cluster has no spread
        return found
    weights = cluster_weights(clusters, how["resamples"], how["seed"]).astype(float)
    sums, sizes = cluster_sums(np.concatenate([changes, ratios, gap], 1), clusters)
    drawn = weights @ sums
    tails = [(1 - how["level"]) / 2, (1 + how["level"]) / 2]
    if (drawn[:, -1] * np.sign(gaps.sum()) > _NO_GAP).all():  # else rates have no bounds
        found[:, 1:3] = np.quantile(drawn[:, :n_sites] / drawn[:, -1:], tails, axis=0).T
    means = drawn[:, n_sites:-1] / (weights @ sizes)[:, None]
    found[:, 4:6] = np.quantile(means, tails, axis=0).T
    return found


def _named(
    ends: Array | None, number: int | None, names: Sequence[str], first: int = 0
) -> dict[str, float | None]:
    if ends is None or number is None:
        return dict.fromkeys(names)
    return {name: _number(ends[number, first + at]) for at, name in enumerate(names)}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)

"""Recovery rates and belief shifts of a trace, with intervals by cluster and their null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tempo_attn.files.csv_and_json import table_number
from tempo_attn.lab.trace.records import DROPPED, TraceRecord
from tempo_attn.lab.trace.sites import Site
from tempo_attn.statistics import Array, cluster_sums, cluster_weights, percentile_interval

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
        records: The records of all items, in any order.
        sites: The patches, in the records' order.
        resamples: Number of resamples of the percentile bootstrap over clusters.
        seed: Seed of the bootstrap resamples.
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
            rates = _rates(changes, source - base, runs.clusters, how)
            to_twin = None
            if twins is not None:
                before, after = twins.base_and_source(direction)
                theirs = _array([r.twin.get(direction) for r in kept])
                gained = None if theirs is None else theirs - before[:, None]
                to_twin = _rates(gained, after - before, runs.clusters, how).pooled
            first_order = _rates(attributed, source - base, runs.clusters, how).pooled
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
                        **_columns(rates.pooled, number, "rate", ""),
                        **_columns(rates.mean, number, "mean_rate", "mean_"),
                        **_columns(rates.pooled, null, "null", "null_"),
                        **_columns(to_twin, number, "twin", "twin_"),
                        **_columns(to_twin, null, "twin_null", "twin_null_"),
                        **_columns(first_order, order, "attributed", "attributed_"),
                        "p_base": table_number(base.mean()),
                        "p_source": table_number(source.mean()),
                        "p_patched": None
                        if patched is None
                        else table_number(patched[:, number].mean()),
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
                "rank_correlation": table_number(stats.spearmanr(true, approximate)[0])
                if differ
                else None,
                "correlation": table_number(stats.pearsonr(true, approximate)[0])
                if differ
                else None,
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


class _Estimate(NamedTuple):
    """One number of every site, (sites,), with the ends of its interval; NaN where undefined."""

    value: Array
    low: Array
    high: Array


class _Rates(NamedTuple):
    """What patches bring of the two runs' difference; None where this is not defined.

    Attributes:
        pooled: The sum of the changes over the sum of the differences.
        mean: The mean of the items' own ratios.
    """

    pooled: _Estimate | None
    mean: _Estimate | None


def _rates(changes: Array | None, gaps: Array, clusters: Array, how: Mapping[str, Any]) -> _Rates:
    """Return the rates of all sites.

    Args:
        changes: (items, sites): P_patched - P_base, or None where nothing was measured.
        gaps: (items,): P_source - P_base.
        clusters: (items,).
        how: `resamples`, `seed` and `level`.
    """
    # The twin's answer may be no likelier in one run than in the other.
    if changes is None or abs(gaps.sum()) < _NO_GAP:
        return _Rates(None, None)
    n_sites = changes.shape[1]
    gap = gaps[:, None]
    ratios = np.divide(changes, gap, out=np.full_like(changes, np.nan), where=gap != 0)
    pooled_ends = mean_ends = np.full((2, n_sites), np.nan)
    if len(np.unique(clusters)) > 1:  # one cluster has no spread
        weights = cluster_weights(clusters, how["resamples"], how["seed"]).astype(float)
        sums, sizes = cluster_sums(np.concatenate([changes, ratios, gap], 1), clusters)
        drawn = weights @ sums
        if (drawn[:, -1] * np.sign(gaps.sum()) > _NO_GAP).all():  # else rates have no bounds
            pooled_ends = percentile_interval(drawn[:, :n_sites] / drawn[:, -1:], how["level"])
        means = drawn[:, n_sites:-1] / (weights @ sizes)[:, None]
        mean_ends = percentile_interval(means, how["level"])
    pooled = _Estimate(changes.sum(0) / gaps.sum(), *pooled_ends)
    return _Rates(pooled, _Estimate(ratios.mean(0), *mean_ends))


def _columns(
    estimate: _Estimate | None, site: int | None, name: str, ends: str
) -> dict[str, float | None]:
    """Return the columns `name`, `ends`low and `ends`high of a site; None where undefined."""
    names = (name, f"{ends}low", f"{ends}high")
    if estimate is None or site is None:
        return dict.fromkeys(names)
    return {name: table_number(part[site]) for name, part in zip(names, estimate, strict=True)}

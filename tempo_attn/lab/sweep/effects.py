"""What each variant of a sweep does to the answers, with intervals, tests and nulls.

An edit is compared to its recomputed control, never to the plain run. Intervals are paired by item
and clustered by cluster. p values are Holm-corrected within a family: all edits on all kinds of one
condition. The rows over all kinds repeat the same items, so they are a family of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tempo_attn.errors import ConfigError
from tempo_attn.lab.item_records import POOLED
from tempo_attn.lab.sweep.generation_and_control import picks
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import AUDIO_STATISTICS, SweepResults
from tempo_attn.modes import NULLS
from tempo_attn.statistics import Array, Interval, binomial, changes, holm, interval_of_mean


@dataclass(frozen=True, kw_only=True)
class Null:
    """What a random perturbation of the same size does, against the same control.

    Attributes:
        change: Change of accuracy, with its interval.
        interval: See `Effect.interval`.
        fix_rate: As in `Effect`.
        break_rate: As in `Effect`.
        excess: The edit's change minus this one's, paired by item.
        excess_interval: Its interval.
    """

    change: float
    interval: Interval
    fix_rate: float | None
    break_rate: float | None
    excess: float
    excess_interval: Interval


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One edit on the items of one kind and condition; rates are shares from 0 to 1.

    Attributes:
        variant: The edit.
        kind: The items' kind, or `POOLED`.
        condition: Their condition.
        n: Number of items.
        n_clusters: Number of clusters, the clusters of the bootstrap.
        control_accuracy: With the rows recomputed and nothing changed.
        accuracy: With the edit.
        change: Their difference (the net effect).
        interval: Its interval, 95 % unless asked otherwise: paired percentile bootstrap over
            clusters.
        p: Exact McNemar test of the change, two-sided. It takes items as independent, which those
            of one cluster in a `POOLED` row are not: there the interval says more.
        p_holm: The same, Holm-corrected within its family: the condition's edits on all its kinds,
            or its `POOLED` rows.
        fixed: Wrong items that become right.
        broken: Right items that become wrong.
        fix_rate: `fixed` / wrong items; None without any.
        break_rate: `broken` / right items; None without any.
        switched: Wrong items whose answer changes at all, also to or from a tie.
        reguess: Fix rate of guessing again over all candidates, 1 / k.
        reguess_others: Fix rate of guessing again over the other candidates, 1 / (k - 1).
        p_switched: Exact binomial test of `fixed` of `switched` against 1 / (k - 1), two-sided;
            None without any, and for two candidates, where to switch is to fix.
        mass_before: Attention on audio without the edit, mean over items; None where undefined.
        mass_after: With it.
        entropy_before: Entropy within audio without the edit, nats.
        entropy_after: With it.
        margin_change: Mean change of the right candidate's margin (logits).
        margin_interval: Its interval.
        nulls: Random perturbations by their kind ("sign", "keys").
    """

    variant: Variant
    kind: str
    condition: str
    n: int
    n_clusters: int
    control_accuracy: float
    accuracy: float
    change: float
    interval: Interval
    p: float
    p_holm: float
    fixed: int
    broken: int
    fix_rate: float | None
    break_rate: float | None
    switched: int
    reguess: float
    reguess_others: float
    p_switched: float | None
    mass_before: float | None
    mass_after: float | None
    entropy_before: float | None
    entropy_after: float | None
    margin_change: float
    margin_interval: Interval
    nulls: dict[str, Null]


class Pairs(NamedTuple):
    """The edits of a sweep and what they are compared to.

    Attributes:
        edits: In the grid's order.
        at: Number of each among the variants, (edits,).
        control: Number of its control, (edits,).
    """

    edits: list[Variant]
    at: Array
    control: Array


def pairs(results: SweepResults) -> Pairs:
    """Return the edits of a sweep with their controls.

    Raises:
        ConfigError: A control is missing.
    """
    edits = [variant for variant in results.variants if variant.role == "edit"]
    for edit in edits:
        if edit.control not in results.number:
            raise ConfigError(
                f"{edit.name!r} has no control among the sweep's {len(results.variants)} variants; "
                f"expected {edit.control.name!r}, the same rows recomputed without a change. Run "
                "the sweep with what Grid.variants returns"
            )
    at = np.array([results.number[edit] for edit in edits], dtype=int)
    control = np.array([results.number[edit.control] for edit in edits], dtype=int)
    return Pairs(edits, at, control)


def effects(
    results: SweepResults, *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> list[Effect]:
    """Return what every edit does to the items of every kind and condition.

    Args:
        results: The sweep.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap resamples.
        level: Coverage of the intervals.

    Returns:
        Condition by condition and, within each, kind by kind, in order of first appearance; then
        `POOLED` rows where a condition has several kinds. Edits are in the grid's order.

    Raises:
        ConfigError: A control is missing, or items have only one candidate.
    """
    if results.logits.shape[-1] < 2:
        raise ConfigError("items have one candidate; expected at least two to choose from")
    bootstrap = {"resamples": resamples, "seed": seed, "level": level}
    group = partial(_group, results, pairs(results), picks(results.logits), bootstrap)
    found: list[Effect] = []
    for condition in dict.fromkeys(record.condition for record in results.records):
        kinds = dict.fromkeys(r.kind for r in results.records if r.condition == condition)
        found += _corrected(effect for kind in kinds for effect in group(condition, kind))
        if len(kinds) > 1:
            if POOLED in kinds:
                raise ConfigError(
                    f"condition {condition!r} has items of the kinds {list(kinds)}, and {POOLED!r} "
                    "names the rows over all of them; expected another name for that kind"
                )
            found += _corrected(group(condition, POOLED))
    return found


def _group(
    results: SweepResults,
    pairs: Pairs,
    picks: Array,
    bootstrap: dict[str, Any],
    condition: str,
    kind: str,
) -> list[Effect]:
    """Return the effects on the items of one condition and kind; `p_holm` is left at `p`."""
    items = results.where(None if kind == POOLED else kind, condition)
    clusters, k = results.clusters[items], results.logits.shape[-1]
    right, margins, picks = results.right[items], results.margins[items], picks[items]
    before, after = right[:, pairs.control], right[:, pairs.at]
    switched = (~before & (picks[:, pairs.control] != picks[:, pairs.at])).sum(0).tolist()
    margin_changes = margins[:, pairs.at] - margins[:, pairs.control]
    margin_ends = interval_of_mean(margin_changes, clusters, **bootstrap).tolist()
    audio = results.audio[items]
    nulls = _nulls(results, pairs, bootstrap, right, clusters)
    return [
        Effect(
            variant=edit,
            kind=kind,
            condition=condition,
            n=len(clusters),
            n_clusters=len(np.unique(clusters)),
            control_accuracy=float(before[:, i].mean()),
            accuracy=float(after[:, i].mean()),
            p_holm=change.p,
            switched=switched[i],
            reguess=1 / k,
            reguess_others=1 / (k - 1),
            p_switched=(
                binomial(change.fixed, switched[i], 1 / (k - 1)) if switched[i] and k > 2 else None
            ),
            margin_change=float(margin_changes[:, i].mean()),
            margin_interval=(margin_ends[i][0], margin_ends[i][1]),
            nulls=nulls[i],
            # What the rows did before is what their control does: in a set of layers, the later
            # ones see hidden states that the earlier ones have changed already.
            **_means("before", audio[:, pairs.control[i]]),
            **_means("after", audio[:, pairs.at[i]]),
            **asdict(change),
        )
        for i, (edit, change) in enumerate(
            zip(pairs.edits, changes(before, after, clusters, **bootstrap), strict=True)
        )
    ]


def _nulls(
    results: SweepResults, pairs: Pairs, bootstrap: dict[str, Any], right: Array, clusters: Array
) -> list[dict[str, Null]]:
    """Return the nulls of every edit, as far as the sweep has them; right is (items, variants)."""
    found: list[dict[str, Null]] = [{} for _ in pairs.edits]
    for kind in NULLS:
        having = [i for i, edit in enumerate(pairs.edits) if edit.null(kind) in results.number]
        null = right[:, [results.number[pairs.edits[i].null(kind)] for i in having]]
        excess = right[:, pairs.at[having]].astype(float) - null
        ends = interval_of_mean(excess, clusters, **bootstrap).tolist()
        null_changes = changes(right[:, pairs.control[having]], null, clusters, **bootstrap)
        for column, (i, change) in enumerate(zip(having, null_changes, strict=True)):
            found[i][kind] = Null(
                change=change.change,
                interval=change.interval,
                fix_rate=change.fix_rate,
                break_rate=change.break_rate,
                excess=float(excess[:, column].mean()),
                excess_interval=(ends[column][0], ends[column][1]),
            )
    return found


def _corrected(family: Iterable[Effect]) -> list[Effect]:
    family = list(family)
    adjusted = holm([effect.p for effect in family])
    return [replace(effect, p_holm=p) for effect, p in zip(family, adjusted, strict=True)]


def _means(when: str, audio: Array) -> dict[str, Any]:
    """Return the mean mass and entropy after a variant, (items, 4), where they are defined."""
    found: dict[str, Any] = {}
    for name in ("mass", "entropy"):
        column = audio[:, AUDIO_STATISTICS.index(f"{name}_after")]
        defined = column[~np.isnan(column)]
        found[f"{name}_{when}"] = float(defined.mean()) if len(defined) else None
    return found

"""Choose an edit, and say without bias what choosing is worth: nested cross-validation by cluster.

The best of many edits looks good on the items that it was chosen on even when none does anything.
So each fold of clusters is answered with the edit that was best on the other folds, and what is
reported is the change on those held-out items.

That change has no bias, but folds are not independent: each one's items help to choose the edit of
all others. Where no edit really helps, its interval and McNemar's p are therefore too bold (in
simulations with 5 folds, 10 to 15 % of 95 % intervals leave 0 out, with 10 folds 25 %). So the
whole procedure is tested as well, by choosing again after random sign flips of the clusters'
changes.

Within the other folds no inner cross-validation is needed. It would pick the edit with the best
mean over inner held-out parts; but an edit has no fitted parameters, so its score on an item does
not depend on other items, and the inner parts together are the training items: the mean over them
is the same number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tempo_attn.config_fields import one_of
from tempo_attn.errors import ConfigError
from tempo_attn.lab.folds import check_folds, cluster_folds
from tempo_attn.lab.sweep.choice import OBJECTIVES, Choice, Fold, Objective
from tempo_attn.lab.sweep.effects import pairs
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.modes import MODES
from tempo_attn.statistics import Array, changes, cluster_sums

_FLIPS = 200
"""Sign flips in memory at once (some 60 MB for 5 folds of 1,000 edits)."""


def choose(
    results: SweepResults,
    *,
    folds: int = 5,
    seed: int = 0,
    objective: Objective = "accuracy",
    kind: str | None = None,
    resamples: int = 2000,
    level: float = 0.95,
) -> Choice:
    """Choose the edit with the best mean change against its control, on items of one condition.

    Equal changes of accuracy are told apart by the margin, then the smaller edit is chosen: fewer
    layers, a strength nearer to neutral, the earlier one in the grid. No edit is chosen where none
    changes the objective for the better.

    Args:
        results: The sweep.
        folds: Number of parts that the clusters are divided into.
        seed: Seed of the division and of the bootstrap.
        objective: "accuracy", or "margin": the right candidate's logit above the best other one.
        kind: Kind of the items to choose on; None for all.
        resamples: Number of bootstrap resamples.
        level: Coverage of the interval.

    Raises:
        ConfigError: The sweep has no edit or not every control, its items are of several
            conditions or none is of that kind, or their clusters are too few.
    """
    check_options(objective, folds)
    items = _items(results, kind)
    edits, at, control = pairs(results)
    if not edits:
        raise ConfigError(
            f"none of the sweep's {len(results.variants)} variants is an edit, so there is nothing "
            "to choose from; expected at least one with role 'edit'"
        )
    by_size = sorted(range(len(edits)), key=lambda i: _size(edits[i]))  # the first of equals wins
    edits, at, control = [edits[i] for i in by_size], at[by_size], control[by_size]
    clusters = results.clusters[items]
    part = cluster_folds(clusters, folds, seed)
    before, after = results.right[items][:, control], results.right[items][:, at]
    change = after.astype(float) - before
    margin = results.margins[items][:, at] - results.margins[items][:, control]
    names, first = np.unique(clusters, return_index=True)
    right_sums, margin_sums = cluster_sums(change, clusters)[0], cluster_sums(margin, clusters)[0]
    hold_out = partial(_hold_out, right_sums, margin_sums, part[first], objective)
    choices, _ = hold_out(np.ones((1, len(names))))

    plain = results.plain_right[items]
    held_before, held_after, per_fold = plain.copy(), plain.copy(), []
    for number, chosen in enumerate(choices[:, 0].tolist()):
        held = part == number
        if chosen >= 0:
            held_before[held], held_after[held] = before[held, chosen], after[held, chosen]
        per_fold.append(
            Fold(
                variant=edits[chosen] if chosen >= 0 else None,
                n=int(held.sum()),
                n_clusters=len(np.unique(clusters[held])),
                training_change=float(change[~held, chosen].mean()) if chosen >= 0 else 0.0,
                held_out_change=float(change[held, chosen].mean()) if chosen >= 0 else 0.0,
            )
        )
    chosen = int(_best(change.sum(0), margin.sum(0), objective))
    apparent = float(change[:, chosen].mean()) if chosen >= 0 else 0.0
    (held_out,) = changes(
        held_before[:, None],
        held_after[:, None],
        clusters,
        resamples=resamples,
        seed=seed,
        level=level,
    )
    return Choice(
        variant=edits[chosen] if chosen >= 0 else None,
        objective=objective,
        condition=results.records[items[0]].condition,
        kind=kind,
        n=len(items),
        n_clusters=len(names),
        folds=folds,
        seed=seed,
        control_accuracy=float(held_before.mean()),
        accuracy=float(held_after.mean()),
        held_out=held_out.change,
        interval=held_out.interval,
        level=level,
        resamples=resamples,
        p=held_out.p,
        p_procedure=_flip_test(hold_out, len(names), resamples, seed),
        fix_rate=held_out.fix_rate,
        break_rate=held_out.break_rate,
        apparent=apparent,
        optimism=apparent - held_out.change,
        per_fold=tuple(per_fold),
    )


def check_options(objective: str, folds: int) -> Objective:
    """Return the objective; what can be told of the options before there is a sweep.

    Raises:
        ConfigError: An unknown objective, or fewer than two folds.
    """
    known = one_of("objective", objective, OBJECTIVES)
    check_folds(folds)
    return known


def _items(results: SweepResults, kind: str | None) -> Array:
    """Return the items to choose on, in an order that does not depend on that of the run."""
    items = np.flatnonzero(results.where(kind))
    if not len(items):
        kinds = sorted({record.kind for record in results.records})
        raise ConfigError(f"no item is of the kind {kind!r}; expected one of {kinds}, or None")
    conditions = sorted({results.records[item].condition for item in items})
    if len(conditions) > 1:
        raise ConfigError(
            f"the items are of the conditions {conditions}; expected one, as the same question "
            "would be chosen on and held out. Choose on the SweepResults of one condition's records"
        )
    records = results.records
    order = sorted(items, key=lambda item: (records[item].cluster, records[item].key))
    return np.array(order)


def _hold_out(
    right: Array, margin: Array, parts: Array, objective: Objective, signs: Array
) -> tuple[Array, Array]:
    """Choose on all folds but one and hold that one out, for every fold and many sign flips.

    Args:
        right: Changes of right answers summed over each cluster's items, (clusters, edits).
        margin: Changes of the margin, likewise.
        parts: The fold of each cluster, (clusters,).
        objective: What is maximised.
        signs: Signs of the clusters' changes, (flips, clusters).

    Returns:
        The edit chosen for each fold, (folds, flips), -1 for none; the sum of the changes of right
        answers held out, (flips,).
    """
    folds = [parts == number for number in range(parts.max() + 1)]
    by_fold = np.stack([signs[:, fold] @ right[fold] for fold in folds])
    margin_by_fold = np.stack([signs[:, fold] @ margin[fold] for fold in folds])
    training = by_fold.sum(0) - by_fold, margin_by_fold.sum(0) - margin_by_fold
    chosen = _best(*training, objective)
    held = np.take_along_axis(by_fold, chosen[..., None], -1)[..., 0]
    return chosen, np.where(chosen >= 0, held, 0.0).sum(0)


def _flip_test(
    hold_out: Callable[[Array], tuple[Array, Array]], clusters: int, flips: int, seed: int
) -> float:
    """Return the share of random sign flips that hold out as large a change as no flip does."""
    observed = abs(hold_out(np.ones((1, clusters)))[1][0])
    rng, as_large = np.random.default_rng(seed), 1  # what was observed is one of the draws
    for start in range(0, flips, _FLIPS):
        signs = rng.choice([-1.0, 1.0], (min(_FLIPS, flips - start), clusters))
        as_large += int((abs(hold_out(signs)[1]) >= observed).sum())
    return as_large / (flips + 1)


def _best(right: Array, margin: Array, objective: Objective) -> Array:
    """Return the best edit by sums over items, (...,) from (..., edits); -1 where none helps."""
    score = aim = margin
    if objective == "accuracy":  # sums of right answers are whole numbers: less than 1 breaks ties
        aim = right
        score = right + margin / (4 * np.abs(margin).max(-1, keepdims=True) + 1e-300)
    best = score.argmax(-1)
    helps = np.take_along_axis(aim, best[..., None], -1)[..., 0] > 0
    chosen: Array = np.where(helps, best, -1)
    return chosen


def _size(edit: Variant) -> tuple[int, float]:
    """Return the number of layers and how far the strength is from changing nothing."""
    return len(edit.layers), round(MODES[edit.mode].size(edit.strength), 9)

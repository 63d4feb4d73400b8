"""The table of a run of `tempo listen`, and the best layer and head, chosen on half of the clips.

Decided by us: intervals are percentile bootstraps over clusters (clips); p is that of a two-sided
t-test of the clusters' mean differences, Holm-corrected over all layers, heads and means over heads
of a panel; and "best" is the highest mean IoU above that of other clips' windows.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tempo_attn.files.csv_and_json import table_number
from tempo_attn.lab.folds import cluster_folds
from tempo_attn.lab.listen.panels import Panel, panels
from tempo_attn.lab.listen.records import ListenRecord
from tempo_attn.statistics import (
    Array,
    cluster_sums,
    holm,
    interval_of_difference,
    interval_of_mean,
)

MEAN = "mean"
"""The `head` of a layer's mean over heads."""
AGAINST = ("chance", "silence", "other_clips")
"""What IoU is compared with."""
HALVES = 2
Columns = dict[str, Array]


def listen_rows(
    records: Sequence[ListenRecord], *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> list[dict[str, Any]]:
    """Return the table: per panel (see `panels`), layer and head.

    Args:
        records: The records of all items, in any order.
        resamples: Number of bootstrap resamples over clusters.
        seed: Seed of the resamples, and of which other clips are compared with.
        level: Coverage of the intervals.

    Returns:
        Rows with `n` (looks that have a window), `n_clusters`; `iou` with `low` and `high`; for
        each of `AGAINST` its own IoU, the difference `above_...` with `..._low` and `..._high`, and
        `..._p` with `..._p_holm`; `hit` and `overlap` (shares of windows whose centre lies in the
        event, and that share any time with it), `error` (seconds between the centres), each with
        what chance gets; and `mass`, the attention in the window. None where nothing is defined.
    """
    how: Any = {"resamples": resamples, "seed": seed, "level": level}
    found: list[dict[str, Any]] = []
    for panel in panels(records):
        found += panel_rows(panel, **how)
    return found


def panel_rows(panel: Panel, *, resamples: int, seed: int, level: float) -> list[dict[str, Any]]:
    """Return the rows of one panel; see `listen_rows`."""
    n_columns = panel.starts.shape[1]
    columns = _measures(panel, seed)
    numbers: Columns = {name: np.full(n_columns, np.nan) for name in columns}
    numbers |= {"n": np.zeros(n_columns), "n_clusters": np.zeros(n_columns)}
    ends = {name: np.full((n_columns, 2), np.nan) for name in ("iou", *_above())}
    p = {name: np.full(n_columns, np.nan) for name in AGAINST}
    how: Any = {"resamples": resamples, "seed": seed, "level": level}
    # Columns of the same looks together: almost always that is all of them at once.
    known = np.isfinite(panel.starts)
    patterns, which = np.unique(known, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        some, mine = patterns[:, number], which.ravel() == number
        if not some.any():
            continue
        clusters = panel.clusters[some]
        numbers["n"][mine] = some.sum()
        numbers["n_clusters"][mine] = len(np.unique(clusters))
        for name, values in columns.items():
            part = values[np.ix_(some, mine)]
            numbers[name][mine] = part.mean(0)
            if name in ends and not np.isnan(part).any():
                ends[name][mine] = interval_of_mean(part, clusters, **how)
            if name in _above() and not np.isnan(part).any():
                p[name.removeprefix("above_")][mine] = p_of_mean(part, clusters)
    corrected = {name: _holm(values) for name, values in p.items()}
    return [_row(panel, at, numbers, ends, p, corrected) for at in range(n_columns)]


def _above() -> list[str]:
    return [f"above_{name}" for name in AGAINST]


def _measures(panel: Panel, seed: int) -> Columns:
    """Return what is averaged over looks, each (looks, columns)."""
    shape = panel.starts.shape
    found: Columns = {"iou": panel.at(panel.starts, "iou")}
    found["chance"] = np.broadcast_to(panel.chance("iou")[:, None], shape)
    if panel.silent is None:
        found["silence"] = np.full(shape, np.nan)
    else:
        # Where silence has no window (all are alike), no place is preferred: chance.
        heard = panel.at(panel.silent, "iou")
        found["silence"] = np.where(np.isnan(heard), found["chance"], heard)
    found["other_clips"] = panel.other_clips(seed)
    for name in AGAINST:
        found[f"above_{name}"] = found["iou"] - found[name]
    found["hit"] = panel.at(panel.starts, "hit")
    found["error"] = panel.at(panel.starts, "error")
    found["overlap"] = np.where(np.isnan(found["iou"]), np.nan, found["iou"] > 0)
    chances = {
        "hit": panel.chance("hit"),
        "error": panel.chance("error"),
        "overlap": np.array([(one.iou > 0).mean() for one in panel.windows]),
    }
    for name, values in chances.items():
        found[f"{name}_chance"] = np.broadcast_to(values[:, None], shape)
    found["mass"] = panel.masses
    return found


def p_of_mean(values: Array, clusters: Array) -> Array:
    """Return the two-sided p of each column's mean: t-test of the clusters' means against 0.

    Args:
        values: (looks, columns).
        clusters: (looks,).

    Returns:
        NaN with fewer than three clusters; 1 where all values are 0, as where a head looks at the
        same place with and without sound.
    """
    from scipy import stats

    sums, sizes = cluster_sums(values, clusters)
    if len(sizes) < 3:
        return np.full(values.shape[1], np.nan)
    means = sums / sizes[:, None]
    means[np.abs(means) < 1e-12] = 0.0  # but for rounding
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of clusters that are all alike
        p: Array = np.array(stats.ttest_1samp(means, 0.0, axis=0).pvalue)
    p[(means == 0).all(0)] = 1.0
    return p


def _holm(p: Array) -> Array:
    tested = np.flatnonzero(np.isfinite(p))
    corrected = np.full(len(p), np.nan)
    corrected[tested] = holm(p[tested].tolist())
    return corrected


def _row(
    panel: Panel,
    at: int,
    numbers: Columns,
    ends: Mapping[str, Array],
    p: Columns,
    corrected: Columns,
) -> dict[str, Any]:
    layer, head = divmod(at, panel.n_heads + 1)
    row: dict[str, Any] = {
        **panel.labels,
        "layer": layer,
        "head": MEAN if head == panel.n_heads else head,
        "n": int(numbers["n"][at]),
        "n_clusters": int(numbers["n_clusters"][at]),
        "iou": table_number(numbers["iou"][at]),
        "low": table_number(ends["iou"][at, 0]),
        "high": table_number(ends["iou"][at, 1]),
    }
    for name in AGAINST:
        above = f"above_{name}"
        row |= {
            name: table_number(numbers[name][at]),
            above: table_number(numbers[above][at]),
            f"{above}_low": table_number(ends[above][at, 0]),
            f"{above}_high": table_number(ends[above][at, 1]),
            f"{above}_p": table_number(p[name][at]),
            f"{above}_p_holm": table_number(corrected[name][at]),
        }
    for name in ("hit", "overlap", "error"):
        row |= {
            name: table_number(numbers[name][at]),
            f"{name}_chance": table_number(numbers[f"{name}_chance"][at]),
        }
    return {**row, "mass": table_number(numbers["mass"][at])}


def best_rows(
    records: Sequence[ListenRecord], *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> list[dict[str, Any]]:
    """Return the best head and layer of each panel: chosen on half of the clips, told of the other.

    Args:
        records: The records of all items, in any order.
        resamples: Number of bootstrap resamples over clusters.
        seed: Seed of the halves and of the resamples.
        level: Coverage of the intervals.

    Returns:
        Rows with `best` ("head" or "layer"), `n_chosen_on` and `iou_chosen_on`; everything that
        `listen_rows` has, of the other half, uncorrected, as nothing was chosen there; and the
        answers there: `right`, `wrong_though_attended` and `wrong_and_not_attended` with their
        intervals (attended: the window's centre lies in the event); `hit_if_right`, `hit_if_wrong`
        and their `hit_difference`. A panel whose looks have fewer than two clips has none.
    """
    how: Any = {"resamples": resamples, "seed": seed, "level": level}
    found: list[dict[str, Any]] = []
    for panel in panels(records):
        if len(np.unique(panel.clusters)) < HALVES:
            continue
        half = cluster_folds(panel.clusters, HALVES, seed) == 0
        chosen_on, told_of = panel.part(half), panel.part(~half)
        scores = _scores(chosen_on, seed)
        is_mean = np.arange(len(scores)) % (panel.n_heads + 1) == panel.n_heads
        for best, places in (("head", ~is_mean), ("layer", is_mean)):
            possible = [int(at) for at in np.flatnonzero(places & np.isfinite(scores))]
            if not possible:
                continue
            at = max(possible, key=lambda place: (scores[place], -place))
            (row,) = panel_rows(_column(told_of, at), **how)
            layer, head = divmod(at, panel.n_heads + 1)
            row |= {"layer": layer, "head": MEAN if head == panel.n_heads else head}
            chosen = chosen_on.at(chosen_on.starts[:, [at]], "iou")
            found.append(
                {
                    **panel.labels,
                    "best": best,
                    "n_chosen_on": len(chosen),
                    "iou_chosen_on": table_number(float(np.nanmean(chosen))),
                    **{k: v for k, v in row.items() if not k.endswith("_holm")},
                    **answers(told_of, at, **how),
                }
            )
    return found


def _scores(panel: Panel, seed: int) -> Array:
    """Return each column's mean IoU above other clips' windows; NaN where it is not defined."""
    above = panel.at(panel.starts, "iou") - panel.other_clips(seed)
    known = np.isfinite(above)
    with np.errstate(invalid="ignore"):
        scores: Array = np.where(known, above, 0.0).sum(0) / known.sum(0)
    return scores


def _column(panel: Panel, at: int) -> Panel:
    """Return the panel of one column alone."""
    return Panel(
        labels=panel.labels,
        n_layers=1,
        n_heads=0,
        clusters=panel.clusters,
        right=panel.right,
        windows=panel.windows,
        starts=panel.starts[:, [at]],
        silent=None if panel.silent is None else panel.silent[:, [at]],
        masses=panel.masses[:, [at]],
    )


def answers(panel: Panel, at: int, *, resamples: int, seed: int, level: float) -> dict[str, Any]:
    """Return how the answers of a panel go with where one column looks; see `best_rows`."""
    hit = panel.at(panel.starts[:, [at]], "hit")[:, 0] == 1
    groups = {
        "right": panel.right,
        "wrong_though_attended": ~panel.right & hit,
        "wrong_and_not_attended": ~panel.right & ~hit,
    }
    how: Any = {"resamples": resamples, "seed": seed, "level": level}
    shares = np.stack(list(groups.values()), 1).astype(float)
    ends = interval_of_mean(shares, panel.clusters, **how)
    found: dict[str, Any] = {}
    for number, (name, members) in enumerate(groups.items()):
        found |= {
            f"n_{name}": int(members.sum()),
            name: table_number(shares[:, number].mean()),
            f"{name}_low": table_number(ends[number, 0]),
            f"{name}_high": table_number(ends[number, 1]),
        }
    both = bool(panel.right.any()) and not bool(panel.right.all())
    low, high = np.nan, np.nan
    if both:
        low, high = interval_of_difference(
            hit[:, None].astype(float), panel.clusters, panel.right, **how
        )[:, 0]
    when_right = hit[panel.right].mean() if panel.right.any() else np.nan
    when_wrong = hit[~panel.right].mean() if not panel.right.all() else np.nan
    return found | {
        "hit_if_right": table_number(when_right),
        "hit_if_wrong": table_number(when_wrong),
        "hit_difference": table_number(when_right - when_wrong),
        "hit_difference_low": table_number(low),
        "hit_difference_high": table_number(high),
    }

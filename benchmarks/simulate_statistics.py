"""Do the statistics of `tempo stats` keep their promises? Simulated runs with a known truth.

Coverage of the 95 % intervals, of an accuracy, of a paired difference, and of both averaged over
three kinds that share clips; how often the tests reject at 5 % where nothing is to be found; and
how often a difference is seen that is called just detectable. Answers of one clip are correlated.

Where few answers are of the rarer sort, counts are a few small whole numbers, and no interval
covers 95 % throughout. So `rarer` stands beside each cell: the expected number of the rarer
answers, in independent items (accuracy), or of clips where anything differs (difference).

(The file is not named `statistics.py`: as a script's neighbour that would replace Python's module.)

    python benchmarks/simulate_statistics.py --json benchmarks/results/statistics.json
"""

import argparse
import json
import sys
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import scipy
from about_this_run import command, machine
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from tempo_attn.files.atomic import replacing
from tempo_attn.statistics import mcnemar
from tempo_tasks.stats.clustered_estimates import (
    ClusterSums,
    chance_p,
    difference_interval,
    share_interval,
)
from tempo_tasks.stats.pairs import detectable_difference, in_twelfths, sign_flip_p
from tempo_tasks.stats.simulate import draw_credits, draw_differences

CLUSTERS = (20, 50, 200, 700)
SIZES = (1, 2, 3, "1-3")
ACCURACIES = (0.25, 0.5, 0.75, 0.9, 0.98)
CORRELATIONS = (0.0, 0.2, 0.5, 0.8)
CHANGES = ((0.04, 0.0), (0.04, 0.02), (0.1, 0.05), (0.2, 0.0), (0.3, 0.1), (0.5, 0.3))
"""Shares of items that change, and the difference that is left of them."""
KINDS = np.array([528, 499, 630]) / 718
"""Share of the released clips with a question of each kind."""


def main() -> None:
    """Simulates, prints a summary, and writes every cell where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=4000)
    parser.add_argument("--tests", type=int, default=2000, help="replicates of the sign-flip test")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    options = parser.parse_args()
    cells = {
        "accuracy": _accuracy(options.replicates),
        "macro": _macro(options.replicates),
        "difference": _difference(options.replicates, options.tests),
        "macro_difference": _macro_difference(options.replicates, options.tests),
        "power": _power(options.tests),
    }
    report = {
        "what": "coverage of 95 % intervals and rejection at 5 % by tests, simulated",
        "command": command("simulate_statistics.py", sys.argv[1:]),
        "machine": machine("cpu"),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "replicates": options.replicates,
        "replicates_of_tests": options.tests,
        "summary": summary(cells),
        **cells,
    }
    _print(report["summary"])
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=1) + "\n")


# ---------------------------------------------------------------------- cells


def _designs():
    """Clusters, items a cluster and correlations; single items have none."""
    for n, size in product(CLUSTERS, SIZES):
        for correlation in CORRELATIONS if size != 1 else (0.0,):
            yield n, size, correlation


def _counts(rng, n, size):
    sizes = rng.integers(1, 4, n) if size == "1-3" else np.full(n, size)
    return sizes[:, None]


def _kinds(rng, n):
    """One question of each kind, where the clip has one; every clip has at least one."""
    counts = (rng.random((n, 3)) < KINDS).astype(int)
    counts[counts.sum(1) == 0, 0] = 1
    return counts


def _covered(interval, truth):
    # A truth of 0.05 and an end of 0.05 are the same number but for rounding.
    return round(
        100 * float(((interval.low - 1e-9 <= truth) & (truth <= interval.high + 1e-9)).mean()), 2
    )


def _by_items(sums):
    """The interval that takes items as independent, for comparison."""
    half = 1.959964 * np.sqrt(sums.mean * (1 - sums.mean) / sums.n)
    return type(share_interval(sums))(sums.mean - half, sums.mean + half)


def _chunks(draw, replicates):
    """Draw in parts, so that memory stays small."""
    parts = [draw(replicates=min(500, replicates - done)) for done in range(0, replicates, 500)]
    return ClusterSums(parts[0].counts, np.concatenate([part.sums for part in parts]))


def _accuracy(replicates):
    rows = []
    for (n, size, correlation), accuracy in tqdm(list(product(_designs(), ACCURACIES))):
        rng = np.random.default_rng([1, n, len(rows)])
        counts = _counts(rng, n, size)
        sums = _chunks(
            partial(draw_credits, rng, counts=counts, accuracy=accuracy, correlation=correlation),
            replicates,
        )
        row = _design_row(counts, n, size, correlation)
        row |= {
            "accuracy": accuracy,
            "rarer": round(min(accuracy, 1 - accuracy) * row["effective"], 1),
            "coverage": _covered(share_interval(sums), accuracy),
            "coverage_by_items": _covered(_by_items(sums), accuracy),
        }
        if accuracy == 0.25:
            row["rejects_chance"] = _rate(chance_p(sums))
        rows.append(row)
    return rows


def _design_row(counts, n, size, correlation):
    sizes = counts.sum(1)
    # Kish's design effect of clusters of unequal size.
    effect = 1 + ((sizes**2).sum() / sizes.sum() - 1) * correlation
    return {
        "clusters": n,
        "items_a_cluster": size,
        "items": int(sizes.sum()),
        "correlation": correlation,
        "effective": round(float(sizes.sum() / effect), 1),
    }


def _rate(p):
    return round(100 * float((np.asarray(p) <= 0.05).mean()), 2)


def _macro(replicates):
    rows = []
    for n, correlation, accuracy in tqdm(list(product(CLUSTERS, CORRELATIONS, ACCURACIES))):
        rng = np.random.default_rng([2, n, len(rows)])
        counts = _kinds(rng, n)
        of_kinds = np.clip(
            accuracy + np.array([-0.1, 0.0, 0.1]) * min(1, 10 * (1 - accuracy)), 0, 1
        )
        truth = float(of_kinds.mean())
        sums = _chunks(
            partial(draw_credits, rng, counts=counts, accuracy=of_kinds, correlation=correlation),
            replicates,
        )
        row = _design_row(counts, n, "kinds", correlation)
        rarer = round(min(truth, 1 - truth) * row["effective"], 1)
        rows.append(
            row
            | {"accuracy": truth, "rarer": rarer, "coverage": _covered(share_interval(sums), truth)}
        )
    return rows


def _difference(replicates, tests):
    rows = []
    for (n, size, correlation), (changed, truth) in tqdm(list(product(_designs(), CHANGES))):
        rng = np.random.default_rng([3, n, len(rows)])
        counts = _counts(rng, n, size)
        gain, loss = (changed + truth) / 2, (changed - truth) / 2
        sums = _chunks(
            partial(
                draw_differences, rng, counts=counts, gain=gain, loss=loss, correlation=correlation
            ),
            replicates,
        )
        row = _design_row(counts, n, size, correlation)
        row |= {"changed": changed, "difference": truth, "rarer": _discordant(sums)}
        row["coverage"] = _covered(difference_interval(sums), truth)
        if truth == 0:
            row |= _null_rates(rng, counts, changed / 2, correlation, tests)
        rows.append(row)
    return rows


def _discordant(sums):
    return round(float((np.abs(sums.contributions) > 1e-12).sum(-1).mean()), 1)


def _null_rates(rng, counts, half, correlation, tests):
    sums = draw_differences(rng, tests, counts, half, half, correlation)
    return {
        "rejects_clusters": _flip_rate(sums),
        "rejects_mcnemar": _mcnemar_rate(rng, counts, half, correlation, tests),
    }


def _flip_rate(sums):
    return _rate([sign_flip_p(row, flips=2_000) for row in in_twelfths(sums)])


def _mcnemar_rate(rng, counts, half, correlation, tests):
    """Rejections by exact McNemar, which needs the two counts: items, not sums over clusters."""
    items = counts.sum()
    clusters = np.repeat(np.arange(len(counts)), counts.sum(1))
    shared = rng.random((tests, len(counts)))[:, clusters]
    numbers = np.where(
        rng.random((tests, items)) < np.sqrt(correlation), shared, rng.random((tests, items))
    )
    gained = (numbers < half).sum(1)
    return _rate(mcnemar(gained, (numbers < 2 * half).sum(1) - gained))


def _macro_difference(replicates, tests):
    rows = []
    for n, correlation, (changed, truth) in tqdm(list(product(CLUSTERS, CORRELATIONS, CHANGES))):
        for opposite in (0.0, 0.08) if changed >= 0.2 else (0.0,):
            rng = np.random.default_rng([4, n, len(rows)])
            counts = _kinds(rng, n)
            # Some kinds gain what others lose: no difference on average, and yet not exchangeable.
            of_kinds = truth + opposite * np.array([1.0, -1.0, 0.0])
            gain, loss = (changed + of_kinds) / 2, (changed - of_kinds) / 2
            sums = _chunks(
                partial(
                    draw_differences,
                    rng,
                    counts=counts,
                    gain=gain,
                    loss=loss,
                    correlation=correlation,
                ),
                replicates,
            )
            row = _design_row(counts, n, "kinds", correlation)
            row |= {"changed": changed, "difference": truth, "opposite": opposite}
            row |= {
                "rarer": _discordant(sums),
                "coverage": _covered(difference_interval(sums), truth),
            }
            if truth == 0:
                few = ClusterSums(sums.counts, sums.sums[:tests])
                row["rejects_clusters"] = _flip_rate(few)
                if opposite == 0:
                    row["rejects_mcnemar"] = _mcnemar_rate(
                        rng, counts, changed / 2, correlation, tests
                    )
            rows.append(row)
    return rows


def _power(tests):
    """Differences that are called just detectable must be seen in 80 % of comparisons."""
    rows = []
    for (n, size, correlation), changed in product(_designs(), (0.2, 0.4)):
        rng = np.random.default_rng([5, n, len(rows)])
        counts = _counts(rng, n, size)
        row = _design_row(counts, n, size, correlation)
        truth = 0.0
        for _ in range(100):  # the error depends on the difference, and the difference on the error
            error = np.sqrt((changed - truth**2) / row["effective"])
            truth = detectable_difference(float(error), n)
        if truth >= changed:  # not even if all changes went one way
            continue
        sums = draw_differences(
            rng, tests, counts, (changed + truth) / 2, (changed - truth) / 2, correlation
        )
        rows.append(
            row | {"changed": changed, "detectable": round(truth, 4), "seen": _flip_rate(sums)}
        )
    return rows


# ---------------------------------------------------------------------- showing


def summary(cells):
    """Ranges over cells, apart for those with enough events and for the others."""
    rows = []
    for name in ("accuracy", "macro", "difference", "macro_difference"):
        for few in (False, True):
            mine = [c for c in cells[name] if (c["rarer"] < 10) == few]
            rows.append(_line(f"{name}: coverage", few, [c["coverage"] for c in mine], 93, 97))
            if name == "accuracy":
                naive = [c["coverage_by_items"] for c in mine]
                rows.append(_line("accuracy: items as independent", few, naive, 93, 97))
                chance = [c["rejects_chance"] for c in mine if "rejects_chance" in c]
                rows.append(_line("test against chance", few, chance, 0, 6.5))
            for test in ("rejects_clusters", "rejects_mcnemar"):
                rates = [c[test] for c in mine if test in c]
                rows.append(_line(f"{name}: {test}", few, rates, 0, 6.5))
    rows.append(
        _line("power at what is detectable", False, [c["seen"] for c in cells["power"]], 75, 85)
    )
    return [row for row in rows if row["cells"]]


def _line(what, few, values, low, high):
    found = np.array(values, dtype=float)
    return {
        "what": what,
        "events": "under 10" if few else "10 or more",
        "cells": len(found),
        **(
            {}
            if not len(found)
            else {
                "min": float(found.min()),
                "median": round(float(np.median(found)), 2),
                "max": float(found.max()),
                "within": f"{low}-{high}",
                "share_within": round(100 * float(((found >= low) & (found <= high)).mean()), 1),
                "below": int((found < low).sum()),
                "above": int((found > high).sum()),
            }
        ),
    }


def _print(rows):
    table = Table(title="% of simulated runs")
    for column in (
        "what",
        "events",
        "cells",
        "min",
        "median",
        "max",
        "within",
        "share_within",
        "below",
        "above",
    ):
        table.add_column(column, justify="left" if column in ("what", "events") else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()

"""What editing the best heads changes, against as many random ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tempo_attn.files.csv_and_json import table_number
from tempo_attn.lab.item_records import is_right
from tempo_attn.lab.try_heads.records import HeadSet, TriedRecord
from tempo_attn.statistics import changes, holm, interval_of_mean


def tried_rows(
    records: Sequence[TriedRecord],
    sets: Sequence[HeadSet],
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """Return the table: a row for each number of best heads.

    Args:
        records: The records of the items that the heads were not chosen on.
        sets: The sets that were tried, in the records' order.
        resamples: Number of bootstrap resamples over clusters.
        seed: Seed of the resamples.
        level: Coverage of the intervals.

    Returns:
        Rows with the change of accuracy by the best heads against the recomputed control (`change`
        with its interval, McNemar's `p`, Holm's `p_holm` over the table); the mean change by the
        random sets, `random`, with its interval over clusters, the sets taken as given, and the
        `random_lowest` and `random_highest` of them; and `excess`, the best heads' change minus
        the random ones' mean, paired.
    """
    ordered = sorted(records, key=lambda record: record.index)
    answers = np.array([record.answer for record in ordered])
    clusters = np.unique([record.cluster for record in ordered], return_inverse=True)[1]
    control = is_right(np.array([record.control for record in ordered], dtype=float), answers)
    edited = is_right(
        np.array([record.edited for record in ordered], dtype=float), answers[:, None]
    )
    how = {"resamples": resamples, "seed": seed, "level": level}
    found = []
    for at, best in enumerate(sets):
        if best.random:
            continue
        n_heads = len(best.heads)
        draws = [i for i, one in enumerate(sets) if one.random and len(one.heads) == n_heads]
        (change,) = changes(control[:, None], edited[:, [at]], clusters, **how)  # type: ignore[arg-type]
        row: dict[str, Any] = {
            "heads": n_heads,
            "which": " ".join(f"{layer}.{head}" for layer, head in best.heads),
            "n": len(ordered),
            "n_clusters": len(np.unique(clusters)),
            "control_accuracy": table_number(control.mean()),
            "accuracy": table_number(edited[:, at].mean()),
            "change": table_number(change.change),
            "low": table_number(change.interval[0]),
            "high": table_number(change.interval[1]),
            "p": table_number(change.p),
            "fix_rate": None if change.fix_rate is None else table_number(change.fix_rate),
            "break_rate": None if change.break_rate is None else table_number(change.break_rate),
            "random_sets": len(draws),
        }
        drawn = edited[:, draws].astype(float) - control[:, None]
        of_random = drawn.mean(1) if draws else np.full(len(ordered), np.nan)
        excess = edited[:, at] - control.astype(float) - of_random
        ends = interval_of_mean(np.stack([of_random, excess], 1), clusters, **how)  # type: ignore[arg-type]
        by_set = drawn.mean(0) if draws else np.array([np.nan])
        row |= {
            "random": table_number(of_random.mean()),
            "random_low": table_number(ends[0, 0]),
            "random_high": table_number(ends[0, 1]),
            "random_lowest": table_number(by_set.min()),
            "random_highest": table_number(by_set.max()),
            "excess": table_number(excess.mean()),
            "excess_low": table_number(ends[1, 0]),
            "excess_high": table_number(ends[1, 1]),
        }
        found.append(row)
    for row, p in zip(found, holm([row["p"] for row in found]), strict=True):
        row["p_holm"] = table_number(p)
    return found

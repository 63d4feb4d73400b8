"""The table of a trial, by hand."""

import pytest

from tempo_attn.lab.try_heads.records import HeadSet, TriedRecord
from tempo_attn.lab.try_heads.table import tried_rows

SETS = [
    HeadSet(heads=[(0, 1)]),
    HeadSet(heads=[(1, 0)], random=True),
    HeadSet(heads=[(1, 1)], random=True),
    HeadSet(heads=[(0, 1), (0, 0)]),
]


def record(index, control, *edited):
    """An item that is right where a letter says so."""
    logits = {"r": [1.0, 0.0, 0.0, 0.0], "w": [0.0, 1.0, 0.0, 0.0]}
    return TriedRecord(
        key=f"{index:064x}", index=index, id=f"q{index}", cluster=f"c{index}", kind="eo",
        condition="aqa", answer=0, plain=logits["r"], control=logits[control],
        edited=[logits[one] for one in edited],
    )  # fmt: skip


RECORDS = [
    record(0, "r", "w", "r", "r", "w"),
    record(1, "r", "w", "w", "r", "w"),
    record(2, "r", "w", "r", "r", "r"),
    record(3, "w", "w", "w", "r", "w"),
]


def test_by_hand():
    one, two = tried_rows(RECORDS[::-1], SETS)
    assert (one["heads"], one["which"], one["n"], one["n_clusters"]) == (1, "0.1", 4, 4)
    assert (one["control_accuracy"], one["accuracy"]) == (0.75, 0.0)
    assert one["change"] == -0.75
    assert (one["fix_rate"], one["break_rate"]) == (0.0, 1.0)
    assert one["p"] == pytest.approx(0.25)  # three broken, none fixed: 2 / 8
    assert one["random_sets"] == 2
    # -1/4 by the first, +1/4 by the second
    assert (one["random"], one["random_lowest"], one["random_highest"]) == (0.0, -0.25, 0.25)
    assert one["excess"] == -0.75
    assert one["excess_low"] <= one["excess"] <= one["excess_high"]
    assert (two["heads"], two["change"], two["random_sets"]) == (2, -0.5, 0)
    assert two["random"] is two["excess"] is two["random_low"] is None
    assert (one["p_holm"], two["p_holm"]) == (0.5, 0.5)

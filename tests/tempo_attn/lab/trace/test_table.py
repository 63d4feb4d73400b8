"""Recovery rates and belief shifts: by hand, by many draws, by scipy; who is left out."""

import json
import time
import warnings
from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from scipy import stats

from tempo_attn.lab.trace.records import DROPPED, TraceRecord, dropped
from tempo_attn.lab.trace.sites import Site, sites
from tempo_attn.lab.trace.table import agreement_rows, dropped_rows, trace_rows
from tests.support.lab_items import make_prepared

SITES = sites(2, groups=["last"], layers=[0, 1])
"""Behind layer 0, its null, behind layer 1, its null."""
RIGHT, TWIN = 0, 1


def logits(right, twin):
    """Of four candidates: the right one's and the twin's probability; the others share the rest.

    All are shifted by 5, which changes no probability.
    """
    rest = (1 - right - twin) / 2
    return [5 + log(share) for share in (right, twin, rest, rest)]


def record(index, clean, corrupted, patched=None, *, direction="recover", **fields):
    """An item; `clean` and `corrupted` are the right answer's probability, or also the twin's."""
    runs = [run if isinstance(run, tuple) else (run, (1 - run) / 3) for run in (clean, corrupted)]
    values = {
        "key": f"{index:064x}",
        "index": index,
        "id": f"item {index}",
        "cluster": f"clip {index}",
        "kind": "eo",
        "condition": "aqa",
        "answer": RIGHT,
        "plain": logits(*runs[0]),
        "corrupted": logits(*runs[1]),
        "dropped": None,
        "patched": {} if patched is None else {direction: patched},
    }
    return TraceRecord(**(values | fields))


RECORDS = [
    record(0, 0.9, 0.1, [0.5, 0.2, 0.9, 0.1], cluster="a"),
    record(1, 0.7, 0.3, [0.3, 0.4, 0.7, 0.2], cluster="a"),
    record(2, 0.6, 0.2, [0.4, 0.2, 0.2, 0.4], cluster="b"),
]
"""Gaps 0.8, 0.4 and 0.4."""


def of(table, layer, **fields):
    (row,) = [
        row
        for row in table
        if row["layer"] == layer and all(row[name] == value for name, value in fields.items())
    ]
    return row


def ends(row, *names):
    return [row[name] for name in names]


# ------------------------------------------------------------------------------ by hand


def test_the_table_by_hand():
    table = trace_rows(RECORDS, SITES)
    assert [(row["component"], row["group"], row["layer"]) for row in table] == [
        ("residual", "last", 0),
        ("residual", "last", 1),
    ]
    expected = {  # pooled over all items; the mean of the items' own; the null; the probability
        0: ((0.4 + 0 + 0.2) / 1.6, (0.5 + 0 + 0.5) / 3, (0.1 + 0.1 + 0) / 1.6, 0.4),
        1: ((0.8 + 0.4 + 0) / 1.6, (1 + 1 + 0) / 3, (0 - 0.1 + 0.2) / 1.6, 0.6),
    }
    for layer, (rate, mean, null, patched) in expected.items():
        row = of(table, layer)
        assert row["rate"] == pytest.approx(rate, abs=1e-6)
        assert row["mean_rate"] == pytest.approx(mean, abs=1e-6)
        assert row["null"] == pytest.approx(null, abs=1e-6)
        assert row["p_patched"] == pytest.approx(patched, abs=1e-6)
        assert (row["p_base"], row["p_source"]) == (0.2, pytest.approx(2.2 / 3, abs=1e-6))
        assert (row["n"], row["n_clusters"], row["direction"]) == (3, 2, "recover")
        assert (row["kind"], row["condition"]) == ("eo", "aqa")
        assert row["twin"] is row["twin_null"] is row["attributed"] is None


def test_a_shift_goes_the_other_way():
    """The clean run is patched: what lowers the right answer counts, so 1 is all of the gap."""
    shifted = [replace(r, patched={"shift": r.patched["recover"]}) for r in RECORDS]
    table = trace_rows(shifted, SITES)
    falls = {0: [0.4, 0.4, 0.2], 1: [0, 0, 0.4]}
    for layer, fall in falls.items():
        row = of(table, layer)
        assert row["direction"] == "shift"
        assert row["rate"] == pytest.approx(sum(fall) / 1.6, abs=1e-6)
        own = [part / gap for part, gap in zip(fall, [0.8, 0.4, 0.4], strict=True)]
        assert row["mean_rate"] == pytest.approx(sum(own) / 3, abs=1e-6)
        assert (row["p_base"], row["p_source"]) == (pytest.approx(2.2 / 3, abs=1e-6), 0.2)


@pytest.mark.parametrize("direction", ["recover", "shift"])
def test_the_ends_of_the_scale(direction):
    """Nothing changes: 0. The patched run is the source: 1. It is as far beyond it: 2."""
    runs = {"recover": (0.2, 0.6, 1.0), "shift": (0.6, 0.2, -0.2)}[direction]
    for patched, rate in zip(runs, (0, 1, 2), strict=True):
        one = record(0, 0.6, 0.2, [patched] * 4, direction=direction)
        assert ends(of(trace_rows([one], SITES), 1), "rate", "mean_rate", "null") == [rate] * 3


def test_both_directions_have_their_rows():
    both = replace(RECORDS[0], patched={"shift": [0.1] * 4, "recover": [0.5, 0.1, 0.9, 0.1]})
    table = trace_rows([both], SITES)
    assert [(row["direction"], row["layer"], row["rate"]) for row in table] == [
        ("shift", 0, 1.0),
        ("shift", 1, 1.0),
        ("recover", 0, 0.5),
        ("recover", 1, 1.0),
    ]


TWINS = [
    record(0, (0.9, 0.05), (0.1, 0.7), cluster="a", twin_answer=TWIN),
    record(1, (0.7, 0.1), (0.3, 0.5), cluster="b", twin_answer=TWIN),
]
"""The twin's right answer is 0.65 and 0.4 likelier in the corrupted run."""


@pytest.mark.parametrize(
    ("direction", "patched", "rates", "null"),
    [
        ("recover", [[0.7, 0.6, 0.05, 0.7], [0.5, 0.5, 0.1, 0.4]], [0, 1], [0.1, 0.1]),
        ("shift", [[0.05, 0.05, 0.7, 0.15], [0.3, 0.2, 0.5, 0.1]], [0.2, 1], [0.1, 0.1]),
    ],
)
def test_the_twins_right_answer_has_its_own_rate(direction, patched, rates, null):
    """As a share of what this answer differs by, not of what the other one does."""
    records = [
        replace(r, patched={direction: [0.5] * 4}, twin={direction: p})
        for r, p in zip(TWINS, patched, strict=True)
    ]
    table = trace_rows(records, SITES)
    for layer in (0, 1):
        row = of(table, layer)
        assert row["twin"] == pytest.approx(rates[layer] / (1.05 if layer == 0 else 1), abs=1e-6)
        assert row["twin_null"] == pytest.approx(null[layer] / 1.05, abs=1e-6)
        low, high = ends(row, "twin_low", "twin_high")
        assert low <= row["twin"] <= high
        # of the right answer itself, which differs by 0.8 and 0.4
        changes = {"recover": 0.4 + 0.2, "shift": 0.4 + 0.2}[direction]
        assert row["rate"] == pytest.approx(changes / 1.2, abs=1e-6)


def test_the_twins_answer_is_found_whichever_it_is():
    """And the right one: both are indices of candidates."""
    one = replace(
        TWINS[0],
        answer=3,
        twin_answer=2,
        plain=[log(share) for share in (0.05, 0.05, 0.1, 0.8)],
        corrupted=[log(share) for share in (0.1, 0.1, 0.6, 0.2)],
        patched={"recover": [0.5, 0.2, 0.8, 0.2]},
        twin={"recover": [0.35, 0.6, 0.1, 0.6]},
    )
    table = trace_rows([one], SITES)
    assert ends(of(table, 0), "rate", "twin", "p_base", "p_source") == [0.5, 0.5, 0.2, 0.8]
    assert ends(of(table, 1), "rate", "twin", "null", "twin_null") == [1, 1, 0, 0]


def test_a_twins_answer_that_the_runs_do_not_tell_apart_has_no_rate():
    """Neither a warning nor a number of rounding alone comes of it."""
    more = {"twin_answer": TWIN, "twin": {"recover": [0.3] * 4}}
    alike = [record(n, (0.6, 0.2), (0.2, 0.2), [0.4] * 4, **more) for n in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = trace_rows(alike, SITES)
    for row in table:
        assert row["twin"] is row["twin_null"] is None
        assert row["twin_low"] is row["twin_high"] is None
        assert row["rate"] == 0.5


@pytest.mark.parametrize("twin", [0.2, 0.1])
def test_where_the_twins_answer_gains_nothing_in_some_draws_there_is_no_interval(twin):
    """Here it is half of the clusters: some draws have a gap of zero, or a negative one."""
    records = [
        record(
            n,
            (0.6, 0.2),
            (0.2, twin if n else 0.5),
            [0.4] * 4,
            twin_answer=TWIN,
            twin={"recover": [0.3] * 4},
        )
        for n in range(2)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = trace_rows(records, SITES)[0]
    gap, change = (0.2 - 0.5) + (0.2 - twin), (0.3 - 0.5) + (0.3 - twin)
    assert row["twin"] == pytest.approx(change / gap, abs=1e-6)
    assert row["twin_low"] is row["twin_high"] is None
    assert (row["low"], row["high"]) == (0.5, 0.5)  # of the right answer, as before


def test_attributed_rates_are_of_the_sites_that_are_not_random():
    """Two for every item, in the order of these sites, beside four patches."""
    records = [
        replace(r, attributed={"recover": a})
        for r, a in zip(RECORDS, [[0.4, 4], [0.2, 2], [0.2, -2.5]], strict=True)
    ]
    table = trace_rows(records, SITES)
    assert of(table, 0)["attributed"] == pytest.approx(0.8 / 1.6, abs=1e-6)
    assert of(table, 1)["attributed"] == pytest.approx(3.5 / 1.6, abs=1e-6)
    falls = [replace(r, attributed={"shift": [-0.4, 0.1]}, patched={}) for r in RECORDS]
    assert [row["attributed"] for row in trace_rows(falls, SITES)] == [0.75, -0.1875]


def test_attribution_alone_has_no_patched_rates():
    true = [site for site in SITES if not site.random]
    records = [replace(r, patched={}, attributed={"recover": [0.1, 0.4]}) for r in RECORDS]
    table = trace_rows(records, true)
    for layer in (0, 1):
        row = of(table, layer)
        nothing = ("rate", "low", "high", "mean_rate", "mean_low", "mean_high", "null", "p_patched")
        assert ends(row, *nothing) == [None] * 8
        assert row["attributed_low"] <= row["attributed"] <= row["attributed_high"]
        assert row["p_base"] == 0.2
    ratio = of(table, 1)["attributed"] / of(table, 0)["attributed"]
    assert ratio == pytest.approx(4, abs=1e-3)


def test_without_nulls_there_are_none():
    true = [site for site in SITES if not site.random]
    records = [replace(r, patched={"recover": r.patched["recover"][::2]}) for r in RECORDS]
    table = trace_rows(records, true)
    with_nulls = trace_rows(RECORDS, SITES)
    for row, other in zip(table, with_nulls, strict=True):
        assert ends(row, "null", "null_low", "null_high") == [None] * 3
        assert ends(row, "rate", "low", "high") == ends(other, "rate", "low", "high")


def test_nulls_are_found_wherever_they_stand():
    order = [3, 0, 1, 2]
    moved = [
        replace(r, patched={"recover": [r.patched["recover"][n] for n in order]}) for r in RECORDS
    ]
    table = trace_rows(moved, [SITES[n] for n in order])
    assert sorted(table, key=lambda row: row["layer"]) == trace_rows(RECORDS, SITES)


# ------------------------------------------------------------------------------ intervals


def many(n_clusters=25, seed=0):
    """Three items a cluster, or one, with gaps from small to large, which patches close by half.

    The first patch closes more of large ones.
    """
    rng = np.random.default_rng(seed)
    records = []
    for index in range(3 * n_clusters):
        if index % 15 in (1, 2, 4, 5):  # clusters of one item
            continue
        clean, corrupted = rng.uniform(0.5, 0.95), rng.uniform(0.05, 0.35)
        gap = clean - corrupted
        shares = np.array([gap, 0.1 * rng.normal(), 0.5 + 0.2 * rng.normal(), 0.05 * rng.normal()])
        twins = rng.uniform(0.02, 0.04), rng.uniform(0.4, 0.6)
        records.append(
            record(
                index,
                (clean, twins[0]),
                (corrupted, twins[1]),
                (corrupted + gap * shares).tolist(),
                cluster=f"c{index // 3:03}",
                twin_answer=TWIN,
                twin={"recover": (twins[1] - 0.4 * shares).tolist()},
                attributed={"recover": (gap * shares[[0, 2]] ** 2).tolist()},
            )
        )
    return records


def test_intervals_by_many_draws():
    """Whole clusters are drawn, one by one: of pooled rates, means, null, twin, first order.

    The ratio of sums is that of the draw, for which items with large gaps count more.
    """
    records = many()
    answers = np.array(
        [
            [np.exp(run[a]) / np.exp(run).sum() for run in (r.plain, r.corrupted) for a in (0, 1)]
            for r in records
        ]
    )
    clean, clean_twin, base, base_twin = answers.T
    gap, twin_gap = clean - base, clean_twin - base_twin
    changes = np.array([r.patched["recover"] for r in records]) - base[:, None]
    twins = np.array([r.twin["recover"] for r in records]) - base_twin[:, None]
    first_order = np.array([r.attributed["recover"] for r in records])
    rng = np.random.default_rng(1)
    drawn = []
    clusters = [
        np.flatnonzero([r.cluster == clip for r in records])
        for clip in dict.fromkeys(r.cluster for r in records)
    ]
    for _ in range(4000):
        items = np.concatenate([clusters[n] for n in rng.integers(0, 25, 25)])
        drawn.append(
            [
                changes[items, 0].sum() / gap[items].sum(),
                np.mean(changes[items, 0] / gap[items]),
                changes[items, 1].sum() / gap[items].sum(),
                twins[items, 0].sum() / twin_gap[items].sum(),
                twins[items, 1].sum() / twin_gap[items].sum(),
                first_order[items, 0].sum() / gap[items].sum(),
            ]
        )
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    row = of(trace_rows(records, SITES), 0)
    names = [
        ("low", "high"),
        ("mean_low", "mean_high"),
        ("null_low", "null_high"),
        ("twin_low", "twin_high"),
        ("twin_null_low", "twin_null_high"),
        ("attributed_low", "attributed_high"),
    ]
    for at, pair in enumerate(names):
        assert ends(row, *pair) == pytest.approx([low[at], high[at]], abs=0.06 * (high - low)[at])
    assert row["rate"] > row["mean_rate"] + 0.02  # so that the two are told apart


def test_clips_are_drawn_and_not_items():
    """Items of one clip that agree say hardly more than one of them."""
    apart = [replace(r, cluster=r.id) for r in many()]
    three = [replace(r, index=3 * r.index + n, cluster=r.id) for r in many() for n in range(3)]
    (first, *_), (same, *_) = trace_rows(apart, SITES), trace_rows(three, SITES)
    assert same["n"] == 3 * first["n"]
    assert same["n_clusters"] == first["n_clusters"] == len(many())
    assert ends(same, "rate", "low", "high") == pytest.approx(
        ends(first, "rate", "low", "high"), abs=2e-6
    )


def test_seed_level_and_resamples_reach_the_bootstrap():
    records = many()
    row = trace_rows(records, SITES)[0]
    other, narrow, few = (
        trace_rows(records, SITES, **how)[0]
        for how in ({"seed": 1}, {"level": 0.5}, {"resamples": 10})
    )
    assert row["rate"] == other["rate"] == narrow["rate"] == few["rate"]
    assert row["low"] != other["low"]
    assert row["low"] < narrow["low"] < narrow["high"] < row["high"]
    assert ends(few, "low", "high") != ends(row, "low", "high")


def test_one_clip_has_no_spread():
    records = [replace(r, cluster="a", attributed={"recover": [0.1, 0.2]}) for r in RECORDS]
    for row in trace_rows(records, SITES):
        assert row["n_clusters"] == 1
        assert all(row[name] is None for name in row if name.endswith(("low", "high")))
        assert None not in ends(row, "rate", "mean_rate", "null", "attributed")


# ------------------------------------------------------------------------------ which items


def test_dropped_items_are_left_out_and_counted():
    lost = [record(3 + n, 0.3, 0.6, dropped=reason) for n, reason in enumerate(DROPPED * 2)][:-1]
    records = [lost[0], *RECORDS, *lost[1:]]
    assert trace_rows(records, SITES) == trace_rows(RECORDS, SITES)
    assert dropped_rows(records) == [
        {
            "condition": "aqa",
            "kind": "eo",
            "n": 8,
            "traced": 3,
            "clean answer wrong": 2,
            "corrupted answer right": 2,
            "no gap": 1,
        }
    ]


def test_without_any_item_left_there_are_no_rows():
    lost = [record(n, 0.3, 0.6, dropped="clean answer wrong") for n in range(3)]
    assert trace_rows(lost, SITES) == []
    (row,) = dropped_rows(lost)
    assert (row["n"], row["traced"], row["clean answer wrong"]) == (3, 0, 3)
    assert trace_rows([], SITES) == dropped_rows([]) == []


def test_kinds_and_conditions_are_apart_in_any_order():
    kinds = [("lo", "aqa"), ("eo", "aqa"), ("lo", "acqa"), ("lo", "aqa"), ("ld", "aqa")]
    records = [
        record(n, 0.6, 0.2, [0.2 + 0.1 * n] * 4, kind=kind, condition=condition)
        for n, (kind, condition) in enumerate(kinds)
    ]
    records[4] = replace(records[4], dropped="no gap", patched={})
    table = trace_rows(records[::-1], SITES)
    assert table == trace_rows(records, SITES)
    found = {(row["condition"], row["kind"]): (row["rate"], row["n"]) for row in table}
    assert found == {("aqa", "lo"): (0.375, 2), ("aqa", "eo"): (0.25, 1), ("acqa", "lo"): (0.5, 1)}
    counts = dropped_rows(records[::-1])
    assert counts == dropped_rows(records)
    assert [(r["condition"], r["kind"], r["n"], r["traced"]) for r in counts] == [
        ("aqa", "lo", 2, 2),
        ("aqa", "eo", 1, 1),
        ("acqa", "lo", 1, 1),
        ("aqa", "ld", 1, 0),
    ]


@pytest.mark.parametrize(
    ("clean", "corrupted", "reason"),
    [
        ([2, 1, 0, 0], [0, 1, 0, 0], None),
        ([1, 2, 0, 0], [0, 1, 0, 0], "clean answer wrong"),
        ([1, 1, 0, 0], [0, 1, 0, 0], "clean answer wrong"),  # a tie is no answer
        ([1, 2, 0, 0], [2, 1, 0, 0], "clean answer wrong"),
        ([2, 1, 0, 0], [3, 1, 0, 0], "corrupted answer right"),
        ([2, 1, 0, 0], [1, 1, 0, 0], None),
        ([0.1, 0, 0, 0], [5, 5.1, 0, 0], "no gap"),  # 0.27 to 0.47: likelier where it is wrong
    ],
)
def test_why_an_item_is_dropped(clean, corrupted, reason):
    (item,) = make_prepared({}, n_items=1).items
    assert item.answer == RIGHT
    runs = [torch.tensor(run, dtype=torch.float32) for run in (clean, corrupted)]
    assert dropped(item, *runs) == reason


# ------------------------------------------------------------------------------ agreement


def rated(pairs, **fields):
    place = {"condition": "aqa", "kind": "eo", "direction": "recover", "component": "residual"}
    return [
        place | {"layer": n, "rate": rate, "attributed": attributed} | fields
        for n, (rate, attributed) in enumerate(pairs)
    ]


def test_agreement_by_hand_and_by_scipy():
    """Ranks 1 2 3 4 and 1 3 2 4: 1 - 6 * 2 / (4 * 15)."""
    pairs = [(-0.3, -9.0), (0.0, 0.3), (0.2, 0.2), (0.9, 0.5)]
    (row,) = agreement_rows(rated(pairs), top=2)
    assert row["rank_correlation"] == pytest.approx(0.8)
    assert row["correlation"] == pytest.approx(
        stats.pearsonr(*zip(*pairs, strict=True))[0], abs=1e-6
    )
    assert row["correlation"] < 0.75
    # The largest in size: 0.9 and -0.3; -9 and 0.5.
    assert (row["sites"], row["top"], row["same_top"]) == (4, 2, 2)
    (row,) = agreement_rows(rated([(0.1, 0.4), *pairs[1:]]), top=2)  # 0.9 and 0.2; 0.5 and 0.4
    assert row["same_top"] == 1
    (row,) = agreement_rows(rated(pairs), top=9)
    assert (row["top"], row["same_top"]) == (4, 4)
    assert [row[name] for name in ("condition", "kind", "direction", "component")] == [
        "aqa",
        "eo",
        "recover",
        "residual",
    ]


@pytest.mark.parametrize(
    "pairs",
    [
        [(0.5, 0.1), (0.5, 0.2), (0.5, 0.3)],
        [(0.1, 0.5), (0.2, 0.5), (0.3, 0.5)],
        [(0.1, 0.2), (0.2, 0.1)],  # of two, a rank correlation is 1 or -1
        [(0.1, 0.2)],
    ],
)
def test_sites_that_do_not_differ_have_no_correlation(pairs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (row,) = agreement_rows(rated(pairs))
    assert row["rank_correlation"] is row["correlation"] is None
    assert row["same_top"] == row["top"] == len(pairs)


def test_agreement_is_of_each_place_and_needs_both_rates():
    pairs = [(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)]
    table = [
        *rated(pairs),
        *rated([(0.3, 0.1), (0.2, 0.2), (0.1, 0.3)], component="mlp"),
        *rated(pairs, direction="shift"),
        *rated([(None, 0.1), (0.4, 0.2)], kind="lo"),
        *rated([(0.4, None)], kind="ld"),
    ]
    found = {
        (row["kind"], row["direction"], row["component"]): (row["sites"], row["rank_correlation"])
        for row in agreement_rows(table)
    }
    assert found == {
        ("eo", "recover", "residual"): (3, 1),
        ("eo", "recover", "mlp"): (3, -1),
        ("eo", "shift", "residual"): (3, 1),
        ("lo", "recover", "residual"): (1, None),
    }
    assert agreement_rows([]) == []


# ------------------------------------------------------------------------------ records, tables


def test_records_and_sites_go_through_json():
    whole = replace(RECORDS[0], twin_answer=2, twin={"recover": [0.1] * 4}, engine="full")
    lost = record(1, 0.3, 0.6, dropped="clean answer wrong")
    for one in (*many(2), whole, lost):
        text = json.dumps(one.to_dict(), allow_nan=False)
        assert TraceRecord.from_dict(json.loads(text)) == one
    for site in SITES:
        assert Site(**json.loads(json.dumps(site.to_dict()))) == site
    read = [TraceRecord.from_dict(json.loads(json.dumps(r.to_dict()))) for r in many()]
    assert trace_rows(read, SITES) == trace_rows(many(), SITES)


def test_tables_are_json_and_the_same_every_time():
    records = [*many(), record(99, 0.3, 0.6, dropped="no gap")]
    tables = [trace_rows(records, SITES), dropped_rows(records)]
    again = [trace_rows(records[::-1], SITES), dropped_rows(records[::-1])]
    text = json.dumps(tables, allow_nan=False)
    assert text == json.dumps(again, allow_nan=False)
    assert json.loads(text) == tables
    agreement = agreement_rows(tables[0])
    assert json.loads(json.dumps(agreement, allow_nan=False)) == agreement
    number = tables[0][0]["rate"]
    assert number == round(number, 6)


def test_many_sites_take_no_long():
    """80 layers with three components and seven groups, and their nulls: 3,374 patches."""
    chosen = sites(80, components=["residual", "attention", "mlp"])
    records = [record(n, 0.6, 0.2, [0.4] * len(chosen)) for n in range(3)]
    start = time.process_time()
    assert len(trace_rows(records, chosen, resamples=100)) == len(chosen) // 2
    print("CPU", time.process_time() - start)

"""Effects as rows: flat, with the same columns, equal bytes for equal results."""

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tempo_attn.lab.sweep.effects import effects
from tempo_attn.lab.sweep.table import rounded, to_rows
from tests.support.sweep_results import edit, random_picks, sweep

EDIT = edit(0.5)


def some_effect():
    """An effect with one item fixed, none broken."""
    (effect,) = effects(sweep({EDIT.control: [0, 1, 2], EDIT: [0, 0, 2]}), resamples=20)
    return effect


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def test_rows_are_flat_and_have_the_same_columns():
    wide = edit(0.1, layers=(0, 1), rows=("keyword", "last"), heads=(2, 5))
    rng = np.random.default_rng(0)
    guessed = random_picks([EDIT, wide], 9, rng) | random_picks([EDIT.null("sign")], 9, rng)
    results = sweep(guessed, kinds=["eo", "lo", "lo"] * 3)
    first, second, *_ = rows = to_rows(effects(results, resamples=50))
    assert len(rows) == 6
    assert {tuple(row) for row in rows} == {tuple(first)}
    names = "condition kind mode strength layers rows heads source n n_clusters"
    assert list(first)[:10] == names.split()
    assert list(first)[12:15] == ["change", "change_low", "change_high"]
    assert {"margin_low", "null_sign_change_high", "null_keys_excess_low"} < set(first)
    assert (first["layers"], first["rows"], first["heads"]) == ("3", "last", None)
    assert (second["layers"], second["rows"], second["heads"]) == ("0,1", "keyword+last", "2,5")
    assert first["null_sign_excess"] is not None
    assert second["null_sign_excess"] is first["null_keys_excess"] is None
    assert all(isinstance(v, str | int | float | None) for row in rows for v in row.values())
    assert first["change"] == round(effects(results, resamples=50)[0].change, 6)


def test_equal_results_are_equal_bytes():
    def table(order):
        rng = np.random.default_rng(0)
        results = sweep(random_picks([EDIT, edit(2.0)], 40, rng), order=order)
        rows = to_rows(effects(results, resamples=50))
        return as_csv(rows) + json.dumps(rows, allow_nan=False)

    assert table(range(40)) == table(range(40))
    assert table(range(40)) == table(np.random.default_rng(1).permutation(40))
    assert "-0.0," not in table(range(40))


def test_no_number_of_a_row_is_minus_zero():
    (row,) = to_rows([replace(some_effect(), change=-1e-9, interval=(-0.0, 1e-9))])
    assert json.dumps([row["change"], row["change_low"]]) == "[0.0, 0.0]"


def test_small_p_values_survive():
    small = {"p": 1.23456789e-9, "p_holm": 0.123456789, "p_switched": 9.87654321e-300}
    (row,) = to_rows([replace(some_effect(), **small)])
    assert (row["p"], row["p_holm"], row["p_switched"]) == (1.23457e-9, 0.123457, 9.87654e-300)
    (read,) = csv.DictReader(io.StringIO(as_csv([row])))
    assert (read["p"], float(read["p_holm"])) == ("1.23457e-09", 0.123457)
    assert row["change"] == 0.333333  # what is no p value keeps 6 decimals


@pytest.mark.parametrize("p", [None, math.nan])
def test_a_p_value_that_is_undefined(p):
    (row,) = to_rows([replace(some_effect(), p_switched=p)])
    assert row["p_switched"] is None


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_p_values_at_their_ends(p):
    (row,) = to_rows([replace(some_effect(), p=p)])
    assert row["p"] == p


def test_json_data_is_rounded_at_any_depth():
    data = {"a": [0.12345678, (math.inf, -1e-9)], "b": {"c": 3, "d": "x", "e": True, "f": None}}
    found = rounded(data)
    assert found == {"a": [0.123457, [None, 0.0]], "b": {"c": 3, "d": "x", "e": True, "f": None}}
    assert json.dumps(found["a"][1]) == "[null, 0.0]"

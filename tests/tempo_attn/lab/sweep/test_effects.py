"""Effects of edits: by hand, against a plain loop over items, and as a table."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tempo_attn.errors import ConfigError
from tempo_attn.lab.item_records import POOLED
from tempo_attn.lab.sweep.effects import effects
from tempo_attn.lab.sweep.grid import Grid
from tempo_attn.lab.sweep.table import to_rows
from tempo_attn.statistics import interval_of_mean
from tests.support.sweep_results import TIE, edit, random_picks, sweep

EDIT = edit(0.5)
# The right answer is 0.      kept broken kept fixed wrong switched fixed  fixed
BEFORE = {EDIT.control: [0, 0, 0, 1, 1, 1, 2, TIE]}
AFTER = {EDIT: [0, 1, 0, 0, 1, 2, 0, 0]}


def test_an_effect_by_hand():
    (effect,) = effects(sweep(BEFORE | AFTER))
    assert (effect.variant, effect.kind, effect.condition) == (EDIT, "eo", "aqa")
    assert (effect.n, effect.n_clusters) == (8, 8)
    assert (effect.control_accuracy, effect.accuracy, effect.change) == (3 / 8, 5 / 8, 2 / 8)
    assert (effect.fixed, effect.broken, effect.switched) == (3, 1, 4)
    assert (effect.fix_rate, effect.break_rate) == (3 / 5, 1 / 3)
    assert effect.p == effect.p_holm == pytest.approx(10 / 16)
    assert (effect.reguess, effect.reguess_others) == (1 / 4, 1 / 3)
    assert effect.p_switched == pytest.approx(9 / 81)
    # A right answer is ahead by 1, a wrong one behind by 1, a tie 0.
    assert effect.margin_change == pytest.approx((-2 + 2 + 2 + 1) / 8)
    assert effect.interval[0] < 2 / 8 < effect.interval[1]
    assert effect.margin_interval[0] < 3 / 8 < effect.margin_interval[1]
    assert effect.nulls == {}


def test_the_baseline_is_the_control_and_not_the_plain_run():
    same = effects(sweep(BEFORE | AFTER))
    assert effects(sweep(BEFORE | AFTER, plain=AFTER[EDIT])) == same


def test_intervals_are_clustered_by_clip():
    clusters = list("aabbccdd")
    (effect,) = effects(sweep(BEFORE | AFTER, clusters=clusters), resamples=300, seed=4, level=0.8)
    assert (effect.n, effect.n_clusters) == (8, 4)
    options = {"resamples": 300, "seed": 4, "level": 0.8}
    change = [[0], [-1], [0], [1], [0], [0], [1], [1]]
    margin = [[0], [-2], [0], [2], [0], [0], [2], [1]]
    assert effect.interval == tuple(interval_of_mean(change, clusters, **options)[0])
    assert effect.margin_interval == tuple(interval_of_mean(margin, clusters, **options)[0])
    alone = effects(sweep(BEFORE | AFTER), **options)[0]
    assert alone.interval != effect.interval


def test_one_clip_has_no_interval_and_no_column_of_nan():
    (effect,) = found = effects(sweep(BEFORE | AFTER, clusters=["a"] * 8))
    assert all(map(math.isnan, effect.interval))
    assert to_rows(found)[0]["change_low"] is None


def test_rates_without_items_are_undefined():
    (effect,) = effects(sweep({EDIT.control: [0, 0], EDIT: [0, 1]}))
    assert (effect.fix_rate, effect.break_rate) == (None, 0.5)
    assert (effect.switched, effect.p_switched) == (0, None)
    (effect,) = effects(sweep({EDIT.control: [1, 1], EDIT: [0, 1]}))
    assert (effect.fix_rate, effect.break_rate) == (0.5, None)


def test_of_two_candidates_to_switch_is_to_fix():
    (effect,) = effects(sweep({EDIT.control: [1, 1], EDIT: [0, TIE]}, candidates=2))
    assert (effect.fixed, effect.switched) == (1, 2)
    assert (effect.reguess, effect.reguess_others, effect.p_switched) == (0.5, 1, None)


def test_every_number_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    grid = [edit(0.5), edit(2.0), edit(0.5, layers=(7,)), edit(0.5, rows=("keyword",))]
    answers = rng.integers(0, 4, 60).tolist()
    kinds = rng.choice(["lo", "eo"], 60).tolist()
    guessed = random_picks(grid, 60, rng)
    clusters = [f"clip-{i % 20}" for i in range(60)]
    found = effects(sweep(guessed, answers=answers, kinds=kinds, clusters=clusters), resamples=20)
    for effect in found:
        before, after = guessed[effect.variant.control], guessed[effect.variant]
        items = [i for i in range(60) if effect.kind in (POOLED, kinds[i])]
        was = {i for i in items if before[i] == answers[i]}
        becomes = {i for i in items if after[i] == answers[i]}
        fixed, broken = len(becomes - was), len(was - becomes)
        switched = sum(before[i] != after[i] for i in items if i not in was)
        assert (effect.n, effect.n_clusters) == (len(items), len({clusters[i] for i in items}))
        assert (effect.fixed, effect.broken, effect.switched) == (fixed, broken, switched)
        assert effect.fix_rate == fixed / (len(items) - len(was))
        assert effect.break_rate == broken / len(was)
        assert effect.change == pytest.approx(effect.accuracy - effect.control_accuracy)
        assert effect.p == pytest.approx(stats.binomtest(fixed, fixed + broken).pvalue)
        assert effect.p_switched == pytest.approx(stats.binomtest(fixed, switched, 1 / 3).pvalue)


def test_rows_come_by_condition_kind_and_grid_and_pooled_last():
    rng = np.random.default_rng(0)
    grid = [edit(2.0), edit(0.5)]
    results = sweep(
        random_picks(grid, 6, rng),
        kinds=["lo", "eo", "lo", "lo", "eo", "lo"],
        conditions=["silence", "silence", "aqa", "aqa", "silence", "aqa"],
    )
    found = [(e.condition, e.kind, e.variant.strength) for e in effects(results, resamples=5)]
    assert found == [
        ("silence", "lo", 2.0),
        ("silence", "lo", 0.5),
        ("silence", "eo", 2.0),
        ("silence", "eo", 0.5),
        ("silence", POOLED, 2.0),
        ("silence", POOLED, 0.5),
        ("aqa", "lo", 2.0),  # one kind: nothing to pool
        ("aqa", "lo", 0.5),
    ]


def test_holm_families_are_a_conditions_kinds_and_its_pooled_rows():
    good, useless = edit(2.0), edit(0.5)
    wrong, right = [1] * 16, [0] * 16
    results = sweep(
        {good.control: wrong, good: right, useless: wrong},
        kinds=["eo", "lo"] * 8,
        conditions=["aqa"] * 12 + ["silence"] * 4,
    )
    by_group = {(e.condition, e.kind): e for e in effects(results) if e.variant == good}
    # 6 of 6 fixed: p = 2 / 64, in a family of 2 edits x 2 kinds where the other two have p = 1.
    assert by_group["aqa", "eo"].p == pytest.approx(2 / 64)
    assert by_group["aqa", "eo"].p_holm == pytest.approx(4 * 2 / 64)
    assert by_group["aqa", POOLED].p_holm == pytest.approx(2 * 2 / 2**12)
    assert by_group["silence", "lo"].p_holm == pytest.approx(1)
    assert by_group["silence", POOLED].p_holm == pytest.approx(2 * 2 / 2**4)


def test_nulls_are_compared_to_the_same_control_and_to_the_edit():
    sign, other = EDIT.null("sign"), edit(2.0)
    null = {sign: [0, 0, 1, 0, 1, 1, 2, 1], other: BEFORE[EDIT.control]}
    clusters = list("aabbccdd")
    options = {"seed": 3, "level": 0.8}
    effect, without = effects(sweep(BEFORE | AFTER | null, clusters=clusters), **options)
    assert list(effect.nulls) == ["sign"]
    assert without.nulls == {}
    found = effect.nulls["sign"]
    assert found.change == (1 - 1) / 8
    assert (found.fix_rate, found.break_rate) == (1 / 5, 1 / 3)
    excess = [[0], [-1], [1], [0], [0], [0], [1], [1]]
    assert found.excess == pytest.approx(effect.change - found.change) == 2 / 8
    assert found.excess_interval == tuple(interval_of_mean(excess, clusters, **options)[0])
    change = [[0], [0], [-1], [1], [0], [0], [0], [0]]
    assert found.interval == tuple(interval_of_mean(change, clusters, **options)[0])


def test_nulls_of_a_grid_go_with_their_edits():
    grid = Grid(strengths={"scale": [0.5, 2.0], "knockout": []}, nulls=("sign", "keys"))
    variants = grid.variants(2, 2)
    rng = np.random.default_rng(0)
    guessed = {variant: rng.integers(0, 4, 30).tolist() for variant in variants}
    for effect in effects(sweep(guessed), resamples=5):
        expected = ["keys"] if effect.variant.mode == "knockout" else ["sign", "keys"]
        assert list(effect.nulls) == expected
        for kind, null in effect.nulls.items():
            right = [p == 0 for p in guessed[replace(effect.variant, role=kind)]]
            assert effect.accuracy - null.excess == pytest.approx(np.mean(right))


def test_means_of_audio_leave_out_what_is_undefined():
    statistics = [[0.9, 0.4, 1.0, None], [0.9, None, None, None]]
    without = [[0.2, 0.2, 1.0, 1.0], [0.4, 0.4, None, None]]  # before is what the control has
    results = sweep(
        {EDIT.control: [0, 0], EDIT: [0, 0]}, audio={EDIT: statistics, EDIT.control: without}
    )
    (effect,) = effects(results)
    assert effect.mass_before == pytest.approx(0.3)
    assert (effect.mass_after, effect.entropy_before) == (0.4, 1.0)
    assert effect.entropy_after is None


def test_a_missing_control_is_named():
    with pytest.raises(ConfigError, match=r"'scale 0.5, layer 3, last' has no control.*'control, "):
        effects(sweep({EDIT: [0], edit(0.5, layers=(4,)).control: [0]}))


def test_the_pooled_rows_name_is_reserved_where_they_exist():
    with pytest.raises(ConfigError, match="another name for that kind"):
        effects(sweep(BEFORE | AFTER, kinds=["all"] * 4 + ["eo"] * 4))
    (effect,) = effects(sweep(BEFORE | AFTER, kinds=["all"] * 8))
    assert effect.n == 8


def test_one_candidate_is_nothing_to_choose_from():
    with pytest.raises(ConfigError, match="at least two"):
        effects(sweep({EDIT.control: [0], EDIT: [0]}, candidates=1))


def test_a_sweep_without_edits_has_no_effects():
    assert effects(sweep({EDIT.control: [0, 1]})) == []

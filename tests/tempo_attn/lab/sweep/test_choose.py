"""Choosing an edit: what is found, what it is worth, and that nothing held out is looked at."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import ConfigError
from tempo_attn.lab.folds import cluster_folds
from tempo_attn.lab.sweep.choose import choose
from tempo_attn.statistics import changes
from tests.support.sweep_results import TIE, edit, random_picks, sweep

USELESS = [edit(0.5, layers=(layer,)) for layer in range(30)]
GOOD = edit(2.0, layers=(20,))


def clips_of(n, per_clip=2):
    return [f"clip-{i // per_clip}" for i in range(n)]


def with_a_good_edit(n=240, seed=0, **fields):
    """All but `GOOD` guess; it turns half of the wrong answers right."""
    rng = np.random.default_rng(seed)
    picks = random_picks([*USELESS, GOOD], n, rng)
    control = picks[GOOD.control]
    picks[GOOD] = [0 if p != 0 and rng.random() < 0.5 else p for p in control]
    return sweep(picks, clusters=clips_of(n), **fields)


def test_an_edit_that_helps_is_found():
    found = choose(with_a_good_edit())
    assert found.variant == GOOD
    assert [fold.variant for fold in found.per_fold] == [GOOD] * 5
    assert found.apparent > 0.3
    assert found.optimism == pytest.approx(0, abs=1e-12)  # the same edit in every fold
    assert found.interval[0] > 0.2
    assert found.p < 1e-6
    assert found.p_procedure == 1 / 2001
    assert found.break_rate == 0
    assert found.fix_rate == pytest.approx(0.5, abs=0.1)
    assert found.accuracy - found.control_accuracy == pytest.approx(found.held_out)


def test_among_edits_that_do_nothing_the_best_only_seems_to_help():
    found = []
    for seed in range(100):
        picks = random_picks(USELESS, 80, np.random.default_rng(seed), candidates=2)
        results = sweep(picks, clusters=clips_of(80), candidates=2)
        found.append(choose(results, resamples=99, seed=seed))
    apparent, held_out = np.array([(choice.apparent, choice.held_out) for choice in found]).T
    assert apparent.min() > 0.05
    error = held_out.std() / np.sqrt(len(found))
    assert abs(held_out.mean()) < 3 * error < 0.05
    assert np.mean([choice.optimism for choice in found]) > 0.1
    # The test of the whole procedure keeps its level; McNemar's, blind to the choosing, does not.
    assert np.mean([choice.p_procedure < 0.1 for choice in found]) <= 0.17
    assert np.mean([choice.p < 0.1 for choice in found]) > 0.17


def test_a_fold_is_answered_with_what_is_best_on_the_others():
    # The edit helps in the clusters of one fold only, where no other fold can know of it.
    lone, clusters = edit(0.5), [f"clip-{i}" for i in range(10)]
    part = cluster_folds(clusters, 5, seed=0)
    fixed = [0 if number == 3 else 1 for number in part]
    found = choose(sweep({lone.control: [1] * 10, lone: fixed}, clusters=clusters), seed=0)
    assert found.variant == lone
    assert found.apparent == 2 / 10
    assert [fold.variant for fold in found.per_fold] == [lone, lone, lone, None, lone]
    assert [fold.training_change for fold in found.per_fold] == [2 / 8, 2 / 8, 2 / 8, 0, 2 / 8]
    assert found.held_out == 0
    assert found.optimism == 2 / 10


@given(
    st.lists(st.integers(0, 15), min_size=40, max_size=80), st.integers(2, 5), st.integers(0, 99)
)
def test_no_clip_is_in_two_folds_and_folds_are_about_equal(clusters, folds, seed):
    clusters = np.array(clusters + list(range(16)))
    part = cluster_folds(clusters, folds, seed)
    assert all(len(set(part[clusters == cluster])) == 1 for cluster in set(clusters))
    sizes = np.bincount(part, minlength=folds)
    assert sizes.min() > 0
    assert np.ptp(sizes) <= np.bincount(clusters).max()


def test_folds_are_random_and_decided_by_the_seed():
    clusters = list(range(50))
    assert (cluster_folds(clusters, 5, seed=1) == cluster_folds(clusters, 5, seed=1)).all()
    assert (cluster_folds(clusters, 5, seed=1) != cluster_folds(clusters, 5, seed=2)).any()
    assert np.bincount(cluster_folds(clusters, 5, seed=1)).tolist() == [10] * 5


def test_folds_have_about_equally_many_items_whatever_the_sizes_of_clips():
    clusters = [0] * 12 + list(range(1, 13)) + [13] * 6 + [14] * 6
    for seed in range(5):
        assert np.bincount(cluster_folds(clusters, 3, seed)).tolist() == [12] * 3


def test_everything_is_that_of_a_plain_loop():
    rng = np.random.default_rng(3)
    grid = [edit(0.2), edit(0.5), edit(0.5, layers=(1,)), edit(0.8, layers=(2, 3)), edit(1.2)]
    n = 60
    answers, plain = rng.integers(0, 3, n).tolist(), rng.integers(0, 3, n).tolist()
    picks = random_picks(grid, n, rng, candidates=3)
    clusters = [f"clip-{number}" for number in rng.integers(0, 25, n)]
    results = sweep(picks, answers=answers, plain=plain, clusters=clusters, candidates=3)
    found = choose(results, folds=4, seed=1, resamples=500, level=0.9)

    def right(variant, item):
        return (plain if variant is None else picks[variant])[item] == answers[item]

    def change(variant, items):
        """Of the number of right answers, against the control; no edit, no change."""
        if variant is None:
            return 0
        return sum(right(variant, i) - right(variant.control, i) for i in items)

    part = cluster_folds(clusters, 4, seed=1)
    before, after = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    for number, fold in enumerate(found.per_fold):
        held = [i for i in range(n) if part[i] == number]
        training = [i for i in range(n) if part[i] != number]
        assert change(fold.variant, training) == max(0, *(change(v, training) for v in grid))
        assert (fold.n, fold.n_clusters) == (len(held), len({clusters[i] for i in held}))
        assert fold.training_change == pytest.approx(change(fold.variant, training) / len(training))
        assert fold.held_out_change == pytest.approx(change(fold.variant, held) / len(held))
        before[held] = [right(fold.variant and fold.variant.control, i) for i in held]
        after[held] = [right(fold.variant, i) for i in held]
    assert len({fold.variant for fold in found.per_fold}) > 1
    assert found.apparent == max(change(variant, range(n)) for variant in grid) / n
    assert found.control_accuracy == pytest.approx(np.mean(before))
    assert found.accuracy == pytest.approx(np.mean(after))
    (held_out,) = changes(
        before[:, None], after[:, None], clusters, resamples=500, seed=1, level=0.9
    )
    assert found.held_out == pytest.approx(held_out.change)
    assert found.interval == pytest.approx(held_out.interval)
    assert (found.p, found.fix_rate) == (held_out.p, held_out.fix_rate)
    assert found.break_rate == held_out.break_rate


def test_every_item_is_held_out_once():
    found = choose(with_a_good_edit())
    assert sum(fold.n for fold in found.per_fold) == found.n == 240
    assert sum(fold.n_clusters for fold in found.per_fold) == found.n_clusters == 120
    changed = sum(fold.n * fold.held_out_change for fold in found.per_fold)
    assert changed / 240 == pytest.approx(found.held_out)


@given(st.permutations(range(30)))
def test_the_order_of_items_does_not_matter(order):
    def chosen(**fields):
        picks = random_picks(USELESS[:4], 30, np.random.default_rng(0))
        return choose(sweep(picks, clusters=clips_of(30), **fields), folds=3, resamples=20)

    assert chosen(order=order) == chosen()


def test_rounding_does_not_let_the_order_of_items_choose():
    # Summed in this order, 0.1 + 0.1 + 0.1 - 0.1 is more than -0.1 + 0.1 + 0.1 + 0.1.
    one, other = edit(0.8), edit(1.2)
    picks = {one.control: [TIE] * 4, one: [1, 0, 0, 0], other: [0, 0, 0, 1]}
    fields = {"clusters": clips_of(4), "gaps": {one: 0.1, other: 0.1}}
    forwards = first_choice(picks, objective="margin", order=range(4), **fields)
    backwards = first_choice(picks, objective="margin", order=range(4)[::-1], **fields)
    assert forwards == backwards


def test_items_of_one_kind_can_be_chosen_on():
    kinds = ["eo", "eo", "lo"] * 80
    found = choose(with_a_good_edit(kinds=kinds), kind="eo")
    assert (found.n, found.kind, found.variant) == (160, "eo", GOOD)


def test_no_edit_is_chosen_where_none_beats_its_control():
    harmful, idle = edit(2.0), edit(0.5)
    control = [0, 1] * 5
    picks = {harmful.control: control, harmful: [1] * 10, idle: control}
    found = choose(sweep(picks, gaps={idle: 5.0}, plain=[0] * 9 + [1]))
    assert found.variant is None
    assert [fold.variant for fold in found.per_fold] == [None] * 5
    assert (found.held_out, found.apparent, found.optimism) == (0, 0, 0)
    assert found.control_accuracy == found.accuracy == 0.9  # the plain run's
    assert (found.interval, found.p, found.p_procedure) == ((0, 0), 1, 1)


def first_choice(picks, **fields):
    """The edit chosen on all items; what is held out is not looked at."""
    options = {"objective": fields.pop("objective", "accuracy")}
    return choose(sweep(picks, **fields), folds=2, resamples=5, **options).variant


def test_equal_accuracy_is_decided_by_the_margin():
    one, other = edit(2.0), edit(0.5)
    picks = {one.control: [1] * 4, one: [0] * 4, other: [0] * 4}
    assert first_choice(picks, gaps={one: 2.0}) == one
    assert first_choice(picks, gaps={other: 2.0}) == other
    # However large the margin, it does not make up for one answer.
    picks[other] = [0, 0, 0, TIE]
    assert first_choice(picks, gaps={other: 500.0}) == one


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        (edit(2.0, layers=(7,)), edit(1.2, layers=(3, 4))),
        (edit(0.8), edit(1.5)),
        (edit(1.2), edit(0.2)),
        (edit(0.9, mode="scale_preserving"), edit(0.5)),
        (edit(0.1, mode="upweight"), edit(0.9, mode="upweight")),
        (edit(0.9, mode="upweight_matched"), edit(0.2, mode="upweight_matched")),
        (edit(-0.1, mode="upweight_relative"), edit(0.8)),
        (edit(9.0), edit(None, mode="knockout")),
    ],
)
def test_equal_edits_are_decided_by_their_size(smaller, larger):
    variants = [larger.control, smaller.control, larger, smaller]
    picks = {variant: [int(variant.role == "control")] * 4 for variant in variants}
    assert first_choice(picks) == smaller


def test_edits_of_equal_size_are_decided_by_the_grids_order():
    one, other = edit(0.8), edit(1.2)
    for first, second in [(one, other), (other, one)]:
        assert first_choice({first.control: [1] * 4, first: [0] * 4, second: [0] * 4}) == first


def test_the_margin_can_be_the_objective():
    fixes, pushes = edit(2.0), edit(0.5)
    picks = {fixes.control: [1, 0, 0, 0], fixes: [0, 0, 0, 0], pushes: [1, 0, 0, 0]}
    assert first_choice(picks, gaps={pushes: 9.0}) == fixes
    assert first_choice(picks, gaps={pushes: 9.0}, objective="margin") == pushes
    # The margin falls with both of these.
    assert first_choice({pushes.control: [0] * 4, pushes: [1] * 4}, objective="margin") is None


def test_the_choice_fits_into_a_configurations_provenance():
    found = choose(with_a_good_edit(), resamples=50)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    config = found.variant.config(provenance=data)
    assert AttnScaleConfig.from_json(config.to_json()) == config
    assert data["variant"] == GOOD.to_dict()
    assert data["held_out"] == round(found.held_out, 6)
    assert data["per_fold"][0]["variant"] == GOOD.to_dict()
    assert (data["folds"], data["seed"], data["objective"]) == (5, 0, "accuracy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "folds is 1; expected 2 or more"),
        ({"folds": 11}, "from 10 clusters; expected at least one for each of the 11 folds"),
        ({"kind": "ld"}, r"kind 'ld'; expected one of \['eo'\]"),
        ({"objective": "loss"}, r"objective is 'loss'; expected one of 'accuracy', 'margin'"),
    ],
)
def test_wrong_options_are_named(options, message):
    results = sweep({GOOD.control: [1] * 10, GOOD: [0] * 10})
    with pytest.raises(ConfigError, match=message):
        choose(results, **options)


def test_conditions_are_not_mixed():
    picks = {GOOD.control: [1] * 10, GOOD: [0] * 10}
    results = sweep(picks, conditions=["aqa", "silence"] * 5, kinds=["eo", "lo"] * 5)
    with pytest.raises(ConfigError, match=r"conditions \['aqa', 'silence'\]; expected one"):
        choose(results)
    assert choose(results, kind="lo").condition == "silence"


def test_there_must_be_an_edit_and_its_control():
    with pytest.raises(ConfigError, match="none of the sweep's 1 variants is an edit"):
        choose(sweep({GOOD.control: [1] * 10}))
    with pytest.raises(ConfigError, match="has no control"):
        choose(sweep({GOOD: [0] * 10}))

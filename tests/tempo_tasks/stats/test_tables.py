"""The tables of `tempo stats`, on runs whose numbers can be counted by hand."""

import numpy as np
import pytest
from scipy import stats

from tempo_attn.errors import OptionError
from tempo_tasks.stats.accuracy import accuracy_rows, strata_rows
from tempo_tasks.stats.clustered_estimates import clustered_standard_error
from tempo_tasks.stats.comparisons import condition_rows, run_rows
from tempo_tasks.stats.report import make_report
from tempo_tasks.stats.robustness import prompt_rows, rotation_rows, scoring_rows
from tempo_tasks.stats.runs import read_runs
from tests.support.sample_files import OPTIONS, answers, doc, generated, likelihoods, write_run


def runs_of(tmp_path, **runs):
    """Runs by their names, each with its tasks."""
    return read_runs(
        [f"{name}={write_run(tmp_path / name, tasks)}" for name, tasks in runs.items()]
    )


def only(rows, **wanted):
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


# ---------------------------------------------------------------------- accuracy


def test_accuracy_of_a_task_and_its_errors(tmp_path):
    runs = runs_of(tmp_path, plain={"tempo_eo_aqa": answers("1110111-01")})
    row = only(accuracy_rows(runs))
    values = [1, 1, 1, 0, 1, 1, 1, 0, 0, 1]
    assert (row["n"], row["n_clusters"], row["accuracy"]) == (10, 10, 0.7)
    assert row["error"] == pytest.approx(stats.sem(values))
    assert row["low"] < 0.7 < row["high"]
    assert row["chance_corrected"] == pytest.approx((0.7 - 0.25) / 0.75)
    assert row["effective_n"] == pytest.approx(9)  # 0.21 / (0.21 / 9)
    assert row["no_answer"] == 0.1
    assert 0 < row["p_chance"] < 0.05
    assert (row["kind"], row["condition"], row["scoring"]) == ("eo", "aqa", "generation")


def test_the_macro_average_is_clustered_over_the_kinds(tmp_path):
    pattern = "1101001110"
    tasks = {f"tempo_{kind}_aqa": answers(pattern, kind) for kind in ("ld", "eo", "lo")}
    rows = accuracy_rows(runs_of(tmp_path, plain=tasks))
    assert [row["kind"] for row in rows] == ["eo", "lo", "ld", "macro"]
    eo, macro = rows[0], rows[-1]
    assert (macro["n"], macro["n_clusters"]) == (30, 10)
    assert macro["accuracy"] == pytest.approx(eo["accuracy"])
    assert macro["error"] == pytest.approx(eo["error"])  # thrice the same answers on the same clips


def test_documents_may_name_a_cluster_that_is_larger_than_a_clip(tmp_path):
    lines = [generated(doc(i, cluster=f"group-{i // 4}"), "AB"[i % 3 == 0]) for i in range(40)]
    row = only(accuracy_rows(runs_of(tmp_path, plain={"tempo_eo_aqa": lines})))
    values, groups = [float(i % 3 != 0) for i in range(40)], [i // 4 for i in range(40)]
    assert row["n_clusters"] == 10
    assert row["error"] == pytest.approx(clustered_standard_error(values, groups))


def test_p_is_corrected_over_all_rows(tmp_path):
    tasks = {"tempo_eo_aqa": answers("1" * 8 + "0" * 8), "tempo_eo_silence": answers("1" * 16)}
    rows = accuracy_rows(runs_of(tmp_path, plain=tasks))
    p = [row["p_chance"] for row in rows]
    assert sorted(row["p_chance_holm"] for row in rows) == pytest.approx([2 * min(p), max(p)])


def test_one_clip_has_an_accuracy_and_nothing_else(tmp_path):
    row = only(accuracy_rows(runs_of(tmp_path, plain={"tempo_eo_aqa": answers("1")})))
    assert row["accuracy"] == 1
    assert row["error"] is row["low"] is row["high"] is row["p_chance"] is None
    assert row["p_chance_holm"] is row["detectable"] is None


# ---------------------------------------------------------------------- strata


def test_accuracy_by_what_the_documents_know(tmp_path):
    known = [
        {"n_present": 1, "margin": 1.5, "overlap": 0.0, "n_intervals": 1},
        {"n_present": 2, "margin": 3.0, "overlap": 0.7, "n_intervals": 2},
        {"n_present": 4, "margin": 30.0, "overlap": 0.1, "n_intervals": 5},
        {"n_present": 2, "margin": None},
    ]
    said = ["A", "B", "A", "A"]
    lines = [generated(doc(i, **known[i % 4]), said[i % 4]) for i in range(20)]
    rows = strata_rows(runs_of(tmp_path, plain={"tempo_eo_aqa": lines}))

    def found(stratum):
        return {r["bin"]: (r["n"], r["accuracy"]) for r in rows if r["stratum"] == stratum}

    assert found("n_present") == {"1": (5, 1), "2": (10, 0.5), "4": (5, 1)}
    assert list(found("margin")) == ["1 to 2 s", "2 to 4 s", "8 s or more"]
    assert found("margin")["2 to 4 s"] == (5, 0)
    assert found("n_intervals") == {"1": (5, 1), "2": (5, 0), "3 or more": (5, 1)}
    assert sum(n for n, _ in found("overlap").values()) == 15
    timed = found("tests time")
    assert timed["2 or more options in the clip"] == (15, pytest.approx(2 / 3))
    assert timed["1 option in the clip"] == (5, 1)


def test_older_documents_have_the_strata_that_they_know(tmp_path):
    lines = [generated(doc(i, n_present=None), "A") for i in range(5)]
    assert strata_rows(runs_of(tmp_path, plain={"tempo_eo_aqa": lines})) == []


def test_an_average_over_kinds_needs_all_of_them_in_a_bin(tmp_path):
    tasks = {
        "tempo_eo_aqa": [*answers("11", n_present=2), generated(doc(9, n_present=4), "A")],
        "tempo_lo_aqa": answers("10", "lo", n_present=2),
    }
    rows = strata_rows(runs_of(tmp_path, plain=tasks))
    macro = [r for r in rows if r["kind"] == "macro" and r["stratum"] == "n_present"]
    assert [(r["bin"], r["accuracy"]) for r in macro] == [("2", 0.75)]


# ---------------------------------------------------------------------- comparisons


def test_conditions_are_compared_on_the_same_items(tmp_path):
    tasks = {
        "tempo_eo_aqa": answers("1111101110"),
        "tempo_eo_silence": answers("1000101000"),
        "tempo_eo_cqa": answers("1111101111"),
    }
    rows = condition_rows(runs_of(tmp_path, plain=tasks))
    assert [(row["from"], row["to"]) for row in rows] == [("cqa", "aqa"), ("silence", "aqa")]
    silence = rows[1]
    assert (silence["before"], silence["after"]) == (0.3, 0.8)
    assert silence["difference"] == pytest.approx(0.5)
    assert (silence["gained"], silence["lost"]) == (5, 0)
    assert silence["p_mcnemar"] == pytest.approx(2 / 2**5)
    assert silence["p"] == pytest.approx(1 / 2**5)
    assert rows[0]["difference"] == pytest.approx(-0.1)
    assert (rows[0]["gained"], rows[0]["lost"]) == (0, 1)
    assert silence["p_holm"] == pytest.approx(2 * silence["p"])


def test_unmatched_items_are_counted_and_left_out(tmp_path):
    silence = answers("0000")
    silence[2] = generated(doc(2, options=("Rain", "Siren", "Dog Bark", "Horn")), "B")
    tasks = {"tempo_eo_aqa": answers("111111"), "tempo_eo_silence": silence}
    runs = runs_of(tmp_path, plain=tasks)
    row = only(condition_rows(runs))
    assert (row["n"], row["only_from"], row["only_to"], row["other_question"]) == (3, 0, 2, 1)
    notes = make_report(runs)["notes"]
    assert any("2 items only in aqa, 1 items asked differently" in note for note in notes)


def test_conditions_without_a_common_item_have_no_difference(tmp_path):
    tasks = {"tempo_eo_aqa": answers("11"), "tempo_eo_silence": [generated(doc(7), "A")]}
    row = only(condition_rows(runs_of(tmp_path, plain=tasks)))
    assert (row["n"], row["only_from"], row["only_to"]) == (0, 1, 2)
    assert row["difference"] is row["p"] is row["p_holm"] is None


def test_runs_are_compared_task_by_task_and_on_average(tmp_path):
    runs = runs_of(
        tmp_path,
        plain={"tempo_eo_aqa": answers("110000"), "tempo_lo_aqa": answers("110000", "lo")},
        edited={"tempo_eo_aqa": answers("111100"), "tempo_lo_aqa": answers("100000", "lo")},
        third={"tempo_ld_aqa": answers("111111", "ld")},
    )
    rows = run_rows(runs)
    assert [(r["from"], r["to"], r["kind"]) for r in rows] == [
        ("plain", "edited", "eo"),
        ("plain", "edited", "lo"),
        ("plain", "edited", "macro"),
    ]
    assert [r["difference"] for r in rows] == pytest.approx([2 / 6, -1 / 6, 1 / 12])
    assert (rows[2]["n"], rows[2]["n_clusters"]) == (12, 6)
    assert (rows[2]["gained"], rows[2]["lost"]) == (2, 1)


def test_tasks_are_compared_with_their_like_alone(tmp_path):
    tasks = {"tempo_eo_aqa": answers("1100"), "tempo_synth_eo_silence": answers("1000")}
    ll = {"tempo_eo_silence_ll": [likelihoods(doc(i), (-1, -2, -3, -4)) for i in range(4)]}
    assert condition_rows(runs_of(tmp_path, plain=tasks | ll)) == []


# ---------------------------------------------------------------------- robustness


def test_scorings_disagree_where_they_choose_different_options(tmp_path):
    by_letter = {"A": (-1, -5, -5, -5), "B": (-5, -1, -5, -5), "tie": (-1, -1, -5, -5)}
    ll = [likelihoods(doc(i), by_letter[x]) for i, x in enumerate(["A", "B", "B", "tie", "tie"])]
    tasks = {"tempo_eo_aqa": answers("110-1"), "tempo_eo_aqa_ll": ll}
    row = only(scoring_rows(runs_of(tmp_path, plain=tasks)))
    assert (row["first"], row["second"], row["n"]) == ("generation", "letters", 5)
    assert row["disagree"] == pytest.approx(2 / 5)  # items 1 and 4; neither answers item 3
    # Chance: A 3/5 * 1/5, B 1/5 * 2/5, none 1/5 * 2/5.
    assert row["kappa"] == pytest.approx((3 / 5 - 7 / 25) / (1 - 7 / 25))
    assert (row["no_answer_first"], row["no_answer_second"]) == (0.2, 0.4)
    assert row["accuracy_first"] == pytest.approx(0.6)
    assert row["low"] < 0.4 < row["high"]


def test_scorings_agree_on_an_option_whatever_its_letter(tmp_path):
    turned = doc(0, options=OPTIONS[1:] + OPTIONS[:1], answer="D")  # "Rain" is D
    tasks = {
        "tempo_eo_aqa": answers("1"),
        "tempo_eo_aqa_ll": [likelihoods(turned, (-5, -5, -5, -1))],
    }
    row = only(scoring_rows(runs_of(tmp_path, plain=tasks)))
    assert (row["n"], row["disagree"]) == (1, 0)


def test_kappa_is_unknown_where_both_say_one_thing(tmp_path):
    ll = [likelihoods(doc(i), (-1, -2, -3, -4)) for i in range(4)]
    tasks = {"tempo_eo_aqa": answers("1111"), "tempo_eo_aqa_ll": ll}
    row = only(scoring_rows(runs_of(tmp_path, plain=tasks)))
    assert (row["disagree"], row["kappa"]) == (0, None)


def test_phrasings_spread_and_agree(tmp_path):
    tasks = {
        "tempo_eo_aqa_prompt1": answers("111100-0"),
        "tempo_eo_aqa_prompt2": answers("110000-0"),
        "tempo_eo_aqa_prompt3": answers("111110-0"),
        "tempo_eo_aqa": answers("00000000"),
    }
    row = only(prompt_rows(runs_of(tmp_path, plain=tasks)))
    assert (row["prompts"], row["n"], row["condition"]) == ("1, 2, 3", 8, "aqa")
    assert (row["min"], row["max"], row["spread"]) == (0.25, 0.625, 0.375)
    assert row["mean"] == pytest.approx(11 / 24)
    assert row["same"] == 4 / 8  # 0, 1, 5 and 7; without an answer nothing is the same
    # Cochran's Q of 4, 2 and 5 right answers, on items with 3, 3, 2, 2, 1 of them.
    q = 2 * (3 * (16 + 4 + 25) - 11**2) / (3 * 11 - (9 + 9 + 4 + 4 + 1))
    assert row["p_cochran"] == pytest.approx(stats.chi2.sf(q, 2))


def rotated(letters_by_item):
    """Items with one right option in four orders, and the letters chosen in them."""
    lines = []
    for number, letters in enumerate(letters_by_item):
        for rotation, letter in enumerate(letters):
            turned = OPTIONS[rotation:] + OPTIONS[:rotation]
            right = "ABCD"[turned.index("Rain")]
            lines.append(
                generated(doc(number, options=turned, answer=right, rotation=rotation), letter)
            )
    return lines


def test_rotations_tell_hearing_from_a_favourite_letter(tmp_path):
    # "Rain" is A, D, C, B in the four orders.
    lines = rotated(["ADCB", "AAAA", "BADC", "ADCB"])
    row = only(rotation_rows(runs_of(tmp_path, plain={"tempo_eo_aqa_rot": lines})))
    assert (row["items"], row["n"], row["n_clusters"]) == (4, 16, 4)
    assert row["accuracy"] == pytest.approx(9 / 16)
    assert row["consistency"] == 3 / 4  # the third always says "Siren"
    assert row["acc_all"] == 2 / 4
    assert [row[f"chose_{x}"] for x in "abcd"] == [7 / 16, 3 / 16, 3 / 16, 3 / 16]
    # Each letter is right in four answers; A is found in three of its, the others in two.
    assert row["letter_bias"] == pytest.approx(np.std([3 / 4, 2 / 4, 2 / 4, 2 / 4]))
    assert (row["worst"], row["best"]) == (0.5, 0.75)
    assert row["variant"] == "rot"


def test_an_item_without_all_rotations_is_counted_and_left_out_of_consistency(tmp_path):
    lines = rotated(["ADCB", "AAAA"])[:-1]
    runs = runs_of(tmp_path, plain={"tempo_eo_aqa_rot": lines})
    row = only(rotation_rows(runs))
    assert (row["items"], row["unmatched"], row["n"], row["consistency"]) == (1, 1, 7, 1)
    assert any("1 answers without their counterpart" in n for n in make_report(runs)["notes"])


# ---------------------------------------------------------------------- report


def test_power_is_said_of_averages_and_of_kinds_without_one(tmp_path):
    tasks = {}
    for kind in ("eo", "lo"):
        tasks[f"tempo_{kind}_aqa"] = answers("1110111011", kind)
        tasks[f"tempo_{kind}_silence"] = answers("0100010001", kind)
    tasks["tempo_synth_eo_aqa"] = answers("1111")
    tasks["tempo_synth_eo_silence"] = answers("0110")
    said = make_report(runs_of(tmp_path, plain=tasks))["power"]
    assert len(said) == 2
    assert said[0].startswith("tempo macro, silence -> aqa: with 20 items in 10 clusters a diff")
    assert said[1].startswith("tempo_synth eo, silence -> aqa: with 4 items")


def test_runs_on_different_questions_are_said(tmp_path):
    one = write_run(tmp_path / "one", {"tempo_eo_aqa": answers("11")}, data="aaaa")
    two = write_run(tmp_path / "two", {"tempo_eo_aqa": answers("11")}, data="bbbb")
    notes = make_report(read_runs([str(one), str(two)]))["notes"]
    assert "tempo_eo_aqa: the runs asked 2 different sets of questions" in notes


@pytest.mark.parametrize("level", [0, 0.05, 0.1, 1, 95, -1, float("nan")])
def test_a_level_is_a_share(tmp_path, level):
    with pytest.raises(OptionError, match=r"expected a share from 0\.5"):
        make_report(runs_of(tmp_path, plain={"tempo_eo_aqa": answers("1")}), level)

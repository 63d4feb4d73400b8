"""`tempo stats` on tasks about other benchmarks: chance by options, parts as kinds, no times."""

import pytest

from tempo_tasks.errors import SamplesError
from tempo_tasks.stats.names import kind_order, parse_other, parse_task
from tempo_tasks.stats.report import make_report
from tempo_tasks.stats.runs import read_runs
from tests.support.sample_files import doc, write_run


def other(number, right, chosen, options, part="order", **more):
    """A line of another benchmark's task by generation."""
    document = doc(number, part)
    document |= {"options": list(options), "answer": right, "part": part, "right_letters": [right]}
    document |= more
    del document["kind"], document["pair"]
    failed = float(len(chosen) != 1)
    correct = float(chosen in document["right_letters"])
    return {
        "doc": document,
        "filtered_resps": [chosen],
        "acc": correct,
        "parse_failure": failed,
    }


SIX = [f"clip {n}" for n in range(6)]


def test_names():
    assert parse_other("tempo_trea_order_aqa").kind == "order"
    assert parse_other("tempo_trea_order_aqa_ll").scoring == "letters"
    assert parse_other("tempo_mmau_sound_silence_text").source == "tempo_mmau"
    for name in ("tempo_abstime_start_aqa_seconds", "tempo_synth_eo_aqa", "tempo_eo_aqa", "arc"):
        assert parse_other(name) is None
    assert parse_task("tempo_trea_order_aqa") is None
    assert sorted(["order", "ld", "eo", "count"], key=kind_order) == ["eo", "ld", "count", "order"]


def test_chance_is_that_of_the_options(tmp_path):
    lines = [other(n, "F", "F" if n < 20 else "A", SIX) for n in range(40)]
    lines += [other(n, "B", "A", ["Yes", "No"]) for n in range(40, 80)]
    write_run(tmp_path / "run", {"tempo_trea_order_aqa": lines})
    report = make_report(read_runs([str(tmp_path / "run")], others=True))
    (row,) = report["accuracy"]
    assert (row["source"], row["kind"], row["accuracy"]) == ("tempo_trea", "order", 0.25)
    chance = (1 / 6 + 1 / 2) / 2
    assert row["chance_corrected"] == pytest.approx((0.25 - chance) / (1 - chance))


def test_parts_of_a_set_and_two_runs(tmp_path):
    for name, right in (("one", 30), ("two", 10)):
        tasks = {
            f"tempo_trea_{part}_aqa": [
                other(n, "A", "A" if n < right else "B", ["p", "q", "r", "s"], part)
                for n in range(40)
            ]
            for part in ("order", "count")
        }
        write_run(tmp_path / name, tasks)
    report = make_report(read_runs([str(tmp_path / "one"), str(tmp_path / "two")], others=True))
    kinds = [row["kind"] for row in report["accuracy"]]
    assert kinds == ["count", "order", "macro"] * 2
    compared = {row["kind"]: row for row in report["runs_compared"]}
    assert abs(compared["macro"]["difference"]) == pytest.approx(0.5)


def test_other_readers_leave_them_out(tmp_path):
    lines = [other(n, "A", "A", ["p", "q"]) for n in range(4)]
    write_run(tmp_path / "run", {"tempo_trea_order_aqa": lines})
    with pytest.raises(SamplesError, match="expected tasks of tempo"):
        read_runs([str(tmp_path / "run")])


def test_options_of_one_text_stay_right_together_when_scored_again(tmp_path):
    line = other(0, "A", "C", ["p", "q", "p"], right_letters=["A", "C"])
    line["parse_failure"] = 1.0  # of a release with other rules
    write_run(tmp_path / "run", {"tempo_trea_order_aqa": [line]})
    (run,) = read_runs([str(tmp_path / "run")], others=True)
    (sample,) = run.tasks[0].samples
    assert (sample.correct, sample.chosen, sample.rescored) == (1, "C", True)

"""The whole audit: parts, files, the command, and the released figures to the digit."""

import csv
import io
import json
import re
import shutil
from dataclasses import replace

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from tempo_attn.errors import OptionError
from tempo_tasks.audit.assemble import Settings, audit
from tempo_tasks.audit.audit_command import add_commands
from tempo_tasks.audit.result_files import page, to_csv, to_json, write
from tempo_tasks.audit.result_table import headings, show
from tempo_tasks.audit.training import TrainingList, read_training
from tempo_tasks.audit.verdict import verdict
from tempo_tasks.errors import DataUnavailableError, DataVersionError, TempoError
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.without_audio import SYNTH_HARD, load_plain
from tests.support.audit_sets import plain_set, question, random_set
from tests.support.paths import REFERENCE

FEW = Settings(sigmas=(0.5, 2.0))


def two_kinds(n=40, name="two"):
    parts = [random_set(n, seed, kind) for seed, kind in enumerate((Kind.EO, Kind.LO))]
    made = plain_set([q for part in parts for q in part.questions], name=name)
    return replace(made, clips={**parts[0].clips, **parts[1].clips})


@pytest.fixture(scope="module")
def both_kinds():
    """The audit of `two_kinds()` and a list of training clips."""
    listed = TrainingList("seen.txt", frozenset({"eo1", "lo2"}), 2)
    return audit([two_kinds()], FEW, training=[listed])


def row(part, strategy):
    return next(row for row in part["shortcuts"] if row["strategy"] == strategy)


def shown(result):
    console = Console(width=200, file=io.StringIO(), color_system=None)
    show(result, console)
    return console.file.getvalue()


# ---------------------------------------------------------------------- the released files

released = pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference data are not here")


@pytest.fixture(scope="module")
def released_audit():
    intervals = [REFERENCE / "audio_grounding_test_clean_rephrased.csv"]
    names = ("relative_earliest_start_mcq.csv", "relative_latest_end_mcq.csv")
    return audit([load_plain(REFERENCE / name, intervals=intervals) for name in names])


@released
@pytest.mark.parametrize(
    ("number", "n", "presence", "prior", "raw", "in_clip"),
    [
        (0, 528, "58.5", "42.80", "37.0", {"1": 128, "2": 301, "3": 69, "4": 30}),
        (1, 499, "59.7", "44.39", "37.6", {"1": 126, "2": 295, "3": 56, "4": 22}),
    ],
)
def test_the_released_figures_to_the_digit(
    released_audit, number, n, presence, prior, raw, in_clip
):
    part = released_audit["parts"][number]
    assert part["n"] == n
    assert f"{100 * row(part, 'presence only')['accuracy']:.1f}" == presence
    assert f"{100 * row(part, 'label prior, leave one out')['accuracy']:.2f}" == prior
    assert f"{100 * row(part, 'label prior, raw counts')['accuracy']:.1f}" == raw
    assert row(part, "letter cycle")["accuracy"] == 1.0
    assert part["letters"]["period"] == 4
    bins = part["strata"]["n_present"]
    assert {name: found["n"] for name, found in bins.items()} == in_clip
    assert part["verdict"]["tests_time"] == pytest.approx(1 - in_clip["1"] / n, abs=1e-6)
    assert part["ceiling"]["points"][0]["accuracy"] > 0.999


@released
def test_the_released_files_share_clips_and_no_question(released_audit):
    (found,) = released_audit["doubles"]["between"]
    counts = {level: hits["n"] for level, hits in found["levels"].items()}
    assert counts == {
        "question": 0,
        "clip and kind": 0,
        "clip": 396,
        "filename": 0,
        "freesound": 0,
    }
    assert [part["n_clusters"] for part in released_audit["parts"]] == [528, 499, 631]


# ---------------------------------------------------------------------- rendered scenes


def test_the_hard_rendered_scenes_have_no_shortcut():
    plain = load_plain(SYNTH_HARD)
    for part in audit([plain], FEW)["parts"]:
        assert row(part, "presence only")["accuracy"] == 0.25
        assert part["strata"]["n_present"].keys() == {"4"}
        for found in part["shortcuts"]:
            assert found["accuracy"] <= 0.35, found
        if part["kind"] != "all":
            assert part["labels"]["balanced"]
            assert row(part, "label prior, leave cluster out")["accuracy"] == 0.25


# ---------------------------------------------------------------------- parts


def test_parts_are_the_kinds_and_all_of_them(both_kinds):
    result = both_kinds
    assert headings(result) == ["EO", "LO", "all"]
    eo, lo, both = result["parts"]
    assert (both["n"], both["n_clips"], both["letters"]) == (80, 80, None)
    for found in both["shortcuts"]:
        mean = (
            row(eo, found["strategy"])["accuracy"] * 40
            + row(lo, found["strategy"])["accuracy"] * 40
        ) / 80
        assert found["accuracy"] == pytest.approx(mean, abs=1e-5)
    # What only one of the kinds has stands in no common column.
    names = {found["strategy"] for found in both["shortcuts"]}
    assert "in the clip, starts earliest" not in names
    assert "in the clip, sounds longest" in names


def test_two_sets_of_the_same_kinds_are_told_apart():
    result = audit([two_kinds(5, name="a"), two_kinds(5, name="b")], FEW)
    assert headings(result) == ["a EO", "a LO", "a all", "b EO", "b LO", "b all", "all"]
    assert result["doubles"]["between"][0]["levels"]["question"]["n"] == 10


def test_clips_that_several_questions_share_are_one_cluster():
    made = [question(("a", "b", "c", "d"), n % 4, clip=f"{n // 4}", n=n) for n in range(40)]
    (part,) = audit([plain_set(made)], FEW)["parts"]
    assert (part["n"], part["n_clusters"]) == (40, 10)
    assert row(part, "label prior, 10 folds")["n_clusters"] == 10
    assert part["ceiling"] is None
    assert part["strata"] == {}


def test_a_set_with_unknown_clips_says_of_how_many_items_it_speaks():
    plain = random_set(40)
    some = dict(list(plain.clips.items())[:30])
    (part,) = audit([replace(plain, clips=some)], FEW)["parts"]
    assert row(part, "presence only")["n"] == 30
    assert part["verdict"]["n_with_intervals"] == 30
    assert part["ceiling"]["n"] == 30


def test_one_item_is_enough_for_a_table():
    one = plain_set([question(("a", "b", "c", "d"), 1)], events={"clip": {"b": [(0.0, 1.0)]}})
    result = audit([one], FEW)
    found = row(result["parts"][0], "presence only")
    assert (found["accuracy"], found["low"], found["p"]) == (1.0, None, None)
    assert "presence only" in shown(result)
    page(result)


def test_intervals_of_other_clips_are_refused():
    plain = random_set(4)
    other = {f"x{name}": clip for name, clip in plain.clips.items()}
    with pytest.raises(DataVersionError, match=r"none of its clips is in the intervals .*xeo0"):
        audit([replace(plain, clips=other)])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"sigmas": [-1.0]}, "sigma is -1"),
        ({"sigmas": [float("nan")]}, "sigma is nan"),
        ({"reach": [1.2]}, "accuracy is 120 %"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_cannot_be(bad, message):
    with pytest.raises(OptionError, match=message):
        Settings(**bad)


# ---------------------------------------------------------------------- files and screen


def test_files_are_the_same_every_time_and_need_nothing_else(both_kinds, tmp_path):
    listed = TrainingList("seen.txt", frozenset({"eo1", "lo2"}), 2)
    again = audit([two_kinds()], FEW, training=[listed])
    files = [write(found, tmp_path / name) for found, name in ((both_kinds, "a"), (again, "b"))]
    assert [file.name for file in files[0]] == ["audit.json", "audit.csv", "audit.html"]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()
    html = (tmp_path / "a" / "audit.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", html)
    assert html.count("data:image/svg+xml;base64,") == 2
    read = json.loads((tmp_path / "a" / "audit.json").read_text())
    assert read["contamination"][0]["items"] == ["eo1/eo/0", "lo2/lo/0"]
    assert read["contamination"][0]["kinds"]["eo"] == {"n": 1, "share": 0.025}
    assert "2 items (2.5 %)" in html


def test_another_seed_gives_other_folds():
    one, other = (to_json(audit([random_set(40)], replace(FEW, seed=seed))) for seed in (0, 1))
    assert one != other


def test_the_csv_has_a_row_for_each_strategy_and_timing_error(both_kinds):
    result = both_kinds
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert len(rows) == sum(len(part["shortcuts"]) + 2 for part in result["parts"])
    found = next(r for r in rows if (r["kind"], r["strategy"]) == ("lo", "presence only"))
    assert float(found["accuracy"]) == row(result["parts"][1], "presence only")["accuracy"]
    assert found["data"] == "two"


def test_names_and_labels_are_shown_as_they_are(tmp_path):
    plain = plain_set(
        [question(("<b>x</b>", "[red]y", "c", "d"), 0, clip=f"{n}") for n in range(6)],
        name="<script>[bold]set",
    )
    result = audit([plain, replace(plain, name="other")], FEW)
    assert "<script>" not in page(result)
    assert "&lt;script&gt;" in page(result)
    assert "[bold]set" in shown(result)


def test_the_screen_says_what_the_json_says(both_kinds):
    result = both_kinds
    text = shown(result)
    for part in result["parts"]:
        for found in part["shortcuts"]:
            assert f"{100 * found['accuracy']:.1f} (" in text
        assert " ".join(part["verdict"]["text"].split()[:8]) in text
    assert "options in the clip" in text


# ---------------------------------------------------------------------- the command


@pytest.fixture
def run(tmp_path):
    app = typer.Typer()
    add_commands(app)
    app.command()(lambda: None)  # with a single one, typer takes no command's name

    def command(*words):
        return CliRunner().invoke(app, ["audit", *map(str, words)])

    return command


@pytest.fixture
def files(tmp_path):
    plain = two_kinds(20)
    questions, intervals = tmp_path / "questions.csv", tmp_path / "intervals.csv"
    with questions.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "question", "A", "B", "C", "D", "correct_label"])
        for q in plain.questions:
            writer.writerow([f"{q.clip_id}.mp3", q.text, *q.options, q.answer])
    with intervals.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "label", "onset", "offset"])
        for clip in plain.clips.values():
            for event in clip.events:
                writer.writerow([f"{clip.id}.mp3", event.label, event.onset, event.offset])
    return questions, intervals


def test_the_command(run, files, tmp_path):
    questions, intervals = files
    captions = tmp_path / "captions.csv"
    captions.write_text("filename,text\neo0.mp3,a dog 1 and a sheep 2\n")
    seen = tmp_path / "seen.txt"
    seen.write_text("somewhere/eo3.wav\n")
    out = tmp_path / "out"
    done = run(
        questions,
        "--intervals",
        intervals,
        "--captions",
        captions,
        "--train",
        seen,
        "--against",
        questions,
        "--sigma",
        "0,1",
        "--reach",
        "75",
        "--out",
        out,
    )
    assert done.exit_code == 0, done.output
    assert "presence only" in done.output
    assert sorted(file.name for file in out.iterdir()) == ["audit.csv", "audit.html", "audit.json"]
    read = json.loads((out / "audit.json").read_text())
    points = read["parts"][0]["ceiling"]["points"]
    assert [point["sigma"] for point in points] == [0.0, 1.0]
    assert read["parts"][0]["ceiling"]["reach"][0]["accuracy"] == 0.75
    assert read["data"][0]["clips_with_captions"] == 1
    assert read["contamination"][0]["items"] == ["eo3.mp3/eo"]
    (double,) = read["doubles"]["between"]
    assert double["other"] == "questions.csv#2"
    assert double["levels"]["question"]["n"] == 40


def test_json_alone(run, files, tmp_path):
    # In a folder of its own: intervals that lie beside questions are read.
    folder = tmp_path / "alone"
    folder.mkdir()
    alone = shutil.copy(files[0], folder)
    done = run(alone, "--json")
    assert done.exit_code == 0
    read = json.loads(done.output)
    assert [part["kind"] for part in read["parts"]] == ["eo", "lo", "all"]
    assert read["parts"][0]["verdict"]["tests_time"] is None


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--sigma", "fast"], OptionError, "--sigma 'fast': expected numbers"),
        (["--sigma", "-1"], OptionError, "sigma is -1"),
        (["--reach", "0"], OptionError, "accuracy is 0 %"),
        (["--train", "gone.txt"], DataUnavailableError, "gone.txt"),
        (["--intervals", "gone.csv"], DataUnavailableError, "gone.csv"),
    ],
)
def test_mistakes_are_named(run, files, words, error, message):
    done = run(files[0], *words)
    assert done.exit_code == 1
    assert isinstance(done.exception, error)
    assert isinstance(done.exception, TempoError)
    assert message in str(done.exception)


def test_a_folder_that_cannot_be_written(files, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="name another --out"):
        write(audit([random_set(8)], FEW), tmp_path / "file" / "out")


def test_captions_of_other_clips_are_refused():
    plain = random_set(4)
    with pytest.raises(DataVersionError, match=r"none of its clips is in the captions .*elsewhere"):
        audit([replace(plain, captions={"elsewhere.mp3": "A dog."})])


def test_the_verdict_is_not_the_highest_row_but_the_best_above_chance():
    def strategy(name, accuracy, p):
        ends = {"low": 0.3, "high": 0.5, "p_holm": p, "family": "labels"}
        return {"strategy": name, "accuracy": accuracy, "hears_no_time": True, **ends}

    few, many = strategy("presence only", 1.0, None), strategy("label prior", 0.4, 0.001)
    found = verdict([few, many], [False] * 4)
    assert found["best"]["strategy"] == "label prior"
    assert found["text"].startswith("The best strategy that hears no time, label prior, has 40.0 %")
    assert "of the 4 items with intervals" in found["text"]
    assert verdict([few], [])["best"]["strategy"] == "presence only"


def test_a_training_list_is_read_row_by_row(tmp_path):
    path = tmp_path / "seen.jsonl"
    rows = [{"id": "q1"}, {"filename": "344938.mp3"}, {"id": 7.0}, {"id": None}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_training(path)
    assert found.names == {"q1", "344938.mp3", "7"}
    assert (found.rows, found.column) == (4, "id, filename")


def test_a_dollar_sign_in_a_name_is_a_dollar_sign(tmp_path):
    plain = replace(random_set(12), name=r"a$\foo$b.csv")
    assert len(write(audit([plain], FEW), tmp_path)) == 3


def test_half_a_character_is_a_fault_of_its_row(files):
    rows = files[0].with_name("rows.jsonl")
    row = {
        "filename": "a\ud800.mp3",
        "question": Kind.EO.text,
        **dict(zip(("option_a", "option_b", "option_c", "option_d"), "wxyz", strict=True)),
        "correct_answer": "A",
        "correct_text": "w",
    }
    good = {**row, "filename": "a.mp3"}
    rows.write_text("".join(json.dumps(each) + "\n" for each in (row, good)))
    found = load_plain(rows)
    assert [fault.row for fault in found.faults] == [1]
    audit([replace(found, clips={})], FEW)

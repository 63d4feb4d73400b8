"""`tempo score`: the run that predictions become is the one that the harness would have written."""

import csv
import hashlib
import json
import math
import shutil

import lm_eval
import pytest
import typer
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from typer.testing import CliRunner

from tempo_attn.errors import OptionError
from tempo_tasks.errors import PredictionsError
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.predictions.score_command import add_commands
from tempo_tasks.stats.report import make_report
from tempo_tasks.stats.runs import read_runs

ALL = json.dumps({"synth_scenes": 12})
DATE = "2026-01-31T12:00:00"
SAID = ("A", "B. Rain", "I cannot tell", "(c)", "d\n", "", "Bird Chirp", "=1+1", "ÄÖ 雨 \u2028x")


class Model(LM):
    """Says something else of every item, or gives its letters other likelihoods."""

    MULTIMODAL = True

    def generate_until(self, requests):
        return [SAID[_number(request) % len(SAID)] for request in requests]

    def loglikelihood(self, requests):
        found = []
        for request in requests:
            place = "ABCD".index(request.args[1].strip())
            shares = _shares(_number(request))
            found.append((math.log(shares[place]), shares[place] == max(shares)))
        return found

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError


def _number(request):
    return int(hashlib.sha256(request.doc["id"].encode()).hexdigest()[:6], 16)


def _shares(number):
    ways = ([0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25], [0.125, 0.5, 0.25, 0.125])
    return ways[number % 3]


def by_the_harness(folder, tasks, metadata):
    manager = TaskManager(
        include_defaults=False, include_path=task_yamls_dir(), metadata=json.loads(metadata)
    )
    tracker = EvaluationTracker(output_path=str(folder))
    with pytest.MonkeyPatch.context() as patch:
        # It asks pip for all versions, which takes seconds.
        patch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
        results = lm_eval.simple_evaluate(
            model=Model(), tasks=tasks, task_manager=manager, evaluation_tracker=tracker
        )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task, lines in samples.items():
        tracker.save_results_samples(task_name=task, samples=lines)
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def harness_run(tmp_path_factory):
    return by_the_harness(tmp_path_factory.mktemp("harness"), ["tempo_synth"], ALL)


@pytest.fixture(scope="module")
def lines(harness_run):
    """Every sample of the harness's run."""
    return [
        json.loads(line)
        for file in sorted(harness_run.glob("samples_*"))
        for line in file.read_text(encoding="utf-8").split("\n")
        if line
    ]


@pytest.fixture(scope="module")
def rows(lines):
    return [
        {
            "id": line["doc"]["id"],
            "condition": line["doc"]["condition"],
            "text": line["resps"][0][0],
        }
        for line in lines
    ]


def write_csv(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def call(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    add_commands(app)
    return CliRunner().invoke(app, ["score", *map(str, arguments)], catch_exceptions=False)


def score(file, out, *more, data="synth", metadata=ALL):
    return call(
        file,
        "--data",
        data,
        "--metadata",
        metadata,
        "-o",
        out,
        "--model",
        "m",
        "--date",
        DATE,
        *more,
    )


def read(out):
    """Return the results and the samples by task of the only run in a folder."""
    (results,) = (out / "m").glob("results_*.json")
    samples = {
        file.name[8:].partition("_2026")[0]: [
            json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line
        ]
        for file in (out / "m").glob("samples_*")
    }
    return json.loads(results.read_text(encoding="utf-8")), samples


def test_the_run_is_the_one_that_the_harness_writes(harness_run, rows, tmp_path):
    """Byte for byte in the samples, and in all of the results that are about the answers."""
    assert score(write_csv(tmp_path / "said.csv", rows), tmp_path / "out").exit_code == 0
    (theirs,) = harness_run.glob("results_*.json")
    date = theirs.stem.removeprefix("results_")
    theirs = json.loads(theirs.read_text(encoding="utf-8"))
    ours, samples = read(tmp_path / "out")
    assert len(samples) == 12
    for task in samples:
        mine = tmp_path / "out" / "m" / f"samples_{task}_2026-01-31T12-00-00.000000.jsonl"
        harness = harness_run / f"samples_{task}_{date}.jsonl"
        assert mine.read_bytes() == harness.read_bytes()
    for config in theirs["configs"].values():
        file = config["metadata"]["config_source"]
        config["metadata"]["config_source"] = file[file.index("task_yamls") :]
    answers = ("results", "groups", "group_subtasks", "configs", "versions", "n-shot")
    for part in (*answers, "higher_is_better", "n-samples", "task_hashes"):
        assert ours[part] == theirs[part], part
    missing = {name for name in theirs if name not in ours}
    assert missing <= {name for name in theirs if name.startswith(("tokenizer", "eot", "max_len"))}
    assert set(theirs["config"]) <= set(ours["config"])


def test_letter_probabilities_alone_are_scored_as_the_likelihood_tasks(tmp_path):
    metadata = json.dumps({"synth_scenes": 12})
    run = by_the_harness(tmp_path / "harness", ["tempo_synth_aqa_ll"], metadata)
    said = []
    for file in run.glob("samples_*"):
        for line in map(json.loads, file.read_text().splitlines()):
            shares = [math.exp(float(pair[0][0])) for pair in line["resps"]]
            said.append({"id": line["doc"]["id"], "probs": [round(share, 3) for share in shares]})
    file = tmp_path / "said.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in said))
    assert score(file, tmp_path / "out", "--condition", "aqa").exit_code == 0
    ours, samples = read(tmp_path / "out")
    (theirs,) = run.glob("results_*.json")
    theirs = json.loads(theirs.read_text())
    assert ours["results"] == theirs["results"]
    assert ours["groups"] == theirs["groups"]
    for task in samples:
        (mine,) = (tmp_path / "out/m").glob(f"samples_{task}_*")
        (harness,) = run.glob(f"samples_{task}_*")
        assert mine.read_bytes() == harness.read_bytes()
    # Ties share the credit, as by the harness; statistics read the file.
    assert {line["acc"] for line in samples["tempo_synth_eo_aqa_ll"]} >= {0.25}
    (run,) = read_runs([str(tmp_path / "out")])
    assert [task.name.scoring for task in run.tasks] == ["letters"] * 3


def test_statistics_read_it_like_any_run(harness_run, rows, tmp_path):
    score(write_csv(tmp_path / "said.csv", rows), tmp_path / "out")
    ours, theirs = (make_report(read_runs([f"x={at}"])) for at in (tmp_path / "out", harness_run))
    assert ours["accuracy"] == theirs["accuracy"]
    assert ours["conditions"] == theirs["conditions"]
    (run,) = read_runs([str(tmp_path / "out")])
    assert run.label == "m"
    assert run.notes == []


def test_same_input_same_bytes(rows, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        file = write_csv(tmp_path / name / "said.csv", rows[::-1] if name == "two" else rows)
        assert score(file, tmp_path / name / "out").exit_code == 0
    one, two = (sorted((tmp_path / name / "out/m").iterdir()) for name in ("one", "two"))
    assert [file.name for file in one] == [file.name for file in two]
    assert [a.read_bytes() for a in one[1:]] == [b.read_bytes() for b in two[1:]]
    text = one[0].read_text()
    assert str(tmp_path) not in text
    assert str(task_yamls_dir()) not in text
    # The order of the rows changes the checksum of the file and nothing else.
    a, b = (json.loads(files[0].read_text()) for files in (one, two))
    assert a["config"]["predictions"].pop("sha256") != b["config"]["predictions"].pop("sha256")
    assert a == b


@pytest.mark.parametrize("layout", ["json", "jsonl", "parquet", "by_id"])
def test_every_format_says_the_same(rows, tmp_path, layout):
    rows = [row for row in rows if row["condition"] == "aqa"]
    if layout == "json":
        (tmp_path / "said.json").write_text(json.dumps(rows))
    elif layout == "by_id":
        by_id = {row["id"]: row["text"] for row in rows}
        (tmp_path / "said.json").write_text(json.dumps({"predictions": by_id}))
    elif layout == "jsonl":
        (tmp_path / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        import datasets

        datasets.Dataset.from_list(rows).to_parquet(tmp_path / "said.parquet")
    (file,) = tmp_path.glob("said.*")
    assert score(file, tmp_path / "out", "--condition", "aqa").exit_code == 0
    _, samples = read(tmp_path / "out")
    said = {line["doc"]["id"]: line["resps"][0][0] for part in samples.values() for line in part}
    assert said == {row["id"]: row["text"] for row in rows}


def test_a_file_of_several_conditions_and_one_of_them(rows, tmp_path):
    file = write_csv(tmp_path / "said.csv", rows)
    result = score(file, tmp_path / "out", "--condition", "silence")
    assert "108 rows of other conditions are not counted" in result.output
    results, samples = read(tmp_path / "out")
    assert sorted(samples) == [f"tempo_synth_{kind}_silence" for kind in ("eo", "ld", "lo")]
    assert results["config"]["predictions"]["rows_of_other_conditions"] == 108
    # The other conditions go beside it, and are one run with it.
    assert (
        score(file, tmp_path / "out", "--condition", "cqa", "--date", "2026-02-01").exit_code == 0
    )
    (run,) = read_runs([str(tmp_path / "out")])
    assert {task.name.condition for task in run.tasks} == {"silence", "cqa"}


def test_released_data_by_file_name_and_task(released_folder, layout_rows, tmp_path):
    folder = released_folder("csv")
    said = [
        {
            "Audio Path": f"C:\\clips\\{row['filename'].removesuffix('.wav')}.flac",
            "task": row["task"],
            "reply": row["correct_text"] if number % 2 else "no",
            "is_correct": "True",
            "p_a": 0.7,
            "p_b": 0.1,
            "p_c": 0.1,
            "p_d": 0.1,
        }
        for number, row in enumerate(layout_rows)
    ]
    file = write_csv(tmp_path / "said.csv", said)
    more = ("--condition", "aqa", "--columns", "text=reply")
    result = score(file, tmp_path / "out", *more, data=folder, metadata="{}")
    assert result.exit_code == 0
    results, samples = read(tmp_path / "out")
    assert sorted(samples) == ["tempo_eo_aqa", "tempo_ld_aqa", "tempo_lo_aqa"]
    assert all(
        line["letter_probabilities"] == [0.7, 0.1, 0.1, 0.1]
        for part in samples.values()
        for line in part
    )
    assert "Warning: 6 predictions of which the file says otherwise" in result.output
    assert "the file says correct, and it is wrong (text 'no'; right is " in result.output
    assert results["config"]["predictions"]["disagreements"] == 6
    assert results["configs"]["tempo_eo_aqa"]["metadata"]["data_fingerprint"]


def test_a_text_that_states_another_letter_than_the_file_is_listed(rows, tmp_path):
    said = [row | {"letter": "a"} for row in rows if row["condition"] == "aqa"]
    result = score(write_csv(tmp_path / "said.csv", said), tmp_path / "out")
    read_as_a = sum(row["text"] == "A" for row in said)
    options = "the file says A, and the text states"
    assert result.output.count(options) == min(20, len(said) - read_as_a)


def test_missing_items_are_refused_and_may_be_allowed(rows, tmp_path):
    said = [row for row in rows if row["condition"] == "aqa"]
    file = write_csv(tmp_path / "said.csv", said[3:])
    with pytest.raises(PredictionsError, match="3 items without a prediction") as told:
        score(file, tmp_path / "out")
    assert all(row["id"] in str(told.value) for row in said[:3])
    assert not (tmp_path / "out").exists()
    result = score(file, tmp_path / "out", "--allow-missing")
    assert "tempo_synth_eo_aqa: 3 items have no prediction and count in nothing" in result.output
    results, samples = read(tmp_path / "out")
    ids = [row["id"] for row in said[:3]]
    assert results["config"]["predictions"]["missing"] == {"tempo_synth_eo_aqa": ids}
    assert results["n-samples"]["tempo_synth_eo_aqa"] == {"original": 12, "effective": 9}
    kept = samples["tempo_synth_eo_aqa"]
    assert [line["doc"]["id"] for line in kept] == [row["id"] for row in said[3:12]]
    assert [line["doc_id"] for line in kept] == list(range(3, 12))
    assert [line["resps"][0][0] for line in kept] == [row["text"] for row in said[3:12]]
    (run,) = read_runs([str(tmp_path / "out")])
    assert run.notes == [
        "tempo_synth_eo_aqa: 9 of 12 items were answered: the others have no prediction"
    ]


def test_kinds_without_predictions_are_left_out_and_said(rows, tmp_path):
    said = [row for row in rows if row["condition"] == "aqa" and row["id"].endswith("eo")]
    result = score(write_csv(tmp_path / "said.csv", said), tmp_path / "out")
    assert "No predictions, not scored: tempo_synth_lo_aqa, tempo_synth_ld_aqa" in result.output
    results, _ = read(tmp_path / "out")
    assert list(results["results"]) == ["tempo_synth_eo_aqa"]


def test_unknown_and_doubled_items_are_all_listed(rows, tmp_path):
    said = [row for row in rows if row["condition"] == "aqa"]
    said += [said[0], said[0], {"id": "[red]x\x1b[31m", "condition": "aqa", "text": "A"}]
    with pytest.raises(PredictionsError) as told:
        score(write_csv(tmp_path / "said.csv", said), tmp_path / "out", "--allow-missing")
    assert "1 predictions of items that the data do not have" in str(told.value)
    assert "rows 1, 37, 38" in str(told.value)
    assert "\x1b" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_first_line_ends_a_text_as_the_tasks_do(rows, tmp_path):
    said = [row | {"text": "B\nbecause"} for row in rows if row["condition"] == "aqa"]
    file = write_csv(tmp_path / "said.csv", said)
    assert "100 % of the texts state no answer, such as 'B\\nbecause'" in (
        score(file, tmp_path / "whole").output
    )
    assert score(file, tmp_path / "line", "--first-line").exit_code == 0
    results, _ = read(tmp_path / "line")
    assert results["results"]["tempo_synth_eo_aqa"]["parse_failure,none"] == 0
    assert results["config"]["predictions"]["scored"] == "first line of the text"


def test_mirror_tasks_and_quartets(tmp_path):
    for task, data, condition in (
        ("tempo_synth_eo_mirror", "synth", "mirror"),
        ("tempo_synth_hard_eo_aqa", "synth_hard", "aqa"),
    ):
        metadata = json.dumps({"synth_scenes": 12, "synth_quartets": 3})
        run = by_the_harness(tmp_path / task, [task], metadata)
        (file,) = run.glob("samples_*")
        said = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
        said = [{"id": line["doc"]["id"], "text": line["resps"][0][0]} for line in said]
        (tmp_path / "said.json").write_text(json.dumps(said))
        out = tmp_path / f"{task}-out"
        more = ("--condition", condition, "--kinds", "eo")
        assert (
            score(tmp_path / "said.json", out, *more, data=data, metadata=metadata).exit_code == 0
        )
        (mine,) = (out / "m").glob("samples_*")
        assert mine.read_bytes() == file.read_bytes()


def test_nothing_is_written_over(rows, tmp_path):
    file = write_csv(tmp_path / "said.csv", [row for row in rows if row["condition"] == "aqa"])
    score(file, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out/m").iterdir()}
    with pytest.raises(OptionError, match=r"has a run of 2026-01-31T12-00-00\.000000 already"):
        score(file, tmp_path / "out")
    assert before == {path: path.read_bytes() for path in (tmp_path / "out/m").iterdir()}


def test_a_failed_write_leaves_nothing(rows, tmp_path, monkeypatch):
    import os

    file = write_csv(tmp_path / "said.csv", [row for row in rows if row["condition"] == "aqa"])
    (tmp_path / "out/m").mkdir(parents=True)
    replace, done = os.replace, []

    def full(source, target):
        if len(done) == 2:
            raise OSError("no space left")
        done.append(target)
        replace(source, target)

    monkeypatch.setattr("tempo_tasks.predictions.run_folder.os.replace", full)
    with pytest.raises(OSError, match="no space"):
        score(file, tmp_path / "out")
    assert len(done) == 2
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
    shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--model", "..", "expected the name of a model"),
        ("--model", "a\x1b", "expected the name of a model"),
        ("--date", "yesterday", "expected a date such as"),
        ("--condition", "audio", "--condition 'audio': expected"),
        ("--columns", "text", "expected FIELD=COLUMN"),
        ("--columns", "texts=a", "Did you mean"),
        ("--kinds", "eo,xx", "'xx' is none"),
        ("--metadata", "[1]", "expected an object"),
        ("--metadata", '{"a": NaN}', "not JSON"),
        ("--split", "test", "is about released data"),
    ],
)
def test_wrong_options_are_told_before_any_work(tmp_path, option, value, told):
    (tmp_path / "said.csv").write_text("id,text\nx,A\n")
    arguments = ["--data", "synth", "-o", tmp_path / "out", "--condition", "aqa"]
    with pytest.raises(OptionError, match=told):
        call(tmp_path / "said.csv", *arguments, option, value)
    assert not (tmp_path / "out").exists()

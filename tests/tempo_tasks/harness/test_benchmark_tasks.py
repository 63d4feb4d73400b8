"""Other people's benchmarks through the harness, on made-up copies; a seventh set in ten lines."""

import json

import lm_eval
import pytest
import yaml
from lm_eval.tasks import TaskManager

from tempo_attn.errors import OptionError
from tempo_tasks.errors import AudioNotFoundError, DataUnavailableError, QuestionError
from tempo_tasks.harness.benchmark_files import write_task_files
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.scoring import PARSER_VERSION
from tempo_tasks.sources.benchmarks.description import describe, described_sets, read_keys
from tests.support import other_benchmarks
from tests.support.other_benchmarks import SEVENTH


@pytest.fixture(scope="module")
def embedded():
    return LALM(batch_size=16)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Metadata that names a made-up copy of every set that has one."""
    folder = tmp_path_factory.mktemp("copies")
    names = ("trea", "mmau", "starbench", "tempbench", "abstime")
    return {f"data_{name}": str(getattr(other_benchmarks, name)(folder / name)) for name in names}


def tasks_of(names, metadata, folder=None):
    manager = TaskManager(
        include_defaults=False, include_path=folder or task_yamls_dir(), metadata=metadata
    )
    return manager, manager.load(names)["tasks"]


def evaluate(model, tasks, metadata, folder=None):
    manager, _ = tasks_of([], metadata, folder)
    return lm_eval.simple_evaluate(
        model=model, tasks=tasks, task_manager=manager, bootstrap_iters=1
    )


def test_the_embedded_model_is_scored_on_every_way_of_asking(embedded, copies):
    groups = ["tempo_trea_aqa", "tempo_trea_silence_ll", "tempo_mmau_aqa_text"]
    three_clips = "tempo_starbench_temporal_aqa_ll"
    results = evaluate(embedded, [*groups, three_clips], copies)
    assert 0 <= results["results"][three_clips]["acc_every_run,none"] <= 1
    assert results["n-samples"][three_clips]["effective"] == 6
    for group in groups:
        assert 0 <= results["results"][group]["acc,none"] <= 1
    order = results["results"]["tempo_trea_order_aqa"]
    assert order["parse_failure,none"] == 0  # it answers letters
    assert results["n-samples"]["tempo_trea_order_aqa"]["effective"] == 8
    metadata = results["configs"]["tempo_trea_order_aqa"]["metadata"]
    assert metadata["prompt_version"] == "tempo-choice-prompt-1"
    assert metadata["parser_version"] == PARSER_VERSION
    assert metadata["benchmark"]["option_twice"] == 1
    assert metadata["benchmark"]["items"] == metadata["benchmark"]["rows"] == 8
    # Items whose right option alone is in the clip are a stratum of their own.
    strata = results["results"]["tempo_trea_duration_aqa"]["strata_with_stderr,none"]
    assert strata["n_present"]["1"]["n"] == 4
    categories = results["results"]["tempo_trea_duration_aqa"]["categories_with_stderr,none"]
    assert {name: found["n"] for name, found in categories["ordering_method"].items()} == {
        "consec": 4,
        "random": 4,
    }


def test_several_clips_and_several_runs(copies):
    _, tasks = tasks_of(["tempo_starbench_temporal_aqa"], copies)
    (task,) = tasks.values()
    docs = list(task.test_docs())
    assert len(docs) == 2 * 3
    for doc in docs:
        assert doc["prompt"].startswith("clip 1: <audio>\nclip 2: <audio>\nclip 3: <audio>\nPut")
        assert len(task.doc_to_audio(doc)) == 3
        assert doc["letters"] == list("ABCDEF")
    # OSM, number 3: the fourth of the six orders in the first run (the authors' round robin).
    heard = [doc for doc in docs if "OSM" in doc["id"]]
    assert [doc["answer_text"] for doc in heard] == [
        "clip 3 -> clip 1 -> clip 2",  # heard: 2, 3, 1
        "clip 2 -> clip 3 -> clip 1",  # heard: 3, 1, 2
        "clip 3 -> clip 2 -> clip 1",
    ]
    right = [task.process_results(doc, [doc["answer"]]) for doc in docs]
    every = task.aggregation()["acc_every_run"]
    assert every([values["acc_every_run"] for values in right]) == 1
    right[0] = task.process_results(docs[0], ["no"])
    assert every([values["acc_every_run"] for values in right]) == 0.5
    assert right[0]["parse_failure"] == 1


def test_clips_are_really_heard_in_the_order_that_is_asked(copies):
    _, tasks = tasks_of(["tempo_starbench_temporal_aqa"], copies)
    (task,) = tasks.values()
    doc = next(doc for doc in task.test_docs() if doc["id"].endswith("OSM_3@0"))
    heard = [handle["path"].rsplit("_", 1)[1] for handle in task.doc_to_audio(doc)]
    assert heard == ["2.wav", "3.wav", "1.wav"]
    places = [int(part.removeprefix("clip ")) - 1 for part in doc["answer_text"].split(" -> ")]
    assert [heard[place] for place in places] == ["1.wav", "2.wav", "3.wav"]


def test_two_to_four_options_and_a_group_over_them(copies):
    _, tasks = tasks_of(["tempo_mmau_aqa_ll"], copies)
    counts = {}
    for task in tasks.values():
        if hasattr(task, "test_docs"):
            counts[task.config.task] = [len(doc["options"]) for doc in task.test_docs()]
            doc = next(iter(task.test_docs()))
            assert task.doc_to_choice(doc) == doc["letters"]
            values = task.process_results(doc, [(-1.0, False)] * len(doc["options"]))
            assert values["acc"] == pytest.approx(1 / len(doc["options"]))  # all tie
            chance = task.aggregation()["acc_above_chance"]
            assert chance([values["acc_above_chance"]]) == pytest.approx(0)
    assert sorted(n for found in counts.values() for n in found) == [2, 2, 3, 3, 4, 4]


def test_free_number_answers(embedded, copies):
    results = evaluate(embedded, ["tempo_abstime_start_aqa_seconds"], copies)
    scores = results["results"]["tempo_abstime_start_aqa_seconds"]
    assert scores["parse_failure,none"] == 1  # it knows letters only
    assert scores["seconds_error,none"] == "N/A"
    _, tasks = tasks_of(["tempo_abstime_start_aqa_seconds"], copies)
    (task,) = tasks.values()
    docs = list(task.test_docs())
    assert docs[0]["prompt"].endswith("\nAnswer with a number of seconds and nothing else.")
    given = [f"{doc['seconds'] + 0.4:.2f} seconds" for doc in docs[:-1]] + ["late"]
    values = [task.process_results(doc, [text]) for doc, text in zip(docs, given, strict=True)]
    combine = task.aggregation()
    assert combine["seconds_error"]([v["seconds_error"] for v in values]) == pytest.approx(0.4)
    curve = combine["tolerance_with_stderr"]([v["tolerance_with_stderr"] for v in values])
    assert curve["0.25 s"]["share"] == 0
    assert curve["0.5 s"]["share"] == pytest.approx((len(docs) - 1) / len(docs))


def test_options_that_are_objects_and_times(copies):
    _, tasks = tasks_of(["tempo_tempbench_time_aqa", "tempo_abstime_start_aqa"], copies)
    docs = list(tasks["tempo_tempbench_time_aqa"].test_docs())
    assert [doc["answer"] for doc in docs] == ["A", "B", "A", "B"]
    assert all(len(doc["options"]) == 2 and doc["n_present"] == 2 for doc in docs)
    assert list(tasks["tempo_abstime_start_aqa"].test_docs())[1]["answer"] == "B"


def test_options_of_one_text_are_right_together(tmp_path):
    """Of MMAU's 1,000 items, 16 offer the answer's text twice, and one has eight options."""
    folder = other_benchmarks.mmau(tmp_path / "mmau")
    file = folder / "mmau-test-mini.json"
    rows = json.loads(file.read_text())
    rows[0]["choices"] = ["Bell", "Rain", "Bell", *"abcde"]
    rows[0]["answer"] = "bell."
    file.write_text(json.dumps(rows))
    _, tasks = tasks_of(
        ["tempo_mmau_sound_aqa", "tempo_mmau_sound_aqa_ll"], {"data_mmau": str(folder)}
    )
    task, likelihood = tasks.values()
    doc = next(iter(task.test_docs()))
    assert (doc["right_letters"], doc["letters"][-1]) == (["A", "C"], "H")
    assert doc["option_twice"]
    for answer, correct in (("A", 1), ("C.", 1), ("B", 0), ("h", 0)):
        assert task.process_results(doc, [answer])["acc"] == correct
    scores = [(-1.0, False), (-1.0, False), (-1.0, False), *[(-9.0, False)] * 5]
    assert likelihood.process_results(doc, scores)["acc"] == pytest.approx(2 / 3)


def test_the_hub_layout_asks_the_same(tmp_path):
    loaded = {}
    for name, folder in (
        ("json", other_benchmarks.mmau(tmp_path / "plain")),
        ("hub", other_benchmarks.mmau_parquet(tmp_path / "parquet")),
    ):
        _, tasks = tasks_of(["tempo_mmau_sound_aqa"], {"data_mmau": str(folder)})
        docs = tasks["tempo_mmau_sound_aqa"].test_docs()
        loaded[name] = [(doc["prompt"], doc["answer"], doc["audio"]) for doc in docs]
    assert loaded["json"] == loaded["hub"]


def test_a_copy_can_be_named_by_a_variable(copies, monkeypatch):
    monkeypatch.setenv("TEMPO_DATA_TREA", copies["data_trea"])
    _, tasks = tasks_of(["tempo_trea_order_aqa"], {})
    assert len(list(tasks["tempo_trea_order_aqa"].test_docs())) == 8


def test_a_seventh_set_takes_ten_lines(embedded, tmp_path):
    assert len(SEVENTH.splitlines()) == 10
    copy = tmp_path / "copy"
    lines = []
    for number, scene in enumerate(other_benchmarks.scenes(4)):
        other_benchmarks.write_clip(copy / "audio" / f"{number}.wav", scene)
        lines.append(
            {
                "file": f"{number}.wav",
                "text": "Is there a door?",
                "choices": ["Yes", "No"],
                "right": "yes" if number % 2 else "No",
            }
        )
    (copy / "doors.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (tmp_path / "doors.yaml").write_text(SEVENTH, encoding="utf-8")
    folder = tmp_path / "tasks"
    groups = write_task_files(read_keys(tmp_path / "doors.yaml"), folder)
    assert "tempo_doors_aqa" in groups
    assert str(tmp_path) not in "".join(file.read_text() for file in folder.iterdir())
    results = evaluate(
        embedded, ["tempo_doors_aqa", "tempo_doors_ll"], {"data_doors": str(copy)}, folder
    )
    assert results["n-samples"]["tempo_doors_all_aqa"]["effective"] == 4
    assert 0 <= results["results"]["tempo_doors_ll"]["acc,none"] <= 1
    with pytest.raises(OptionError, match="there is something already"):
        write_task_files(read_keys(tmp_path / "doors.yaml"), folder)
    with pytest.raises(OptionError, match="a set that is here already"):
        write_task_files(read_keys(tmp_path / "doors.yaml") | {"name": "trea"}, tmp_path / "more")


def test_what_is_missing_is_named(tmp_path, copies):
    with pytest.raises(DataUnavailableError, match=r"(?s)git clone.*TEMPO_DATA_TREA=COPY"):
        tasks_of(["tempo_trea_order_aqa"], {})
    folder = other_benchmarks.mmau(tmp_path / "mmau")
    (folder / "test-mini-audios" / "clip-0.wav").unlink()
    with pytest.raises(AudioNotFoundError, match=r"(?s)1 of 2 clips.*clip-0\.wav"):
        tasks_of(["tempo_mmau_sound_aqa"], {"data_mmau": str(folder)})


def test_rows_that_are_no_item_are_listed_or_left_out_and_counted(tmp_path):
    folder = other_benchmarks.mmau(tmp_path / "mmau")
    file = folder / "mmau-test-mini.json"
    rows = json.loads(file.read_text())
    rows[0]["answer"] = "Nothing of these"
    file.write_text(json.dumps(rows))
    given = {"data_mmau": str(folder)}
    with pytest.raises(QuestionError, match=r"(?s)1 of 2 rows.*row 1: clip-0.*Nothing of these"):
        tasks_of(["tempo_mmau_sound_aqa"], given)
    _, tasks = tasks_of(["tempo_mmau_sound_aqa"], given | {"skip_faulty": True})
    about = tasks["tempo_mmau_sound_aqa"].config.metadata["benchmark"]
    assert (about["items"], about["faulty_rows"], about["rows"]) == (1, 1, 2)


@pytest.mark.slow  # lm_eval reads its own 14,000 task files
def test_names_do_not_meet_those_of_lm_eval():
    defaults = TaskManager()
    ours = TaskManager(include_defaults=False, include_path=task_yamls_dir())
    mine = set(ours.task_index)
    assert {f"tempo_{name}" for name in described_sets()} <= mine
    assert {name for name in mine if not name.startswith("tempo")} == set()
    theirs = {name for name in defaults.task_index if name.startswith("tempo")}
    assert theirs <= mine


def test_descriptions_say_what_was_read():
    for name in described_sets():
        found = describe(name)
        assert found.name == name
        assert found.seen
        assert found.licence
        files = yaml.safe_load(
            (task_yamls_dir() / "benchmarks" / name / f"_tempo_{name}.yaml").read_text()
        )
        assert files["group"] == f"tempo_{name}"

"""From the harness's files to items: names, samples, runs, and what cannot be read."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn.errors import OptionError
from tempo_tasks.errors import SamplesError, SamplesNotFoundError, TempoError
from tempo_tasks.stats.names import SCORINGS, TaskName, parse_task
from tempo_tasks.stats.runs import read_runs
from tempo_tasks.stats.samples import read_samples
from tests.support.sample_files import OPTIONS, answers, doc, generated, likelihoods, write_run

AQA = TaskName("tempo", "eo", "aqa")
LL = TaskName("tempo", "eo", "aqa", "letters")


def read(tmp_path, lines, task=AQA):
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return read_samples(path, task)


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tempo_eo_aqa", AQA),
        ("tempo_eo_aqa_ll", LL),
        ("tempo_synth_ld_silence", TaskName("tempo_synth", "ld", "silence")),
        (
            "tempo_synth_hard_lo_acqa_text",
            TaskName("tempo_synth_hard", "lo", "acqa", "option text"),
        ),
        ("tempo_eo_aqa_rot_ll", TaskName("tempo", "eo", "aqa", "letters", rotated=True)),
        ("tempo_eo_aqa_prompt3", TaskName("tempo", "eo", "aqa", prompt=3)),
        ("tempo_synth_eo_mirror", TaskName("tempo_synth", "eo", "mirror")),
        ("tempo_synth_aqa", None),
        ("tempo_eo_lo_aqa", None),
        ("mmlu_eo_aqa", None),
        ("arc_easy", None),
    ],
)
def test_a_name_says_what_is_asked(name, expected):
    assert parse_task(name) == expected


@given(
    st.sampled_from(["tempo", "tempo_synth", "tempo_synth_hard"]),
    st.sampled_from(["eo", "lo", "ld"]),
    st.sampled_from(["aqa", "cqa", "acqa", "silence"]),
    st.sampled_from(["", "_rot", "_prompt1", "_prompt2"]),
    st.sampled_from(sorted(SCORINGS)),
)
def test_every_part_of_a_name_is_read(source, kind, condition, variant, scoring):
    found = parse_task(f"{source}_{kind}_{condition}{variant}{'_' * bool(scoring)}{scoring}")
    assert found is not None
    assert (found.source, found.kind, found.condition) == (source, kind, condition)
    assert (found.variant, found.scoring) == (variant.removeprefix("_"), SCORINGS[scoring])


# ---------------------------------------------------------------------- samples


def test_a_generated_answer_is_parsed_strictly(tmp_path):
    said = ["A", "b.", "Dog Bark", "(D) Bell", "A or B"]
    lines = [generated(doc(i), text) for i, text in enumerate(said)]
    found = read(tmp_path, map(json.dumps, lines))
    assert [sample.chosen for sample in found] == ["A", "B", "C", "D", None]
    assert [sample.chosen_text for sample in found] == [*OPTIONS, None]


def test_the_likeliest_option_is_chosen_and_none_in_a_tie(tmp_path):
    scores = [(-1, -2, -3, -4), (-9, -2, -30, -40), (-1, -1, -3, -4)]
    lines = [likelihoods(doc(i), score) for i, score in enumerate(scores)]
    found = read(tmp_path, map(json.dumps, lines), LL)
    assert [sample.chosen for sample in found] == ["A", "B", None]
    assert [sample.correct for sample in found] == [1, 0, 0.5]


def test_an_item_lies_in_its_documents_cluster_else_in_its_clip(tmp_path):
    lines = [generated(doc(0, cluster="pair-7"), "A"), generated(doc(1), "A")]
    found = read(tmp_path, map(json.dumps, lines))
    assert [sample.cluster for sample in found] == ["pair-7", "clip-001"]


def test_rotations_of_an_item_are_one_item(tmp_path):
    lines = []
    for rotation in range(4):
        turned = OPTIONS[rotation:] + OPTIONS[:rotation]
        document = doc(0, options=turned, answer="ADCB"[rotation], rotation=rotation)
        lines.append(json.dumps(generated(document, "A")))
    found = read(tmp_path, lines, AQA.but(rotated=True))
    assert {sample.item for sample in found} == {"clip-000/eo"}
    assert [sample.key[1] for sample in found] == [0, 1, 2, 3]
    assert len({sample.question for sample in found}) == 1
    assert [sample.chosen_text for sample in found] == list(OPTIONS)


@pytest.mark.parametrize(
    "strata", [{"margin": "2 s"}, {"n_present": "three"}, {"overlap": [1]}, {"margin": math.nan}]
)
def test_strata_that_are_no_numbers_are_refused(tmp_path, strata):
    with pytest.raises(SamplesError, match="strata that are numbers"):
        read(tmp_path, [json.dumps(generated(doc(0, **strata), "A"))])


def test_a_half_written_line_is_named(tmp_path):
    whole = json.dumps(generated(doc(0), "A"))
    with pytest.raises(SamplesError, match=r"samples.jsonl, line 2: not whole JSON.*Run the task"):
        read(tmp_path, [whole, whole[:40]])


def test_an_item_twice_is_named_with_both_lines(tmp_path):
    lines = [json.dumps(generated(doc(i), "A")) for i in (0, 1, 0)]
    with pytest.raises(SamplesError, match=r"line 3: the item 'clip-000/eo' stands in line 1"):
        read(tmp_path, lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"doc": {"question": "2 + 2?"}}, "no document of a tempo task"),
        ({"doc": {**doc(0), "options": ["a", "b"]}}, "no document of a tempo task"),
        ({"doc": {**doc(0), "answer": "E"}}, "no document of a tempo task"),
        ({"doc": {**doc(0), "clip": None}}, "no document of a tempo task"),
        ({"acc": None}, "acc is None; expected a number from 0 to 1.*predict_only"),
        ({"acc": 1.5}, "acc is 1.5"),
        ({"filtered_resps": []}, r"filtered_resps is \[\]; expected a text"),
        ({"filtered_resps": [None]}, "expected a text"),
    ],
)
def test_a_line_that_is_no_answer_of_ours_is_named(tmp_path, change, message):
    with pytest.raises(SamplesError, match=f"line 1: .*{message}"):
        read(tmp_path, [json.dumps(generated(doc(0), "A") | change)])


@pytest.mark.parametrize("answers", [["A"], [["-1", "True"]] * 3, [["nan", "True"]] * 4])
def test_four_likelihoods_are_needed(tmp_path, answers):
    line = generated(doc(0), "A") | {"filtered_resps": answers}
    with pytest.raises(SamplesError, match="expected four log-likelihoods"):
        read(tmp_path, [json.dumps(line)], LL)


def test_an_empty_file_is_no_task(tmp_path):
    with pytest.raises(SamplesError, match="no line; expected one an item"):
        read(tmp_path, [])


@given(st.text(max_size=80))
def test_whatever_a_line_holds_the_error_is_ours(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "samples.jsonl"
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(TempoError):
        read_samples(path, AQA)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=4), values),
        max_leaves=8,
    ),
    st.sampled_from(["doc", "acc", "filtered_resps", "doc.options", "doc.rotation", "doc.id"]),
    st.sampled_from([AQA, LL]),
)
def test_whatever_a_field_holds_it_is_read_or_the_error_is_ours(
    tmp_path_factory, value, field, task
):
    line = generated(doc(0), "A") if task is AQA else likelihoods(doc(0), (-1, -2, -3, -4))
    part, _, name = field.partition(".")
    line = {**line, part: {**line[part], name: value} if name else value}
    path = tmp_path_factory.mktemp("any") / "samples.jsonl"
    path.write_text(json.dumps(line))
    try:
        found = read_samples(path, task)
    except SamplesError as error:
        found, message = [], str(error)
    assert len(found) == 1 or "line 1" in message


# ---------------------------------------------------------------------- runs


def test_a_folder_above_the_models_holds_a_run_for_each(tmp_path):
    for model in ("one", "two"):
        write_run(tmp_path / model, {"tempo_eo_aqa": answers("110")})
    runs = read_runs([str(tmp_path)])
    assert [run.label for run in runs] == ["one", "two"]
    assert [len(run.tasks[0].samples) for run in runs] == [3, 3]


def test_a_run_is_called_by_its_model_or_as_the_user_says(tmp_path):
    one = write_run(tmp_path / "a", {"tempo_eo_aqa": answers("1")}, model="org/model")
    two = write_run(tmp_path / "b", {"tempo_eo_aqa": answers("1")}, model="org/model")
    assert [r.label for r in read_runs([str(one), str(two)])] == ["org/model #1", "org/model #2"]
    named = read_runs([f"plain={one}", f"edited={two}"])
    assert [run.label for run in named] == ["plain", "edited"]


def test_edited_attention_shows_in_the_name(tmp_path):
    folder = write_run(tmp_path / "a", {"tempo_eo_aqa": answers("1")}, model="m")
    results = next(folder.glob("results_*.json"))
    held = json.loads(results.read_text())
    held["config"]["tempo"]["attn_scale"] = {"strength": 2}
    results.write_text(json.dumps(held))
    assert read_runs([str(folder)])[0].label == "m (attention edited)"


def test_the_newest_samples_of_a_task_count_and_it_is_said(tmp_path):
    write_run(tmp_path, {"tempo_eo_aqa": answers("00"), "tempo_lo_aqa": answers("1", "lo")})
    later = "2026-11-22T09-00-00.000000"
    write_run(tmp_path, {"tempo_eo_aqa": answers("11")}, date=later)
    (run,) = read_runs([str(tmp_path)])
    eo, lo = run.tasks
    assert [sample.correct for sample in eo.samples] == [1, 1]
    assert len(lo.samples) == 1
    assert any("newest of 2 samples files" in note and later in note for note in run.notes)
    assert any("2 dates" in note for note in run.notes)


def test_a_results_file_stands_for_its_own_samples(tmp_path):
    write_run(tmp_path, {"tempo_eo_aqa": answers("00")})
    later = "2026-11-22T09-00-00.000000"
    write_run(tmp_path, {"tempo_eo_aqa": answers("11")}, date=later)
    first, last = sorted(tmp_path.glob("results_*.json"))
    runs = read_runs([str(first), str(last)])
    assert [[s.correct for s in run.tasks[0].samples] for run in runs] == [[0, 0], [1, 1]]
    assert not any(run.notes for run in runs)


def test_other_tasks_beside_ours_are_left_out_and_it_is_said(tmp_path):
    write_run(tmp_path, {"tempo_eo_aqa": answers("1"), "arc_easy": [{"doc": {}}]})
    (run,) = read_runs([str(tmp_path)])
    assert [task.task for task in run.tasks] == ["tempo_eo_aqa"]
    assert run.notes == ["arc_easy is no task of tempo: left out"]


def test_other_tasks_alone_are_an_error(tmp_path):
    write_run(tmp_path, {"arc_easy": [{"doc": {}}]})
    with pytest.raises(SamplesError, match="samples of arc_easy only; expected tasks of tempo"):
        read_runs([str(tmp_path)])


def test_results_without_samples_say_how_to_have_them_written(tmp_path):
    (tmp_path / "results_2026-11-21T10-00-00.000000.json").write_text("{}")
    with pytest.raises(SamplesNotFoundError, match=r"results without samples.*--log_samples"):
        read_runs([str(tmp_path)])
    with pytest.raises(SamplesNotFoundError, match=r"no samples of 2026.*--log_samples"):
        read_runs([str(next(tmp_path.iterdir()))])


def test_what_is_not_there_or_no_run_is_named(tmp_path):
    with pytest.raises(SamplesNotFoundError, match="absent: no such folder"):
        read_runs([str(tmp_path / "absent")])
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SamplesNotFoundError, match=r"notes\.txt: expected a folder"):
        read_runs([str(tmp_path / "notes.txt")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SamplesNotFoundError, match=r"empty: no samples.*--output_path"):
        read_runs([str(tmp_path / "empty")])


def test_half_of_a_results_file_is_an_error(tmp_path):
    write_run(tmp_path, {"tempo_eo_aqa": answers("1")})
    results = next(tmp_path.glob("results_*.json"))
    results.write_text(results.read_text()[:20])
    with pytest.raises(SamplesError, match=r"results_.*not whole JSON"):
        read_runs([str(tmp_path)])


def test_a_run_given_twice_is_an_error(tmp_path):
    write_run(tmp_path, {"tempo_eo_aqa": answers("1")})
    with pytest.raises(OptionError, match="given twice"):
        read_runs([str(tmp_path), f"again={tmp_path}"])


def changed(folder, date, **config):
    """Change what the results of one call say of what was run."""
    path = folder / f"results_{date}.json"
    results = json.loads(path.read_text())
    tempo = results["config"]["tempo"] | config.pop("tempo", {})
    results["config"] |= {"tempo": tempo, **config}
    path.write_text(json.dumps(results))
    return path


def test_models_that_share_a_folder_are_not_one_run(tmp_path):
    """lm_eval names the folder after `pretrained` alone."""
    one, later = "2026-01-01T00-00-00.000000", "2026-01-02T00-00-00.000000"
    folder = write_run(tmp_path, {"tempo_lo_aqa": answers("01")}, date=one, model="m")
    write_run(tmp_path, {"tempo_eo_aqa": answers("11")}, date=later, model="m")
    assert [run.label for run in read_runs([str(folder)])] == ["m"]
    results = changed(folder, later, tempo={"attn_scale": {"mode": "scale"}})
    plain, edited = read_runs([str(folder)])
    assert (plain.label, edited.label) == ("m", "m (attention edited)")
    assert [task.task for task in plain.tasks] == ["tempo_lo_aqa"]
    assert [task.task for task in edited.tasks] == ["tempo_eo_aqa"]
    assert later in edited.notes[0]
    assert one in plain.notes[0]
    assert "another model or edit" in plain.notes[0]
    (alone,) = read_runs([str(results)])
    assert [task.task for task in alone.tasks] == ["tempo_eo_aqa"]


@pytest.mark.parametrize(
    "config",
    [
        {"tempo": {"attn_scale": {"mode": "scale", "strength": 3.0}}},
        {"model_args": {"pretrained": "m", "peft": "lora"}},
        {"gen_kwargs": {"temperature": 2.0}},
        {"model_dtype": "torch.bfloat16"},
        {"model_sha": "abc"},
    ],
)
def test_calls_with_other_settings_are_runs_of_their_own(tmp_path, config):
    """The newest of the same task once counted, and the other was not told of as another run."""
    one, later = "2026-01-01T00-00-00.000000", "2026-01-02T00-00-00.000000"
    for date, said in ((one, "01"), (later, "11")):
        write_run(tmp_path, {"tempo_eo_aqa": answers(said)}, date=date, model="m")
        changed(tmp_path, date, tempo={"attn_scale": {"mode": "scale", "strength": 2.0}})
    assert len(read_runs([str(tmp_path)])) == 1
    changed(tmp_path, later, **config)
    first, second = read_runs([f"it={tmp_path}"])
    assert (first.label, second.label) == ("it #1", "it #2")
    assert [s.correct for s in first.tasks[0].samples] == [0, 1]
    assert [s.correct for s in second.tasks[0].samples] == [1, 1]


def test_how_a_call_was_run_does_not_tell_it_apart(tmp_path):
    one, later = "2026-01-01T00-00-00.000000", "2026-01-02T00-00-00.000000"
    for date, task in ((one, "tempo_eo_aqa"), (later, "tempo_lo_aqa")):
        kind = task.split("_")[1]
        write_run(tmp_path, {task: answers("01", kind)}, date=date, model="m")
        arguments = {"pretrained": "m", "batch_size": len(date) if date == one else "auto"}
        proof = {
            "checks": {"clips_checked": 4 if date == one else 7},
            **({"max_thinking_toks": None} if date == one else {}),
        }
        changed(tmp_path, date, model_args=arguments, tempo=proof)
    assert [len(run.tasks) for run in read_runs([str(tmp_path)])] == [2]
    (tmp_path / f"results_{later}.json").unlink()  # results only name a run
    assert [len(run.tasks) for run in read_runs([str(tmp_path)])] == [2]


def test_other_weights_under_the_same_name_are_another_run(tmp_path):
    one, later = "2026-01-01T00-00-00.000000", "2026-01-02T00-00-00.000000"
    for date, task in ((one, "tempo_eo_aqa"), (later, "tempo_lo_aqa")):
        write_run(tmp_path, {task: answers("01", task.split("_")[1])}, date=date, model="m")
        changed(tmp_path, date, tempo={"pretrained": "m", "weights": date})
    assert [len(run.tasks) for run in read_runs([str(tmp_path)])] == [1, 1]


def test_other_data_under_the_same_tasks_are_another_run(tmp_path):
    one, later = "2026-01-01T00-00-00.000000", "2026-01-02T00-00-00.000000"
    write_run(tmp_path, {"tempo_eo_aqa": answers("01")}, date=one, model="m", data="f00d")
    write_run(tmp_path, {"tempo_eo_aqa": answers("11")}, date=later, model="m", data="beef")
    assert [run.tasks[0].data for run in read_runs([str(tmp_path)])] == ["f00d", "beef"]


def test_folders_come_in_the_order_of_their_dates(tmp_path):
    late, early = "2026-02-01T00-00-00.000000", "2026-01-01T00-00-00.000000"
    write_run(tmp_path / "aaaa", {"tempo_eo_aqa": answers("11")}, date=late)
    write_run(tmp_path / "bbbb", {"tempo_eo_aqa": answers("01")}, date=early)
    assert [run.folder.name for run in read_runs([str(tmp_path)])] == ["bbbb", "aaaa"]


def test_answers_of_an_earlier_rule_are_scored_by_this_ones_and_noted(tmp_path):
    """Once "B Rain" was a parse failure; two releases' runs must not differ by that."""
    said = [("A Rain", 0.0, 1.0), ("B Siren", 0.0, 1.0), ("?", 0.0, 1.0), ("A", 1.0, 0.0)]
    lines = [
        {**generated(doc(number), text), "acc": credit, "parse_failure": failed}
        for number, (text, credit, failed) in enumerate(said)
    ]
    (run,) = read_runs([str(write_run(tmp_path / "old", {"tempo_eo_aqa": lines}))])
    (task,) = run.tasks
    assert [sample.correct for sample in task.samples] == [1.0, 0.0, 0.0, 1.0]
    assert [sample.chosen for sample in task.samples] == ["A", "B", None, "A"]
    (note,) = run.notes
    assert "2 answers are scored again" in note


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a":' * 100_000, "{"])
def test_json_that_can_be_read_two_ways_or_none_is_named(tmp_path, text):
    folder = write_run(tmp_path / "run", {"tempo_eo_aqa": answers("10")})
    (path,) = folder.glob("results_*.json")
    whole = path.read_text()
    path.write_text(text)
    with pytest.raises(SamplesError, match=r"results_.*\.json: not whole JSON"):
        read_runs([str(folder)])
    path.write_text(whole)
    (samples,) = folder.glob("samples_*.jsonl")
    samples.write_text(f"{text}\n")
    with pytest.raises(SamplesError, match=r"samples_.*, line 1: not whole JSON"):
        read_runs([str(folder)])


def test_a_number_beyond_all_bounds_is_no_stratum(tmp_path):
    lines = [json.dumps(generated({**doc(0), "margin": value}, "A")) for value in (1.5, 10**400)]
    with pytest.raises(SamplesError, match=r"line 2: .*strata that are numbers"):
        read(tmp_path, lines)

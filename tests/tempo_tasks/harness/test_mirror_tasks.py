"""The mirror tasks through the harness: models that know, that are deaf, that do not answer."""

import csv
import hashlib
import json
import re
from pathlib import Path

import lm_eval
import pytest
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from tempo_tasks.audio import read_audio
from tempo_tasks.errors import NoMirrorError
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab import tasks_to_items as lab
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.questions.mirror import NO_ANSWER, NOT_OFFERED, SAME_EVENT
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import LETTERS, Kind, Question, right_event
from tempo_tasks.sources.backwards import play_backwards
from tempo_tasks.sources.synth import draw_scene, testset
from tempo_tasks.sources.synth.mirrored_scenes import mirror_scene
from tempo_tasks.sources.synth.scene import MARGIN, scene_name
from tests.support.paths import REFERENCE
from tests.support.released_layout import SPLIT, released_rows, write_layout

SCENES = 12
KINDS = ("eo", "lo")


def manager(**metadata):
    return TaskManager(
        include_defaults=False,
        include_path=task_yamls_dir(),
        metadata=metadata or {"synth_scenes": SCENES},
    )


def evaluate(model, tasks, limit=None, **metadata):
    return lm_eval.simple_evaluate(
        model=model, tasks=tasks, task_manager=manager(**metadata), limit=limit, bootstrap_iters=1
    )


def load(name, **metadata):
    return manager(**metadata).load([name])["tasks"][name]


class Scripted(LM):
    """A model that is a function from prompt and audio handle to a letter (None: no answer)."""

    MULTIMODAL = True

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def generate_until(self, requests):
        answers = [self._ask(request) for request in requests]
        return ["no idea" if answer is None else answer for answer in answers]

    def loglikelihood(self, requests):
        scores = []
        for request in requests:
            answer = self._ask(request)
            right = answer is None or answer == request.args[1].strip()
            scores.append((-0.1 if right else -3.0, right))
        return scores

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError

    def _ask(self, request):
        (handle,) = request.args[2]["audio"]
        return self.answer(request.args[0], handle)


def knowing(clips):
    """The letter by the rules, from the events of what is really heard.

    Args:
        clips: By the hash of a file, the clip forwards and its mirror.
    """

    def answer(prompt, handle):
        clip = clips[handle["sha256"]][bool(handle.get("reversed"))]
        kind = next(kind for kind in Kind if kind.text in prompt)
        options = dict(re.findall(r"^([A-D])\. (.*)$", prompt, re.MULTILINE))
        right = right_event(clip, kind, MARGIN).label
        return {label: letter for letter, label in options.items()}[right]

    return Scripted(answer)


def file_hashes(folder):
    index = json.loads((folder / "index.json").read_text())
    return {name: entry["sha256"] for name, entry in index.items()}


@pytest.fixture(scope="module")
def oracle(isolated_cache):
    """Knows the rendered scenes and their twins by their files."""
    load("tempo_synth_eo_mirror")  # renders them
    hashes = {
        **file_hashes(isolated_cache / "synth" / f"1-test-{SCENES}"),
        **file_hashes(isolated_cache / "synth" / f"1-test-{SCENES}-mirror"),
    }
    clips = {}
    for scene in testset.draw_test_scenes(SCENES):
        twin = mirror_scene(scene)
        clips[hashes[scene.name]] = (scene.clip, None)
        clips[hashes[twin.name]] = (twin.clip, None)
    return knowing(clips)


# Documents


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["", "_ll"])
def test_a_question_and_its_twin_are_neighbours(kind, suffix):
    task = load(f"tempo_synth_{kind}_mirror{suffix}")
    documents = list(task.test_docs())
    assert len(documents) == 2 * task.config.metadata["mirror"]["pairs"] > 0
    for original, twin in zip(documents[::2], documents[1::2], strict=True):
        assert (original["condition"], twin["condition"]) == ("aqa", "mirror")
        assert original["pair"] == twin["pair"] == original["id"]
        assert twin["id"] == f"{original['id']}/mirror"
        assert twin["answer"] != original["answer"]
        assert twin["options"][LETTERS.index(twin["answer"])] == twin["answer_text"]
        for same in ("clip", "kind", "prompt", "options", "n_present"):
            assert twin[same] == original[same]
        heard = [task.doc_to_audio(document)[0] for document in (original, twin)]
        assert heard[0]["sha256"] != heard[1]["sha256"]
        assert heard[1]["path"].endswith("-mirror.wav")


def test_what_is_not_reversed_does_not_say_so():
    """The harness's cache names a request by its handles' JSON: old answers are to be found."""
    for name in ("tempo_synth_eo_aqa", "tempo_synth_eo_silence", "tempo_synth_eo_mirror"):
        task = load(name)
        document = task.dataset["test"][0]
        (handle,) = task.doc_to_audio(document)
        assert list(handle) == ["path", "sha256", "silence"]
        assert document["audio"][0]["reversed"] is False
        assert (document["pair"] == "") == (name != "tempo_synth_eo_mirror")


def test_the_results_say_what_was_paired(oracle):
    metadata = evaluate(oracle, ["tempo_synth_lo_mirror"])["configs"]["tempo_synth_lo_mirror"][
        "metadata"
    ]
    found = metadata["mirror"]
    assert found["form"] == "rendered in reverse order"
    assert found["pairs"] + sum(found["left_out"].values()) == SCENES
    assert metadata["data_name"] == f"tempo-synth-1[:{SCENES}]"
    assert len(metadata["data_fingerprint"]) == 64
    plain = load("tempo_synth_lo_aqa").config.metadata
    assert metadata["data_fingerprint"] != plain["data_fingerprint"]
    assert "mirror" not in plain


# Models


@pytest.mark.parametrize("suffix", ["", "_ll"])
def test_a_model_that_knows_the_events_moves_every_answer(oracle, suffix):
    names = [f"tempo_synth_{kind}_mirror{suffix}" for kind in KINDS]
    scores = evaluate(oracle, [f"tempo_synth_mirror{suffix}"])["results"]
    for name in [*names, f"tempo_synth_mirror{suffix}"]:
        assert scores[name]["acc,none"] == 1.0
        assert scores[name]["swap_consistency,none"] == 1.0
        assert scores[name]["same_answer,none"] == 0.0
        assert scores[name]["swap_consistency_stderr,none"] == 0.0
    assert ("parse_failure,none" in scores[names[0]]) == (not suffix)


@pytest.mark.parametrize("suffix", ["", "_ll"])
def test_a_model_that_is_deaf_gives_the_same_answer_twice(oracle, suffix):
    name = f"tempo_synth_eo_mirror{suffix}"
    results = evaluate(Scripted(lambda prompt, handle: "B"), [name])
    score = results["results"][name]
    assert score["swap_consistency,none"] == 0.0
    assert score["same_answer,none"] == 1.0
    # Accuracy alone does not tell: a document of four has B.
    right = [doc["answer"] == "B" for doc in load(name).test_docs()]
    assert score["acc,none"] == pytest.approx(sum(right) / len(right))


@pytest.mark.parametrize("suffix", ["", "_ll"])
def test_a_model_that_does_not_answer_is_not_called_constant(suffix):
    name = f"tempo_synth_eo_mirror{suffix}"
    score = evaluate(Scripted(lambda prompt, handle: None), [name])["results"][name]
    assert (score["swap_consistency,none"], score["same_answer,none"]) == (0.0, 0.0)
    assert score["acc,none"] == (0.25 if suffix else 0.0)


def test_errors_are_clustered_by_clip(oracle):
    """Both documents of a pair lie in one cluster: their errors are not independent."""
    letters = iter("ABCD" * SCENES)
    name = "tempo_synth_eo_mirror"
    results = evaluate(Scripted(lambda prompt, handle: next(letters)), [name])
    score = results["results"][name]
    samples = sorted(results["samples"][name], key=lambda sample: sample["doc_id"])
    right = [sample["filtered_resps"][0] == sample["target"] for sample in samples]
    pairs = list(zip(right[::2], right[1::2], strict=True))
    both = [all(pair) for pair in pairs]
    n, p = len(pairs), sum(both) / len(pairs)
    assert score["swap_consistency,none"] == pytest.approx(p)
    assert score["swap_consistency_stderr,none"] == pytest.approx((p * (1 - p) / (n - 1)) ** 0.5)
    mean = sum(right) / (2 * n)
    residuals = [(sum(pair) - 2 * mean) ** 2 for pair in pairs]
    error = (n / (n - 1) * sum(residuals)) ** 0.5 / (2 * n)
    assert score["acc_stderr,none"] == pytest.approx(error)


@pytest.mark.parametrize(
    ("limit", "pairs"), [(1, None), (2, 1), (3, 1), (4, 2)], ids=lambda value: str(value)
)
def test_a_pair_that_the_limit_cuts_does_not_count(oracle, limit, pairs):
    results = evaluate(oracle, ["tempo_synth_mirror"], limit=limit)["results"]
    json.dumps(results, allow_nan=False, default=float)
    for name in ("tempo_synth_eo_mirror", "tempo_synth_mirror"):
        assert results[name]["acc,none"] == 1.0
        expected = (1.0, 0.0) if pairs else ("N/A", "N/A")
        found = results[name]
        assert (found["swap_consistency,none"], found["same_answer,none"]) == expected
        error = found["swap_consistency_stderr,none"]
        assert error == (0.0 if pairs == 2 else "N/A")


def test_a_real_model_runs_by_generation_and_by_likelihood(lalm):
    names = ["tempo_synth_eo_mirror", "tempo_synth_eo_mirror_ll"]
    scores = evaluate(lalm, names, limit=4)["results"]
    assert scores[names[0]]["parse_failure,none"] == 1.0  # random weights do not answer
    assert scores[names[0]]["same_answer,none"] == 0.0
    assert 0 <= scores[names[1]]["same_answer,none"] <= 1


# The released layout


@pytest.fixture(scope="module")
def released(released_folder):
    """A folder of four scenes, and a model that knows them forwards and backwards."""
    scenes = [draw_scene(scene_name(SPLIT, number)) for number in range(4)]
    clips = {}
    for row in released_rows(4):
        scene = scenes[int(Path(row["filename"]).stem)]
        digest = hashlib.sha256(row["audio"]["bytes"]).hexdigest()
        clips[digest] = (scene.clip, mirror_scene(scene).clip)
    return released_folder("csv"), knowing(clips)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["", "_ll"])
def test_released_clips_are_played_backwards(released, kind, suffix):
    folder, oracle = released
    name = f"tempo_{kind}_mirror{suffix}"
    results = evaluate(oracle, [name], data=str(folder))
    score = results["results"][name]
    assert (score["acc,none"], score["swap_consistency,none"]) == (1.0, 1.0)
    found = results["configs"][name]["metadata"]["mirror"]
    assert found["form"] == "time-reversed audio"
    assert found["pairs"] + sum(found["left_out"].values()) == 4
    task = load(name, data=str(folder))
    original, twin = (task.doc_to_audio(task.dataset["test"][number])[0] for number in (0, 1))
    assert twin == {**original, "reversed": True}
    forward, backward = (read_audio(handle, 16_000) for handle in (original, twin))
    assert (backward == forward[::-1]).all()


def test_released_clips_without_the_other_question_are_left_out(tmp_path):
    rows = released_rows(3)
    lacking = [r for r in rows if (r["filename"], r["task"]) != ("00001.wav", "latest_end")]
    folder = write_layout(tmp_path / "data", "csv", lacking)
    whole = load("tempo_eo_mirror", data=str(write_layout(tmp_path / "whole", "csv", rows)))
    task = load("tempo_eo_mirror", data=str(folder))
    assert {doc["clip"] for doc in whole.test_docs()} - {"00001.wav"} == {
        doc["clip"] for doc in task.test_docs()
    }
    assert task.config.metadata["mirror"]["left_out"]["twin_has_no_right_answer"] == 1


def test_no_pair_at_all_is_an_error(tmp_path):
    rows = [row for row in released_rows(1) if row["task"] != "longest_duration"]
    for row in rows:  # the same event first and last
        row["correct_answer"], row["correct_text"] = "A", row["option_a"]
        row["option_a"] = row["correct_text"] = "Bell"
    folder = write_layout(tmp_path / "data", "csv", rows)
    with pytest.raises(NoMirrorError, match="none of 1 questions has a mirrored twin"):
        load("tempo_eo_mirror", data=str(folder))


# The laboratory


def test_the_laboratory_takes_them_and_tells_the_twin_from_the_original(released):
    folder, _ = released
    lm = LALM(batch_size=4)
    tasks = lab.load_tasks(["tempo_eo_mirror"], {"data": str(folder)})
    lab.require_audio(tasks)
    items = lab.make_items(lm, tasks)
    assert [item.condition for item in items[:2]] == ["aqa", "mirror"]
    assert len({item.key for item in items}) == len(items)
    # An original is the item that it was before there were twins.
    plain = lab.make_items(lm, lab.load_tasks(["tempo_eo_aqa"], {"data": str(folder)}))
    assert {item.key for item in items[::2]} <= {item.key for item in plain}


def test_a_key_tells_what_is_heard_backwards(released):
    folder, _ = released
    lm = LALM(batch_size=4)
    task = lab.load_tasks(["tempo_eo_mirror"], {"data": str(folder)})["tempo_eo_mirror"]
    twin = task.dataset["test"][1]
    forward = {**twin, "audio": [{**twin["audio"][0], "reversed": False}]}
    handles = [task.doc_to_audio(document) for document in (twin, forward)]
    keys = [
        lab.item_of(lm, document, heard, 0).key
        for document, heard in zip((twin, forward), handles, strict=True)
    ]
    assert keys[0] != keys[1]


# The released questions themselves


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference data are not here")
def test_how_many_pairs_the_released_questions_give():
    """Measured on the authors' files; docs/mirror.md has these counts."""
    files = {Kind.EO: "relative_earliest_start_mcq.csv", Kind.LO: "relative_latest_end_mcq.csv"}
    sets = {}
    for kind, name in files.items():
        with (REFERENCE / name).open(encoding="utf-8", newline="") as file:
            asked = [
                Question(
                    f"{row['filename']}/{kind.value}",
                    row["filename"],
                    kind,
                    tuple(row[letter] for letter in LETTERS),
                    row["correct_label"],
                )
                for row in csv.DictReader(file)
            ]
        audio = {question.clip_id: {"sha256": question.clip_id} for question in asked}
        sets[kind] = QuestionSet("released", tuple(asked), audio, {})
    found = {
        kind.value: play_backwards(sets[kind], sets[other]).describe()
        for kind, other in [(Kind.EO, Kind.LO), (Kind.LO, Kind.EO)]
    }
    form = {"form": "time-reversed audio"}
    assert found == {
        "eo": {
            **form,
            "pairs": 112,
            "left_out": {NO_ANSWER: 132, SAME_EVENT: 211, NOT_OFFERED: 73},
        },
        "lo": {
            **form,
            "pairs": 117,
            "left_out": {NO_ANSWER: 103, SAME_EVENT: 211, NOT_OFFERED: 68},
        },
    }

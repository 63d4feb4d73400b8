"""The tasks through the harness: results, errors, cache."""

import json

import lm_eval
import pytest
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

import tempo_tasks
from tempo_tasks.errors import CacheMismatchError, PromptError
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.questions.conditions import SUITE, Condition
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.captions_and_intervals import find_captions
from tests.support.released_layout import released_rows, write_beside, write_layout

SCENES = 12


@pytest.fixture(scope="module")
def manager():
    return TaskManager(
        include_defaults=False, include_path=task_yamls_dir(), metadata={"synth_scenes": SCENES}
    )


@pytest.fixture(scope="module")
def results(lalm, manager):
    tasks = ["tempo_synth_aqa", "tempo_synth_silence_ll"]
    return lm_eval.simple_evaluate(model=lalm, tasks=tasks, task_manager=manager, bootstrap_iters=1)


@pytest.mark.parametrize("condition", list(Condition))
def test_documents_give_what_the_condition_says(manager, condition):
    name = f"tempo_synth_lo_{condition.value}"
    task = manager.load([name])["tasks"][name]
    doc = next(iter(task.test_docs()))
    assert task.doc_to_text(doc).count("<audio>") == condition.has_audio
    assert ("Audio caption:" in task.doc_to_text(doc)) == condition.has_caption
    handles = task.doc_to_audio(doc)
    assert len(handles) == condition.has_audio
    assert all(handle["silence"] == (condition is Condition.SILENCE) for handle in handles)
    # Small enough to gather for every document before inference.
    assert len(json.dumps(handles)) < 1000


def test_metrics_and_macro_average(results):
    scores = results["results"]
    names = [f"tempo_synth_{kind.value}_aqa" for kind in Kind]
    for name in names:
        score = scores[name]
        assert 0 <= score["acc,none"] <= 1
        # One question a clip: the clustered error is the ordinary one.
        n, p = SCENES, score["acc,none"]
        assert score["acc_stderr,none"] == pytest.approx((p * (1 - p) / (n - 1)) ** 0.5)
        assert {f"acc_{letter},none" for letter in "abcd"} <= set(score)
        assert score["parse_failure,none"] == 1.0  # random weights do not answer
    macro = sum(scores[name]["acc,none"] for name in names) / 3
    assert scores["tempo_synth_aqa"]["acc,none"] == pytest.approx(macro)


def test_results_carry_version_and_fingerprint(results):
    metadata = results["configs"]["tempo_synth_eo_aqa"]["metadata"]
    assert metadata["tempo_version"] == tempo_tasks.__version__
    assert len(metadata["data_fingerprint"]) == 64
    assert metadata["data_name"] == f"tempo-synth-1[:{SCENES}]"
    assert metadata["prompt_version"] == "tempo-prompt-1"
    assert "0x" not in json.dumps(results["configs"], default=str)


@pytest.mark.parametrize("name", ["tempo_synth_eo_aqa", "tempo_synth_eo_aqa_ll"])
def test_answers_to_padding_are_not_kept(manager, name):
    """With several processes lm-eval asks the last request again, and keeps all its answers."""
    task = manager.load([name])["tasks"][name]
    task.build_all_requests(limit=3)
    for number, instance in enumerate(task.instances):
        answer = "B" if name.endswith("aqa") else (-float(number), False)
        padding = 2 if instance is task.instances[-1] else 0
        instance.resps = [answer] + padding * ["a later answer"]
    task.apply_filters()
    assert {len(instance.resps) for instance in task.instances} == {1}
    assert "a later answer" not in str([instance.filtered_resps for instance in task.instances])


def test_cache_resumes_without_the_model(lalm, manager, tmp_path, monkeypatch):
    def evaluate():
        return lm_eval.simple_evaluate(
            model=lalm,
            tasks=["tempo_synth_eo_aqa", "tempo_synth_eo_aqa_ll"],
            task_manager=manager,
            use_cache=str(tmp_path / "cache"),
            bootstrap_iters=1,
        )["results"]

    first = evaluate()

    def never(*args, **kwargs):
        raise AssertionError("the model was asked again")

    monkeypatch.setattr(lalm, "generate_batch", never)
    monkeypatch.setattr(lalm, "_score", never)
    assert evaluate() == first


def test_a_killed_run_asks_only_for_the_rest(lalm, manager, tmp_path, monkeypatch):
    asked = []
    generate = lalm.generate_batch

    def dies_after_five(batch, kwargs):
        if len(asked) == 5:
            raise KeyboardInterrupt
        asked.extend(batch)
        return generate(batch, kwargs)

    def evaluate():
        return lm_eval.simple_evaluate(
            model=lalm,
            tasks=["tempo_synth_eo_aqa"],
            task_manager=manager,
            use_cache=str(tmp_path / "cache"),
            bootstrap_iters=1,
        )["results"]

    monkeypatch.setattr(lalm, "generate_batch", dies_after_five)
    with pytest.raises(KeyboardInterrupt):
        evaluate()
    asked.clear()
    monkeypatch.setattr(lalm, "generate_batch", lambda b, k: asked.extend(b) or generate(b, k))
    evaluate()
    assert len(asked) == SCENES - 5


def test_a_response_cache_serves_one_model_only(lalm, checkpoint, manager, tmp_path):
    def evaluate(model):
        lm_eval.simple_evaluate(
            model=model,
            tasks=["tempo_synth_eo_aqa_ll"],
            task_manager=manager,
            use_cache=str(tmp_path / "cache"),
            limit=2,
            bootstrap_iters=1,
        )

    evaluate(lalm)
    with pytest.raises(CacheMismatchError, match="bfloat16"):
        evaluate(LALM(pretrained=str(checkpoint), dtype="bfloat16"))


class Oracle(LM):
    """Answers what the document says is right."""

    MULTIMODAL = True

    def generate_until(self, requests):
        return [request.doc["answer"] for request in requests]

    def loglikelihood(self, requests):
        raise NotImplementedError

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError


def test_cached_requests_are_those_of_the_data(tmp_path, monkeypatch):
    """lm-eval keeps requests under the task's name; other data must not meet the old ones."""
    from lm_eval.caching import cache

    monkeypatch.setattr(cache, "PATH", str(tmp_path))
    for scenes in (5, 9):
        manager = TaskManager(
            include_defaults=False,
            include_path=task_yamls_dir(),
            metadata={"synth_scenes": scenes},
        )
        results = lm_eval.simple_evaluate(
            model=Oracle(),
            tasks=["tempo_synth_eo_aqa"],
            task_manager=manager,
            cache_requests=True,
            bootstrap_iters=1,
        )
        assert results["results"]["tempo_synth_eo_aqa"]["acc,none"] == 1.0
        assert results["n-samples"]["tempo_synth_eo_aqa"]["effective"] == scenes
    assert list(tmp_path.iterdir()), "the harness cached nothing: this test tests nothing"


def test_a_system_instruction_needs_the_chat_template(lalm, manager):
    arguments = {"model": lalm, "tasks": ["tempo_synth_eo_aqa"], "task_manager": manager}
    with pytest.raises(PromptError, match="--apply_chat_template"):
        lm_eval.simple_evaluate(**arguments, system_instruction="Listen.", limit=1)
    results = lm_eval.simple_evaluate(
        **arguments, system_instruction="Listen.", apply_chat_template=True, limit=1
    )
    context = results["samples"]["tempo_synth_eo_aqa"][0]["arguments"][0][0]
    assert context.startswith("<|im_start|>system\nListen.<|im_end|>")


def test_results_of_one_item_are_strict_json(lalm, manager):
    results = lm_eval.simple_evaluate(
        model=lalm, tasks=["tempo_synth_aqa"], task_manager=manager, limit=1, bootstrap_iters=1
    )
    json.dumps(results["results"], allow_nan=False)


def test_a_document_does_not_say_where_its_files_lie(results):
    doc = results["samples"]["tempo_synth_eo_aqa"][0]["doc"]
    assert "path" not in json.dumps(doc)


def test_a_changed_data_variable_is_followed(manager, released_folder, monkeypatch):
    for layout in ("csv", "jsonl"):
        monkeypatch.setenv("TEMPO_DATA", str(released_folder(layout)))
        task = manager.load(["tempo_eo_silence"])["tasks"]["tempo_eo_silence"]
        assert task.config.metadata["data_name"] == released_folder(layout).name


def test_released_tasks_without_data_name_the_offline_ones(manager, monkeypatch, tmp_path):
    from tempo_tasks.errors import DataUnavailableError

    monkeypatch.setenv("TEMPO_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataUnavailableError, match="tempo_synth_"):
        manager.load(["tempo_eo_aqa"])


def test_all_released_tasks_run_on_a_folder_with_captions_and_intervals_beside(
    manager, monkeypatch, tmp_path
):
    folder = write_layout(tmp_path / "data", "csv", released_rows(6, captions=False))
    write_beside(folder, 6)
    monkeypatch.setenv("TEMPO_DATA", str(folder))
    results = lm_eval.simple_evaluate(
        model=Oracle(),
        tasks=["tempo", "tempo_hard_eo_aqa"],
        task_manager=manager,
        bootstrap_iters=1,
    )
    names = {f"tempo_{kind.value}_{condition.value}" for kind in Kind for condition in SUITE}
    assert names < set(results["samples"])
    captions = find_captions(folder)
    for name in names:
        assert results["results"][name]["acc,none"] == 1.0
        assert results["results"][name]["acc_temporal,none"] == 1.0
        for sample in results["samples"][name]:
            doc = sample["doc"]
            assert doc["margin"] >= 1.0
            assert (captions[doc["clip"]] in doc["prompt"]) == ("cqa" in name)
    hard = [sample["doc"] for sample in results["samples"]["tempo_hard_eo_aqa"]]
    assert hard
    assert all(doc["n_present"] == 4 for doc in hard)

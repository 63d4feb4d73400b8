"""The embedded checkpoint: loads like any other, and does what its card says."""

import lm_eval
import pytest
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from transformers import (
    AutoModelForMultimodalLM,
    AutoProcessor,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
)

from tempo_tasks.harness.lalm import LALM
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.questions.questions import Kind
from tempo_tasks.tiny import WEIGHTS_DIR, is_embedded


@pytest.fixture(scope="module")
def embedded():
    return LALM(batch_size=16)


def test_it_is_a_real_checkpoint_of_at_most_8_mb():
    assert isinstance(AutoProcessor.from_pretrained(WEIGHTS_DIR), Qwen2AudioProcessor)
    model = AutoModelForMultimodalLM.from_pretrained(WEIGHTS_DIR)
    assert isinstance(model, Qwen2AudioForConditionalGeneration)
    assert sum(path.stat().st_size for path in WEIGHTS_DIR.glob("*.safetensors")) <= 8_000_000


def test_it_is_what_lalm_uses_and_says_so(embedded, caplog):
    assert embedded.get_model_info()["tempo"]["pretrained"] == "embedded"
    with caplog.at_level("WARNING"):
        LALM()
    assert "embedded model" in caplog.text


def test_results_without_pretrained_lie_in_a_folder_named_embedded(tmp_path):
    """lm_eval draws a name such as `i82qcls7` where no argument names the model."""
    folders = []
    for arguments in ({}, {"pretrained": None}, {"pretrained": "embedded"}):
        tracker = EvaluationTracker(output_path=str(tmp_path / str(len(folders))))
        manager = TaskManager(
            include_defaults=False, include_path=task_yamls_dir(), metadata={"synth_scenes": 2}
        )
        results = lm_eval.simple_evaluate(
            model="lalm",
            model_args=arguments,
            tasks=["tempo_synth_eo_aqa"],
            task_manager=manager,
            evaluation_tracker=tracker,
            limit=1,
            bootstrap_iters=1,
        )
        assert results["config"]["tempo"]["pretrained"] == "embedded"
        tracker.save_results_aggregated(results)
        (written,) = tmp_path.rglob(f"{len(folders)}/**/results_*.json")
        folders.append(written.parent.name)
    assert folders == ["embedded"] * 3


def test_a_folder_called_embedded_is_meant_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_embedded("embedded")
    (tmp_path / "embedded").mkdir()
    assert not is_embedded("embedded")
    assert is_embedded(None)


def evaluate(model, tasks, **metadata):
    manager = TaskManager(include_defaults=False, include_path=task_yamls_dir(), metadata=metadata)
    return lm_eval.simple_evaluate(
        model=model, tasks=tasks, task_manager=manager, bootstrap_iters=1
    )


def test_it_hears(embedded):
    """Far above chance on a few clips; the null is 10 right of 40 at random (p < 1e-6 at 25)."""
    score = evaluate(embedded, ["tempo_synth_eo_aqa"], synth_scenes=40)["results"]
    assert score["tempo_synth_eo_aqa"]["acc,none"] * 40 >= 25
    assert score["tempo_synth_eo_aqa"]["parse_failure,none"] == 0


@pytest.mark.parametrize("layout", ["parquet", "csv"])
def test_a_folder_in_the_released_layout_runs(embedded, released_folder, layout):
    folder = released_folder(layout)
    results = evaluate(embedded, ["tempo_eo_aqa", "tempo_ld_silence_ll"], data=str(folder))
    metadata = results["configs"]["tempo_eo_aqa"]["metadata"]
    assert metadata["data_name"] == folder.name
    assert results["n-samples"]["tempo_eo_aqa"]["effective"] == 4


@pytest.mark.slow
def test_scores_lie_where_they_should():
    """The card's table: errors to study in every kind, nothing to be had without hearing."""
    model = LALM(batch_size=32)
    scores = evaluate(model, ["tempo_synth", "tempo_synth_aqa_ll"])["results"]
    accuracy = {name: score["acc,none"] for name, score in scores.items()}
    for kind, low, high in [(Kind.EO, 0.80, 0.95), (Kind.LO, 0.80, 0.95), (Kind.LD, 0.60, 0.90)]:
        aqa = accuracy[f"tempo_synth_{kind.value}_aqa"]
        assert low <= aqa <= high, kind
        assert 0.20 <= accuracy[f"tempo_synth_{kind.value}_silence"] <= 0.30, kind
        assert accuracy[f"tempo_synth_{kind.value}_cqa"] > 0.40, kind
        assert accuracy[f"tempo_synth_{kind.value}_acqa"] >= aqa - 0.03, kind
        # Generation and likelihood ask the same of a model that answers with a letter.
        assert abs(accuracy[f"tempo_synth_{kind.value}_aqa_ll"] - aqa) <= 0.01, kind

"""`attn_scale` among the model arguments."""

import json
from functools import cache

import lm_eval
import pytest
import torch
from lm_eval.tasks import TaskManager

from tempo_attn import AttnScaleConfig, AttnScaleModel
from tempo_attn.errors import ConfigError, OptionError
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.response_cache import identity_of
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.tiny import WEIGHTS_DIR


@cache
def manager():
    """Our tasks alone: the index of all others takes seconds to build."""
    return TaskManager(include_defaults=False, include_path=task_yamls_dir())


def evaluate(tasks, limit=8, model="lalm", **model_args):
    return lm_eval.simple_evaluate(
        model=model,
        model_args=model_args,
        tasks=tasks,
        limit=limit,
        batch_size=4,
        bootstrap_iters=0,
        task_manager=manager(),
    )


def answers(results):
    return {
        task: [sample["resps"] for sample in samples]
        for task, samples in results["samples"].items()
    }


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A saved edit that makes the embedded model deaf from the text rows on."""
    folder = tmp_path_factory.mktemp("edit")
    AttnScaleConfig(mode="knockout", layers="all", queries=["all_text"]).save_pretrained(folder)
    return folder


def test_the_edit_is_evaluated_and_recorded(shared):
    tasks = ["tempo_synth_eo_aqa", "tempo_synth_eo_aqa_ll"]
    plain = evaluate(tasks, limit=12)
    edited = evaluate(tasks, limit=12, attn_scale=str(shared))
    info = edited["config"]["tempo"]["attn_scale"]
    config = AttnScaleConfig.from_pretrained(shared)
    assert info["sha256"] == config.fingerprint()
    assert info["mode"] == "knockout"
    assert info["queries"] == ["all_text"]
    assert plain["config"]["tempo"]["attn_scale"] is None
    json.dumps(info)
    assert answers(plain) != answers(edited)
    for task in tasks:
        assert plain["results"][task]["acc,none"] > edited["results"][task]["acc,none"] + 0.2


def test_the_neutral_edit_changes_no_answer(tmp_path):
    AttnScaleConfig(strength=1.0, layers="all").save_pretrained(tmp_path)
    tasks = ["tempo_synth_lo_acqa"]
    assert answers(evaluate(tasks)) == answers(evaluate(tasks, attn_scale=str(tmp_path)))


@pytest.mark.parametrize("condition", ["aqa", "acqa"])
@pytest.mark.parametrize("kind", ["eo", "lo", "ld"])
def test_rows_of_every_task_are_found(kind, condition):
    """Keyword and option rows of our own prompts, in every task that has audio."""
    config = AttnScaleConfig(strength=1.5, layers=[0], queries=["keyword", "option", "last"])
    model = LALM(attn_scale=config, batch_size=4)
    evaluate([f"tempo_synth_{kind}_{condition}"], limit=4, model=model)
    status = model.model.status()
    assert status.prefills[0] == 1
    assert min(status.rows) >= 6  # the keyword, four options, the last token
    assert status.audio_tokens == (125,) * 4
    assert Condition(condition).has_audio


def test_tasks_without_audio_are_refused_or_run_unedited(shared):
    with pytest.raises(ValueError, match=r"2 requests have no audio.*_cqa"):
        evaluate(["tempo_synth_eo_cqa"], limit=2, attn_scale=str(shared))
    with pytest.warns(UserWarning, match="no audio positions"):
        lenient = evaluate(
            ["tempo_synth_eo_cqa"], limit=2, attn_scale=str(shared), attn_scale_missing="warn"
        )
    assert answers(lenient) == answers(evaluate(["tempo_synth_eo_cqa"], limit=2))


def test_a_continuation_of_several_tokens_is_scored_after_the_prompts_last_token(clips):
    """Teacher forcing must not move the edited row: the sum equals that of single steps."""
    config = AttnScaleConfig(strength=0.0, layers=[2, 4])
    model = LALM(attn_scale=config, batch_size=1)
    prompt = model.render("<audio>Which event has the latest offset?", clips[:1])
    whole = model.continuation(prompt, "Dog bark")
    assert len(whole) > 2
    (((total, _),),) = model._score([(prompt, clips[:1], whole[:-1], [whole])])
    inputs = model.inputs([prompt], [model.waves(clips[:1])])
    generated = 0.0
    with torch.inference_mode():
        output = model.model(**inputs, use_cache=True)
        for token in whole:
            logits = output.logits[0, -1].float().log_softmax(-1)
            generated += float(logits[token])
            output = model.model(
                input_ids=torch.tensor([[token]]), past_key_values=output.past_key_values
            )
    assert total == pytest.approx(generated, abs=1e-4)


def test_bad_arguments(tmp_path):
    with pytest.raises(ConfigError, match=r"attn_scale_config\.json"):
        LALM(attn_scale=str(tmp_path))
    with pytest.raises(OptionError, match=r"attn_scale_missing='maybe': expected"):
        LALM(attn_scale=AttnScaleConfig(strength=2.0), attn_scale_missing="maybe")
    with pytest.raises(ConfigError, match="6"):
        LALM(attn_scale=AttnScaleConfig(strength=2.0, layers=[6]))
    assert isinstance(LALM(attn_scale=AttnScaleConfig(strength=2.0)).model, AttnScaleModel)
    assert WEIGHTS_DIR.exists()


def test_a_shared_edit_is_fetched_once_and_recorded_by_its_name(shared, monkeypatch):
    """Once: to check it before the model is loaded; what was checked is then applied."""
    fetched = []
    load = AttnScaleConfig.from_pretrained

    def counted(name, **kwargs):
        fetched.append(name)
        return load(name, **kwargs)

    monkeypatch.setattr(AttnScaleConfig, "from_pretrained", counted)
    model = LALM(attn_scale=str(shared))
    assert fetched == [str(shared)]
    assert model.arguments["attn_scale"] == str(shared)
    assert identity_of(model)["arguments"]["attn_scale"] == str(shared)

"""Generated answers: thinking, blank lines, lengths, and arguments that are refused."""

import lm_eval
import pytest
import torch
from lm_eval.tasks import TaskManager

from tempo_tasks.errors import GenerationArgumentError, PromptError
from tempo_tasks.harness.generation_arguments import names_total, updated
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.stopping import AnswerRule, AnswerStops
from tempo_tasks.paths import task_yamls_dir

TASK = {"max_gen_toks": 8, "do_sample": False, "until": ["\n"]}
"""As the tasks': they end an answer at a line break."""


@pytest.fixture
def thinking(checkpoint):
    return LALM(str(checkpoint), think_end_token="</think>", max_thinking_toks=60, batch_size=4)


def say(model, clips, texts, gen_kwargs=TASK):
    """Let a model generate given texts: real `generate`, with the tokens allowed one by one.

    Returns:
        The answers, and how many tokens were generated.
    """
    eos = model.tokenizer.eos_token_id
    scripts = [[*model.tok_encode(text, add_special_tokens=False), eos] for text in texts]
    n_prompt, lengths = [], []

    def allowed(row, ids):
        n_prompt[:] = n_prompt or [len(ids)]
        lengths.append(len(ids) - n_prompt[0] + 1)
        script = scripts[row]
        at = len(ids) - n_prompt[0]
        return script[at : at + 1] or [eos]

    rows = [(model.render("<audio>Which?", [clips[1]]), [clips[1]]) for _ in texts]
    answers = model.generate_batch(rows, {**gen_kwargs, "prefix_allowed_tokens_fn": allowed})
    return answers, max(lengths)


def test_blank_lines_before_an_answer_are_skipped(lalm, clips):
    answers, _ = say(lalm, clips, ["\nB", "\n \n\n C. Rain\nBecause it", "D\nA", "A"])
    assert answers == ["B", "C. Rain", "D", "A"]


def test_generation_ends_with_the_answer(lalm, clips):
    text = "B\n" + "and so on " * 30
    answers, n_tokens = say(lalm, clips, [text], {**TASK, "max_gen_toks": 100})
    assert answers == ["B"]
    assert n_tokens == len(lalm.tok_encode("B\n", add_special_tokens=False))


def test_thinking_is_stripped_and_has_tokens_of_its_own(thinking, clips):
    texts = [
        "<think>\nA? No.\nC? No.\n</think>\n\nB",
        "</think>D\nSo it is.",
        "</think>" + "word " * 30,
        "C",  # without thinking: the turn ends
    ]
    answers, n_tokens = say(thinking, clips, texts)
    assert answers[:2] == ["B", "D"]
    assert answers[3] == "C"
    assert (
        len(thinking.tok_encode(answers[2], add_special_tokens=False)) <= TASK["max_gen_toks"] + 1
    )
    assert n_tokens > TASK["max_gen_toks"]


def test_unfinished_thinking_is_no_answer(thinking, clips):
    """Cut at the first line break it would be one: "B"."""
    (answer,), n_tokens = say(thinking, clips, ["B\n" + "hm " * 200])
    assert answer.startswith("B\nhm hm")
    assert n_tokens == 60 + TASK["max_gen_toks"]


def test_a_whole_length_bounds_thinking_and_answer(thinking, clips):
    gen_kwargs = {"max_new_tokens": 20, "do_sample": False, "until": ["\n"]}
    _, n_tokens = say(thinking, clips, ["hm " * 200], gen_kwargs)
    assert n_tokens == 20


@pytest.mark.parametrize("kind", ["text", "number", "special token"])
def test_what_ends_thinking_may_be_a_text_a_number_or_a_special_token(checkpoint, clips, kind):
    end = {"text": "stop thinking", "number": "87", "special token": "<|audio_eos|>"}[kind]
    model = LALM(str(checkpoint), think_end_token=end)
    said = model.tok_decode([87]) if kind == "number" else end
    answers, _ = say(model, clips, [f"A\n{said}\n\nB", "D"])
    assert answers == ["B", "D"]


def test_stop_sequences_and_ends_of_turns():
    rule = AnswerRule(
        decode=lambda tokens: "".join(map(chr, tokens)), until=["\n", ";"], ends_of_turn={0, 1}
    )
    read = lambda text: rule.read(list(map(ord, text)))  # noqa: E731
    assert read(" \n") == ("", False, False)
    assert read(" \nB; C\nD") == ("B", True, False)
    assert read("B\0C") == ("B", True, False)
    assert read("B") == ("B", False, False)


def test_rows_may_change_places():
    """As the candidates of a beam search do, about which it is asked at every step."""
    rule = AnswerRule(
        decode=lambda tokens: "".join(map(chr, tokens)), until=["\n"], ends_of_turn={0}
    )
    rows = torch.tensor([[5, *map(ord, "B\n")], [5, *map(ord, "so")]])
    stops = AnswerStops(rule, n_prompt=1)
    assert stops(rows, None).tolist() == [True, False]
    assert stops(rows.flip(0), None).tolist() == [False, True]


def test_a_turn_ends_by_any_of_its_tokens(thinking, clips, monkeypatch):
    """An answer without thinking is one, whichever of several tokens ends the turn."""
    stop = thinking.tok_encode("?", add_special_tokens=False)[0]
    eos = thinking.tokenizer.eos_token_id
    monkeypatch.setattr(thinking.model.generation_config, "eos_token_id", [eos, stop])
    answers, _ = say(thinking, clips, ["B\nWhy?"])
    assert answers == ["B"]


# ------------------------------------------------------------------------------ arguments


@pytest.mark.parametrize("name", ["max_new_tokens", "max_tokens", "max_completion_tokens"])
def test_a_users_length_takes_the_place_of_the_tasks(name):
    changed = updated({"max_gen_toks": 32, "until": ["\n"]}, {name: 512})
    assert changed == {name: 512, "until": ["\n"]}
    assert names_total(changed)
    assert not names_total(updated(changed, {"max_gen_toks": 64}))


@pytest.mark.parametrize(
    "arguments", [{"num_return_sequences": 2}, {"return_dict_in_generate": True}]
)
def test_arguments_that_answers_cannot_be_read_with(lalm, clips, arguments):
    with pytest.raises(GenerationArgumentError, match=f"{next(iter(arguments))}=.*: expected"):
        say(lalm, clips, ["A"], {**TASK, **arguments})


@pytest.fixture(scope="module")
def manager():
    return TaskManager(
        include_defaults=False, include_path=task_yamls_dir(), metadata={"synth_scenes": 4}
    )


def evaluate(model, manager, **settings):
    return lm_eval.simple_evaluate(
        model=model,
        tasks=["tempo_synth_eo_aqa"],
        task_manager=manager,
        bootstrap_iters=1,
        **settings,
    )


def test_gen_kwargs_reach_the_model_and_the_results(lalm, manager, monkeypatch):
    seen = []

    def generate_batch(batch, gen_kwargs):
        seen.append(gen_kwargs)
        return ["A"] * len(batch)

    monkeypatch.setattr(lalm, "generate_batch", generate_batch)
    results = evaluate(lalm, manager, gen_kwargs="max_new_tokens=512")
    assert seen[0]["max_new_tokens"] == 512
    assert "max_gen_toks" not in seen[0]
    kept = results["configs"]["tempo_synth_eo_aqa"]["generation_kwargs"]
    assert kept["max_new_tokens"] == 512


def test_several_answers_a_prompt_are_refused_before_anything_is_run(lalm, manager):
    with pytest.raises(GenerationArgumentError, match="num_return_sequences=2"):
        evaluate(lalm, manager, gen_kwargs="num_return_sequences=2")


def test_few_shot_is_refused(lalm, manager):
    with pytest.raises(PromptError, match="num_fewshot is 2, and tempo_synth_eo_aqa"):
        evaluate(lalm, manager, num_fewshot=2)
    results = evaluate(lalm, manager, num_fewshot=0)
    assert results["n-shot"]["tempo_synth_eo_aqa"] == 0


def test_thinking_is_recorded(thinking):
    info = thinking.get_model_info()["tempo"]
    assert info["think_end_token"] == "</think>"
    assert info["max_thinking_toks"] == 60


def test_cached_requests_are_those_of_their_generation_arguments(lalm, manager, monkeypatch):
    """`--cache_requests` keeps requests, and with them their arguments, by the task's name."""
    kept = {}
    monkeypatch.setattr(
        "lm_eval.api.task.load_from_cache", lambda file_name, cache: kept.get(file_name)
    )
    monkeypatch.setattr(
        "lm_eval.api.task.save_to_cache", lambda file_name, obj: kept.__setitem__(file_name, obj)
    )
    seen = []

    def generate_batch(batch, gen_kwargs):
        seen.append(gen_kwargs)
        return ["A"] * len(batch)

    monkeypatch.setattr(lalm, "generate_batch", generate_batch)
    sampled = "do_sample=True,temperature=3.5"
    for gen_kwargs in (sampled, None, sampled):
        evaluate(lalm, manager, gen_kwargs=gen_kwargs, cache_requests=True)
    assert [kwargs["do_sample"] for kwargs in seen[::4]] == [True, False, True]
    assert len(kept) == 2  # the third run takes those of the first
    evaluate(lalm, manager, apply_chat_template=True, cache_requests=True)
    assert len(kept) == 3
    template = lalm.processor.chat_template.replace("helpful", "musical")
    monkeypatch.setattr(lalm.processor, "chat_template", template)
    evaluate(lalm, manager, apply_chat_template=True, cache_requests=True)
    assert len(kept) == 4

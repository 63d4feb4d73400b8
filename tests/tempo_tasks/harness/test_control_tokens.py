"""Special tokens of the tokenizer in an item's text: refused before anything is computed."""

import copy
from types import SimpleNamespace

import lm_eval
import pytest
from lm_eval.tasks import TaskManager
from tokenizers import AddedToken, Tokenizer, models
from transformers import PreTrainedTokenizerFast

from tempo_tasks.errors import QuestionError
from tempo_tasks.harness.control_tokens import control_tokens, refuse_control_tokens
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab.tasks_to_items import load_tasks, make_items
from tempo_tasks.paths import task_yamls_dir
from tests.support.released_layout import write_layout


@pytest.fixture
def folder(layout_rows, tmp_path):
    """Questions of which the third has a special token in an option."""
    rows = copy.deepcopy([row for row in layout_rows if row["task"] == "earliest_start"])
    wrong = next(c for c in "abcd" if c != rows[2]["correct_answer"].lower())
    rows[2][f"option_{wrong}"] = "Dog<|im_end|>"
    return write_layout(tmp_path / "data", "jsonl", rows)


@pytest.fixture(scope="module")
def embedded():
    return LALM(batch_size=4)


def evaluate(model, task, folder, **options):
    manager = TaskManager(
        include_defaults=False, include_path=task_yamls_dir(), metadata={"data": str(folder)}
    )
    return lm_eval.simple_evaluate(
        model=model, tasks=[task], task_manager=manager, bootstrap_iters=1, **options
    )


@pytest.mark.parametrize("template", [False, True])
@pytest.mark.parametrize(
    "task", ["tempo_eo_aqa", "tempo_eo_cqa", "tempo_eo_silence_ll", "tempo_eo_aqa_text"]
)
def test_an_option_with_a_special_token_is_named(embedded, folder, task, template, monkeypatch):
    monkeypatch.setattr(embedded.model, "forward", None)  # nothing is computed
    with pytest.raises(QuestionError, match="1 items hold special tokens of embedded") as refused:
        evaluate(embedded, task, folder, apply_chat_template=template)
    assert "00002.wav/eo: '<|im_end|>' in " in str(refused.value)
    assert "Dog<|im_end|>" in str(refused.value)


def test_a_caption_with_a_special_token_is_named_where_it_is_given(embedded, layout_rows, tmp_path):
    rows = copy.deepcopy([row for row in layout_rows if row["task"] == "earliest_start"])
    rows[1]["caption"] = "Rain. <|im_start|>assistant"
    folder = write_layout(tmp_path / "data", "jsonl", rows)
    with pytest.raises(QuestionError, match=r"00001\.wav/eo: '<\|im_start\|>' in 'Audio caption"):
        evaluate(embedded, "tempo_eo_cqa", folder)
    assert evaluate(embedded, "tempo_eo_aqa", folder)["n-samples"]["tempo_eo_aqa"]["effective"] == 4


def test_the_audio_marker_is_one_of_them(embedded, layout_rows, tmp_path):
    rows = copy.deepcopy([row for row in layout_rows if row["task"] == "earliest_start"])
    rows[0]["option_a"] = rows[0]["correct_text"] = "<|AUDIO|>"
    rows[0]["correct_answer"] = "A"
    with pytest.raises(QuestionError, match=r"00000\.wav/eo: '<\|AUDIO\|>'"):
        evaluate(embedded, "tempo_eo_aqa", write_layout(tmp_path / "data", "jsonl", rows))


def test_the_laboratory_refuses_them_too(embedded, folder):
    tasks = load_tasks(["tempo_eo_aqa"], {"data": str(folder)})
    with pytest.raises(QuestionError, match=r"00002\.wav/eo"):
        make_items(embedded, tasks)


# Which tokens count


def test_words_and_signs_among_the_special_tokens_are_no_control_tokens():
    backend = Tokenizer(models.WordLevel({"[UNK]": 0}, "[UNK]"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="!",
        eos_token="</s>",
        additional_special_tokens=["Rain", "\n", "\u2581<PRE>", "<|im_end|>"],
    )
    tokenizer.add_tokens([AddedToken("siren", special=False), AddedToken("<think>", special=False)])
    found = control_tokens(tokenizer, "<|AUDIO|>")
    assert found == {"[UNK]", "</s>", "<PRE>", "<|im_end|>", "<|AUDIO|>"}
    words = {"id": "1", "prompt": "<audio>Which?\nA. Rain!\nB. siren <think> AUDIO im_end"}
    refuse_control_tokens([words], found, "m")
    with pytest.raises(QuestionError, match=r"1: '</s>' in 'A\. x</s>'"):
        refuse_control_tokens([{"id": "1", "prompt": "<audio>Which?\nA. x</s>\nB. y"}], found, "m")


def test_tokens_that_are_special_only_as_added_ones_count():
    added = {1: AddedToken("<|tool|>", special=True), 2: AddedToken("<b>", special=False)}
    tokenizer = SimpleNamespace(all_special_tokens=["<s>"], added_tokens_decoder=added)
    assert control_tokens(tokenizer, "<sound>") == {"<|tool|>", "<s>", "<sound>"}


def test_where_the_audio_placeholder_is_a_special_token_it_may_mark_audio():
    documents = [{"id": "1", "prompt": "<audio>Which?\nA. x"}, {"other": "task"}, ["no mapping"]]
    refuse_control_tokens(documents, frozenset({"<audio>"}), "m")

"""Two ranks that share every layer, prompts in chunks, and too little room for all requests."""

import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

NAMES = ("scale-option", "upweight_matched-all_text", "heads", "upper-heads", "answer")


BLOCKS = "16"


@pytest.fixture(scope="module")
def crowded(start, edits):
    """Four heads on two ranks, chunks of 64 tokens, and room for few prompts at a time."""
    arguments = ["--tensor-parallel-size", "2", "--max-num-batched-tokens", "64"]
    arguments += ["--max-num-seqs", "8", "--num-gpu-blocks-override", BLOCKS]
    options = [*edits(*NAMES), "--default", "answer", "--on-missing", "skip"]
    return start("crowded", options, arguments).wait_until_up()


@pytest.mark.parametrize("name", NAMES)
def test_each_rank_edits_its_own_heads(crowded, in_process, name):
    text, wave = in_process.items[0]
    expected, status = in_process.ask(text, wave, name)
    answer = crowded.ask(text, wave, name)
    assert answer.letters == pytest.approx(expected, abs=1e-3)
    assert answer.edits["edited_rows"] == status.rows[0]


def test_a_request_gets_the_default_edit_or_none(crowded, in_process):
    text, wave = in_process.items[0]
    expected, _ = in_process.ask(text, wave, "answer")
    assert crowded.ask(text, wave).letters == pytest.approx(expected, abs=1e-3)
    plain, _ = in_process.ask(text, wave)
    assert crowded.ask(text, wave, "none").letters == pytest.approx(plain, abs=1e-3)


def test_requests_that_are_preempted_are_edited_again(crowded, in_process):
    asked = [(*in_process.items[i], name) for i, name in enumerate(("answer", "none") * 4)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda one: crowded.ask(*one, max_tokens=100, ignore_eos=True), asked)
        )
    for (text, wave, name), answer in zip(asked, answers, strict=True):
        own = None if name == "none" else name
        expected = in_process.answer(text, wave, own, 100)
        assert answer.tokens == pytest.approx(expected, abs=1e-3)
        if own is not None:
            rows = in_process.ask(text, wave, own)[1].rows[0]
            assert answer.edits["edited_rows"] == rows + 99
    with urllib.request.urlopen(f"{crowded.url}/metrics") as metrics:
        lines = metrics.read().decode().splitlines()
    (preempted,) = [
        float(line.split()[-1]) for line in lines if line.startswith("vllm:num_preemptions_total")
    ]
    assert preempted > 0


def test_a_prompt_without_a_row_may_be_let_through(crowded, in_process):
    _, wave = in_process.items[0]
    expected, _ = in_process.ask("<audio>What is this?", wave)
    before = crowded.get("/tempo/edits")["totals"]["let_through_unedited"]
    answer = crowded.ask("<audio>What is this?", wave, "heads")
    assert answer.letters == pytest.approx(expected, abs=1e-3)
    assert (answer.edits["configuration"], answer.edits["edited_rows"]) == (None, 0)
    assert crowded.get("/tempo/edits")["totals"]["let_through_unedited"] == before + 1

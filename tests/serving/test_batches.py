"""Requests that run together, one after another, and again."""

from concurrent.futures import ThreadPoolExecutor

import pytest

MIXED = ["scale-option", None, "answer", "knockout-all_text", "heads", None, "answer-last", "none"]


def test_eight_at_once_are_as_one_at_a_time(server, in_process):
    asked = [(*in_process.items[i], edit) for i, edit in enumerate(MIXED)]
    alone = [server.ask(*one, max_tokens=6, ignore_eos=True) for one in asked]
    assert len({answer.prompt_tokens for answer in alone}) > 4
    for _ in range(3):
        with ThreadPoolExecutor(8) as pool:
            together = list(
                pool.map(lambda one: server.ask(*one, max_tokens=6, ignore_eos=True), asked)
            )
        for one, other in zip(alone, together, strict=True):
            assert other.tokens == pytest.approx(one.tokens, abs=1e-3)
            assert other.letters == pytest.approx(one.letters, abs=1e-3)
            for field in ("configuration", "edited_rows", "audio_keys", "layers"):
                assert other.edits[field] == one.edits[field]


def test_caches_are_not_shared_between_edits(server, in_process):
    text, wave = in_process.items[5]
    order = [None, "scale-option", None, "upweight-option", "scale-option", "none", "answer", None]
    answers = [(edit, server.ask(text, wave, edit).letters) for edit in order]
    for edit, letters in answers:
        expected, _ = in_process.ask(text, wave, None if edit == "none" else edit)
        assert letters == pytest.approx(expected, abs=1e-3), edit


def test_several_answers_to_one_prompt(server, in_process):
    text, wave = in_process.items[0]
    answer = server.ask(text, wave, "scale-option", n=3, temperature=1.0)
    _, status = in_process.ask(text, wave, "scale-option")
    assert answer.status == 200
    assert answer.edits["edited_rows"] == status.rows[0]

"""A server's log-probabilities are those of `apply_attn_scale` in process."""

import pytest

from tests.support.served_edits import CONFIGS

CLOSE = 1e-3


def test_the_plain_model_is_the_same(server, in_process):
    for text, wave in in_process.items[:4]:
        expected, _ = in_process.ask(text, wave)
        answer = server.ask(text, wave)
        assert answer.letters == pytest.approx(expected, abs=CLOSE)
        assert answer.edits["configuration"] is None
        assert answer.edits["edited_rows"] == 0


@pytest.mark.parametrize("name", CONFIGS)
def test_an_edit_is_the_same(server, in_process, name):
    for text, wave in in_process.items[:2]:
        expected, status = in_process.ask(text, wave, name)
        answer = server.ask(text, wave, name)
        assert answer.letters == pytest.approx(expected, abs=CLOSE)
        assert answer.edits["configuration"] == name
        assert answer.edits["audio_keys"] == status.audio_tokens[0] > 100
        assert answer.edits["edited_rows"] == status.rows[0] > 0
        assert tuple(answer.edits["layers"]) == status.layers


def test_an_edit_changes_something(server, in_process):
    text, wave = in_process.items[0]
    plain = server.ask(text, wave).letters
    moved = {
        name: max(
            abs(a - b) for a, b in zip(server.ask(text, wave, name).letters, plain, strict=True)
        )
        for name in ("scale-option", "knockout-last", "heads", "upper-heads", "identity")
    }
    assert moved.pop("identity") < CLOSE
    assert min(moved.values()) > 0.05, moved


@pytest.mark.parametrize("name", [None, "scale-option", "answer", "answer-last"])
def test_whole_answers_are_the_same(server, in_process, name):
    text, wave = in_process.items[1]
    expected = in_process.answer(text, wave, name, 8)
    answer = server.ask(text, wave, name, max_tokens=8, ignore_eos=True)
    assert answer.tokens == pytest.approx(expected, abs=CLOSE)
    _, status = in_process.ask(text, wave, name or "scale-last")
    in_answer = 7 if name in ("answer", "answer-last") else 0  # the last token is never a query
    if name is not None:
        assert answer.edits["edited_rows"] == status.rows[0] + in_answer

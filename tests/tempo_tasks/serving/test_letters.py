"""Letters among first tokens: which spelling counts, and what is no letter."""

import pytest

from tempo_tasks.errors import LogprobsError
from tempo_tasks.serving.completion import Completion
from tempo_tasks.serving.letters import letter_scores


def said(*tokens):
    return Completion(
        text="",
        finish="length",
        model="m",
        first_tokens=tokens,
        prompt_tokens=None,
        audio_tokens=None,
        completion_tokens=None,
    )


def test_one_spelling_is_taken_for_all_letters():
    """The likelier one of the two; a letter's other spelling is another token."""
    answer = said((" B", -0.1), ("A", -2.0), (" A", -3.0), ("B", -4.0))
    assert letter_scores(answer, "AB").answers == [(-3.0, False), (-0.1, True)]
    answer = said(("B", -0.1), (" A", -2.0), ("A", -3.0), (" B", -4.0))
    assert letter_scores(answer, [" A", " B"]).answers == [(-3.0, False), (-0.1, True)]


@pytest.mark.parametrize("written", ["\u2581{}", "\u0120{}", "\n{}"])
def test_blanks_of_vocabularies(written):
    answer = said((written.format("A"), -1.0), (written.format("B"), -2.0))
    assert letter_scores(answer, "AB").answers == [(-1.0, True), (-2.0, False)]


def test_greedy_is_the_likeliest_token_and_no_other():
    assert letter_scores(said(("The", -0.5), ("A", -1.0)), "A").answers == [(-1.0, False)]


@pytest.mark.parametrize("missing", ["error", "floor"])
def test_none_of_the_letters_is_listed(missing):
    with pytest.raises(LogprobsError, match="not among the 1 likeliest"):
        letter_scores(said(("The", -0.5)), "AB", missing=missing)


def test_no_log_probabilities():
    with pytest.raises(LogprobsError, match="gives no"):
        letter_scores(silent(), "AB")


def silent():
    answer = said()
    return Completion(**{**answer.__dict__, "first_tokens": None})

"""Which option an answer chooses: strict parsing of a text, or the highest log-probability."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tempo_tasks.questions import LETTERS

# "B", "B.", "B)", "(B)", "B:", "**B**" and so on, alone ...
_LETTER = re.compile(r"[\s(\[\"'*]*([A-Da-d])[\s)\].:,\"'*]*")
# ... or before an option's text.
_LETTER_AND_TEXT = re.compile(r"[\s(\[\"'*]*([A-Da-d])[)\].:,]\s*(\S.*)", re.DOTALL)


def parse_answer(text: str, options: Sequence[str]) -> str | None:
    """Return the letter that an answer states, or None.

    Args:
        text: The model's answer.
        options: The four options, in the order of the letters.
    """
    text = text.strip()
    if alone := _LETTER.fullmatch(text):
        return alone[1].upper()
    by_text = {_plain(option): letter for letter, option in zip(LETTERS, options, strict=True)}
    if len(by_text) == len(LETTERS) and _plain(text) in by_text:
        return by_text[_plain(text)]
    if both := _LETTER_AND_TEXT.fullmatch(text):
        letter = both[1].upper()
        # A letter with another option's text states two answers, so none.
        return letter if _plain(options[LETTERS.index(letter)]) == _plain(both[2]) else None
    return None


def _plain(text: str) -> str:
    return " ".join(text.split()).strip(" .\"'*").casefold()


def most_likely(results: Sequence[tuple[float, bool]]) -> list[str]:
    """Return the letters with the highest log-probability: one, or those that tie."""
    return highest([score for score, _ in results])


def most_likely_by_length(
    results: Sequence[tuple[float, bool]], options: Sequence[str]
) -> list[str]:
    """Return the letters with the highest log-probability a character of their option's text.

    Characters of the option alone, as lm-evaluation-harness counts them for its `acc_norm`.
    """
    return highest([score / len(text) for (score, _), text in zip(results, options, strict=True)])


def highest(scores: Sequence[float]) -> list[str]:
    """Return the letters with the highest score: one, or those that tie."""
    best = max(scores)
    return [letter for letter, score in zip(LETTERS, scores, strict=True) if score == best]


def only(letters: Sequence[str]) -> str | None:
    """Return the one letter; None where letters tie, which is no choice."""
    return letters[0] if len(letters) == 1 else None

"""Which option an answer chooses: strict parsing of a text, or the highest log-probability."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from functools import cache

from tempo_tasks.questions.spelling import normal_text

PARSER_VERSION = "tempo-parser-1"

# Full-width forms, as Chinese and Japanese models write them, to ASCII.
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_MARKS = r"\s\"'*_`“”‘’"  # blanks, quotes and emphasis say nothing
_BEFORE, _AFTER = rf"[{_MARKS}(\[「]*", rf"{_MARKS})\].:,。、」"


@cache
def _letter_patterns(n_options: int) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what matches a letter alone, and one before an option's text."""
    last = string.ascii_uppercase[n_options - 1]
    letter = f"([A-{last}a-{last.lower()}])"
    return (
        # "B", "B.", "B)", "(B)", "B:", "**B**" and so on, alone ...
        re.compile(rf"{_BEFORE}{letter}[{_AFTER}]*"),
        # ... or before an option's text.
        re.compile(rf"{_BEFORE}{letter}[{_AFTER}–—-]+(\S.*)", re.DOTALL),
    )


def parse_answer(text: str, options: Sequence[str]) -> str | None:
    """Return the letter that an answer states, or None.

    An answer is a letter, an option's text, or a letter before that option's text; nothing else
    may stand there but blanks, quotes, brackets, emphasis and punctuation. A lone letter is the
    letter, also where an option's text is another letter: letters are what is asked for.

    Args:
        text: The model's answer.
        options: The options, in the order of the letters; four but in other benchmarks' items.
    """
    text = text.translate(_NARROW).strip()
    lone, before_text = _letter_patterns(len(options))
    letters = string.ascii_uppercase
    if alone := lone.fullmatch(text):
        return alone[1].upper()
    readings = set()
    plain = [normal_text(option) for option in options]
    # Options that are the same but for their spelling are not chosen between by it.
    if (said := normal_text(text)) and plain.count(said) == 1 and len(set(plain)) == len(plain):
        readings.add(letters[plain.index(said)])
    if both := before_text.fullmatch(text):
        letter = both[1].upper()
        # A letter with another option's text states two answers, so none.
        if plain[letters.index(letter)] == normal_text(both[2]):
            readings.add(letter)
    return readings.pop() if len(readings) == 1 else None


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
    return [
        letter
        for letter, score in zip(string.ascii_uppercase, scores, strict=False)
        if score == best
    ]


def only(letters: Sequence[str]) -> str | None:
    """Return the one letter; None where letters tie, which is no choice."""
    return letters[0] if len(letters) == 1 else None

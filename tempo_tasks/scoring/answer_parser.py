"""Which option an answer chooses: strict parsing of a text, or the highest log-probability."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.questions.spelling import normal_text

# Full-width forms, as Chinese and Japanese models write them, to ASCII.
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_MARKS = r"\s\"'*_`“”‘’"  # blanks, quotes and emphasis say nothing
_BEFORE, _AFTER = rf"[{_MARKS}(\[「]*", rf"{_MARKS})\].:,。、」"
# "B", "B.", "B)", "(B)", "B:", "**B**" and so on, alone ...
_LETTER = re.compile(rf"{_BEFORE}([A-Da-d])[{_AFTER}]*")
# ... or before an option's text.
_LETTER_AND_TEXT = re.compile(rf"{_BEFORE}([A-Da-d])[{_AFTER}–—-]+(\S.*)", re.DOTALL)


def parse_answer(text: str, options: Sequence[str]) -> str | None:
    """Return the letter that an answer states, or None.

    An answer is a letter, an option's text, or a letter before that option's text; nothing else
    may stand there but blanks, quotes, brackets, emphasis and punctuation. A lone letter is the
    letter, also where an option's text is another letter: letters are what is asked for.

    Args:
        text: The model's answer.
        options: The four options, in the order of the letters.
    """
    text = text.translate(_NARROW).strip()
    if alone := _LETTER.fullmatch(text):
        return alone[1].upper()
    readings = set()
    plain = [normal_text(option) for option in options]
    # Options that are the same but for their spelling are not chosen between by it.
    if (said := normal_text(text)) and plain.count(said) == 1 and len(set(plain)) == len(plain):
        readings.add(LETTERS[plain.index(said)])
    if both := _LETTER_AND_TEXT.fullmatch(text):
        letter = both[1].upper()
        # A letter with another option's text states two answers, so none.
        if plain[LETTERS.index(letter)] == normal_text(both[2]):
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
    return [letter for letter, score in zip(LETTERS, scores, strict=True) if score == best]


def only(letters: Sequence[str]) -> str | None:
    """Return the one letter; None where letters tie, which is no choice."""
    return letters[0] if len(letters) == 1 else None

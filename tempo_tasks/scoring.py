"""From a model's answer to numbers: strict parsing, accuracy, accuracy for each letter.

An answer is the letter, or the exact text of an option; anything else is a parse failure and
counts as wrong. Nothing is guessed: extraction rules alone move published scores by ten points.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tempo_tasks.questions import LETTERS
from tempo_tasks.stats import clustered_standard_error

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
        return letter if by_text.get(_plain(both[2])) == letter else None
    return None


def _plain(text: str) -> str:
    return " ".join(text.split()).strip(" .\"'*").casefold()


def generation_metrics(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Score one generated answer (`process_results` of the generation tasks)."""
    letter = parse_answer(results[0], doc["options"])
    return _metrics(doc, float(letter == doc["answer"])) | {"parse_failure": float(letter is None)}


def likelihood_metrics(
    doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]
) -> dict[str, Any]:
    """Score the four letters' log-probabilities (`process_results` of the `_ll` tasks)."""
    scores = [score for score, _ in results]
    best = [name for name, score in zip(LETTERS, scores, strict=True) if score == max(scores)]
    # Letters that tie, as they can in bfloat16, share the credit: none is picked by its place.
    return _metrics(doc, (doc["answer"] in best) / len(best))


def _metrics(doc: Mapping[str, Any], correct: float) -> dict[str, Any]:
    by_letter = {f"acc_{name.lower()}": (doc["answer"], correct) for name in LETTERS}
    # lm-eval names the error of `acc` `acc_stderr` and knows none that is clustered; a metric of
    # that very name, after `acc`, puts ours in its place.
    return {"acc": correct, "acc_stderr": (doc["clip"], correct), **by_letter}


def clustered_stderr(items: Sequence[tuple[str, float]]) -> float | str:
    """Aggregate (clip, correct) pairs to the standard error clustered by clip.

    "N/A", as lm-eval writes it, with fewer than two clips: NaN is no JSON.
    """
    clusters, values = zip(*items, strict=True)
    error = clustered_standard_error(values, clusters)
    return "N/A" if math.isnan(error) else error


def _mean_of(items: Sequence[tuple[str, float]], letter: str) -> float | str:
    values = [correct for answer, correct in items if answer == letter]
    return sum(values) / len(values) if values else "N/A"


def mean_a(items: Sequence[tuple[str, float]]) -> float | str:
    """Accuracy on the items whose right letter is A; "N/A" without any."""
    return _mean_of(items, "A")


def mean_b(items: Sequence[tuple[str, float]]) -> float | str:
    """Accuracy on the items whose right letter is B; "N/A" without any."""
    return _mean_of(items, "B")


def mean_c(items: Sequence[tuple[str, float]]) -> float | str:
    """Accuracy on the items whose right letter is C; "N/A" without any."""
    return _mean_of(items, "C")


def mean_d(items: Sequence[tuple[str, float]]) -> float | str:
    """Accuracy on the items whose right letter is D; "N/A" without any."""
    return _mean_of(items, "D")

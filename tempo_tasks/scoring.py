"""From a model's answer to numbers: strict parsing, accuracy, accuracy for each letter, pairs.

An answer is the letter, or the exact text of an option; anything else is a parse failure and
counts as wrong. Nothing is guessed: extraction rules alone move published scores by ten points.

The mirror tasks have metrics over pairs of documents, a question and its mirrored twin: did the
answer move with the events, or stay where it was? A document whose partner was not asked
(`--limit` cut the pair) counts in neither.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

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
    best = most_likely(results)
    # Letters that tie, as they can in bfloat16, share the credit: none is picked by its place.
    return _metrics(doc, (doc["answer"] in best) / len(best))


def most_likely(results: Sequence[tuple[float, bool]]) -> list[str]:
    """Return the letters with the highest log-probability: one, or those that tie."""
    scores = [score for score, _ in results]
    return [name for name, score in zip(LETTERS, scores, strict=True) if score == max(scores)]


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


# Pairs


class Answer(NamedTuple):
    """One document's share in the metrics of its pair.

    Attributes:
        pair: The pair's name.
        clip: The cluster of the standard error.
        given: The letter that the model chose; None for a parse failure or a tie.
        right: The right letter.
    """

    pair: str
    clip: str
    given: str | None
    right: str


class NotAvailable(str):
    """The text "N/A", whatever is added to it: lm-eval sums and divides a group's values."""

    def _itself(self, other: object) -> NotAvailable:
        return self

    __add__ = __radd__ = __mul__ = __rmul__ = __truediv__ = _itself


_NOT_AVAILABLE = NotAvailable("N/A")


def mirror_generation_metrics(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Score one generated answer (`process_results` of the mirror tasks by generation)."""
    given = parse_answer(results[0], doc["options"])
    return generation_metrics(doc, results) | _pair_metrics(doc, given)


def mirror_likelihood_metrics(
    doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]
) -> dict[str, Any]:
    """Score the letters' log-probabilities (`process_results` of the `_mirror_ll` tasks)."""
    best = most_likely(results)
    return likelihood_metrics(doc, results) | _pair_metrics(
        doc, best[0] if len(best) == 1 else None
    )


def _pair_metrics(doc: Mapping[str, Any], given: str | None) -> dict[str, Any]:
    answer = Answer(doc["pair"], doc["clip"], given, doc["answer"])
    # Each error after its metric, whose own error by lm-eval it replaces: see `_metrics`.
    names = ("swap_consistency", "same_answer")
    return {name + tail: answer for name in names for tail in ("", "_stderr")}


def swap_consistency(answers: Sequence[Answer]) -> float | str:
    """Share of pairs with both answers right: the answer went from the one event to the other.

    1/16 for independent guesses, 0 for one that does not depend on the audio; "N/A" without pairs.
    """
    return _mean(_of_pairs(answers, _both_right))


def swap_consistency_stderr(answers: Sequence[Answer]) -> float | str:
    """Standard error of `swap_consistency`, clustered by clip; "N/A" with fewer than two clips."""
    return _error(_of_pairs(answers, _both_right))


def same_answer(answers: Sequence[Answer]) -> float | str:
    """Share of pairs with the same option chosen twice; parse failures and ties choose none.

    1/4 for independent guesses, 1 for an answer that does not depend on the audio; "N/A" without
    pairs.
    """
    return _mean(_of_pairs(answers, _same))


def same_answer_stderr(answers: Sequence[Answer]) -> float | str:
    """Standard error of `same_answer`, clustered by clip; "N/A" with fewer than two clips."""
    return _error(_of_pairs(answers, _same))


def _both_right(one: Answer, other: Answer) -> bool:
    return one.given == one.right and other.given == other.right


def _same(one: Answer, other: Answer) -> bool:
    return one.given is not None and one.given == other.given


def _of_pairs(
    answers: Sequence[Answer], holds: Callable[[Answer, Answer], bool]
) -> list[tuple[str, float]]:
    """Return (clip, 1.0 or 0.0) for each whole pair."""
    by_pair: dict[str, list[Answer]] = defaultdict(list)
    # Several processes hand over plain tuples, in the order of their ranks.
    for answer in map(Answer._make, answers):
        by_pair[answer.pair].append(answer)
    return [(found[0].clip, float(holds(*found))) for found in by_pair.values() if len(found) == 2]


def _mean(values: Sequence[tuple[str, float]]) -> float | str:
    return sum(value for _, value in values) / len(values) if values else _NOT_AVAILABLE


def _error(values: Sequence[tuple[str, float]]) -> float | str:
    return clustered_stderr(values) if values else "N/A"

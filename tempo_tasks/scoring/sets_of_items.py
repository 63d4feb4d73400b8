"""Metrics over documents that belong together: mirrored pairs, rotations, quartets.

Each asks the same thing of all members of a set: does it hold for every one of them at once? A set
that `--limit` cut counts in none. Answers that choose no option (parse failures, ties of letters)
are never right here and never the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.scoring.answer_parser import most_likely, only, parse_answer
from tempo_tasks.scoring.item_metrics import (
    cluster_of,
    clustered_stderr,
    generation_metrics,
    likelihood_metrics,
    mean_of,
)


class Answer(NamedTuple):
    """One document's share in the metrics of its set.

    Attributes:
        of: The set's name; empty for a document on its own.
        cluster: The cluster of the standard error.
        given: What the model chose; None for a parse failure or a tie.
        right: What is right.
    """

    of: str
    cluster: str
    given: str | None
    right: str


def _values(answer: Answer, *names: str) -> dict[str, Any]:
    # Each error after its metric, whose own error by lm-eval it replaces: see `item_metrics`.
    return {name + tail: answer for name in names for tail in ("", "_stderr")}


def _generated(doc: Mapping[str, Any], results: Sequence[str]) -> str | None:
    return parse_answer(results[0], doc["options"])


def _likeliest(results: Sequence[tuple[float, bool]]) -> str | None:
    return only(most_likely(results))


def _sets(
    answers: Iterable[Sequence[Any]], size: int, holds: Callable[[Sequence[Answer]], bool]
) -> list[tuple[str, float]]:
    """Return (cluster, 1.0 or 0.0) for each whole set."""
    members: dict[str, list[Answer]] = defaultdict(list)
    # Several processes hand over plain tuples, in the order of their ranks.
    for answer in map(Answer._make, answers):
        if answer.of:
            members[answer.of].append(answer)
    return [
        (found[0].cluster, float(holds(found))) for found in members.values() if len(found) == size
    ]


def _all_right(answers: Sequence[Answer]) -> bool:
    return all(answer.given == answer.right for answer in answers)


def _all_same(answers: Sequence[Answer]) -> bool:
    first = answers[0].given
    return first is not None and all(answer.given == first for answer in answers)


# Mirrored pairs: did the answer move with the events, or stay where it was?


def mirror_generation_metrics(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Score one generated answer (`process_results` of the mirror tasks by generation)."""
    return generation_metrics(doc, results) | _mirrored(doc, _generated(doc, results))


def mirror_likelihood_metrics(
    doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]
) -> dict[str, Any]:
    """Score the letters' log-probabilities (`process_results` of the `_mirror_ll` tasks)."""
    return likelihood_metrics(doc, results) | _mirrored(doc, _likeliest(results))


def _mirrored(doc: Mapping[str, Any], given: str | None) -> dict[str, Any]:
    answer = Answer(doc["pair"], cluster_of(doc), given, doc["answer"])
    return _values(answer, "swap_consistency", "same_answer")


def swap_consistency(answers: Sequence[Answer]) -> float | str:
    """Share of pairs with both answers right: the answer went from the one event to the other.

    1/16 for independent guesses, 0 for one that does not depend on the audio; "N/A" without pairs.
    """
    return mean_of(_sets(answers, 2, _all_right))


def swap_consistency_stderr(answers: Sequence[Answer]) -> float | str:
    """Standard error of `swap_consistency`, clustered; "N/A" with fewer than two clusters."""
    return clustered_stderr(_sets(answers, 2, _all_right))


def same_answer(answers: Sequence[Answer]) -> float | str:
    """Share of pairs with the same option chosen twice; parse failures and ties choose none.

    1/4 for independent guesses, 1 for an answer that does not depend on the audio; "N/A" without
    pairs.
    """
    return mean_of(_sets(answers, 2, _all_same))


def same_answer_stderr(answers: Sequence[Answer]) -> float | str:
    """Standard error of `same_answer`, clustered; "N/A" with fewer than two clusters."""
    return clustered_stderr(_sets(answers, 2, _all_same))


# Rotations: is it the option that is chosen, or its place?


def rotation_generation_metrics(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Score one generated answer (`process_results` of the `_rot` tasks)."""
    values = generation_metrics(doc, results)
    return values | _rotated(doc, _generated(doc, results), values["acc"])


def rotation_likelihood_metrics(
    doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]
) -> dict[str, Any]:
    """Score the letters' log-probabilities (`process_results` of the `_rot_ll` tasks)."""
    values = likelihood_metrics(doc, results)
    return values | _rotated(doc, _likeliest(results), values["acc"])


def _rotated(doc: Mapping[str, Any], given: str | None, correct: float) -> dict[str, Any]:
    texts = dict(zip(LETTERS, doc["options"], strict=True))
    chosen = None if given is None else texts[given]
    answer = Answer(doc["id"], cluster_of(doc), chosen, texts[doc["answer"]])
    return {
        **_values(answer, "consistency", "acc_all"),
        "letter_bias": (doc["answer"], correct),
    }


def consistency(answers: Sequence[Answer]) -> float | str:
    """Share of questions whose chosen option is the same in all four rotations, right or wrong.

    1/64 for independent guesses, 0 for one letter whatever is asked, 1 for an answer that goes by
    the options' texts alone. "N/A" without a question that was asked in all four.
    """
    return mean_of(_sets(answers, 4, _all_same))


def consistency_stderr(answers: Sequence[Answer]) -> float | str:
    """Standard error of `consistency`, clustered; "N/A" with fewer than two clusters."""
    return clustered_stderr(_sets(answers, 4, _all_same))


def acc_all(answers: Sequence[Answer]) -> float | str:
    """Share of questions answered right in all four rotations ("circular evaluation").

    MMBench (arXiv 2307.06281). 1/256 for independent guesses, 0 for one letter whatever is asked,
    1/4 for a guess that stays with its option.
    """
    return mean_of(_sets(answers, 4, _all_right))


def acc_all_stderr(answers: Sequence[Answer]) -> float | str:
    """Standard error of `acc_all`, clustered; "N/A" with fewer than two clusters."""
    return clustered_stderr(_sets(answers, 4, _all_right))


# Quartets: the same prompt about four scenes with four different answers.


def quartet_generation_metrics(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Score one generated answer (`process_results` of the hard tasks by generation)."""
    return generation_metrics(doc, results) | _quartet(doc, _generated(doc, results))


def quartet_likelihood_metrics(
    doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]
) -> dict[str, Any]:
    """Score the letters' log-probabilities (`process_results` of the hard `_ll` tasks)."""
    return likelihood_metrics(doc, results) | _quartet(doc, _likeliest(results))


def _quartet(doc: Mapping[str, Any], given: str | None) -> dict[str, Any]:
    answer = Answer(doc.get("group") or "", cluster_of(doc), given, doc["answer"])
    return _values(answer, "acc_quartet")


def acc_quartet(answers: Sequence[Answer]) -> float | str:
    """Share of quartets with all four answers right.

    1/256 for independent guesses, 0 for an answer that does not depend on the audio; "N/A" in a set
    without quartets.
    """
    return mean_of(_sets(answers, 4, _all_right))


def acc_quartet_stderr(answers: Sequence[Answer]) -> float | str:
    """Standard error of `acc_quartet`, clustered; "N/A" with fewer than two quartets."""
    return clustered_stderr(_sets(answers, 4, _all_right))

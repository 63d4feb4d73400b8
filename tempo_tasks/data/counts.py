"""Counts of a set of questions, by kind: what a manifest and `tempo data info` show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tempo_tasks.questions.questions import LETTERS, Kind, Question


def count_kinds(questions: Iterable[Question]) -> dict[str, dict[str, Any]]:
    """Return, for each kind that occurs, plain JSON counts.

    `questions`, `clips`, `letters` (how often each is right), `in_clip` (questions by how many
    options occur in the clip; left out where that is not known), `labels` (that occur among the
    options) and `right_labels` (that are right somewhere).
    """
    of_kind: dict[Kind, list[Question]] = {kind: [] for kind in Kind}
    for question in questions:
        of_kind[question.kind].append(question)
    return {kind.value: _count(found) for kind, found in of_kind.items() if found}


def _count(questions: list[Question]) -> dict[str, Any]:
    letters = Counter(question.answer for question in questions)
    present = Counter(question.n_present for question in questions)
    known = {} if None in present else {str(n): present[n] for n in range(1, 5)}
    return {
        "questions": len(questions),
        "clips": len({question.clip_id for question in questions}),
        "letters": {letter: letters[letter] for letter in LETTERS},
        **({"in_clip": known} if known else {}),
        "labels": len({label for question in questions for label in question.options}),
        "right_labels": len({question.answer_text for question in questions}),
    }

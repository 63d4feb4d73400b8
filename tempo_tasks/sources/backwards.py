"""Mirrored twins of recorded clips, whose intervals are not known: the recording played backwards.

What starts earliest backwards is what ends latest forwards. So the right answer about the twin of
an EO question is that of the same clip's LO question, and the other way round.
"""

from __future__ import annotations

from collections import defaultdict

from tempo_tasks.audio import reversed_handle
from tempo_tasks.questions.mirror import MirrorSet, mirror_set
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Question

FORM = "time-reversed audio"


def play_backwards(asked: QuestionSet, other: QuestionSet) -> MirrorSet:
    """Return the questions of a released set beside their twins.

    Args:
        asked: EO or LO questions.
        other: Those of the opposite kind, on the same clips. A question whose clip has none, or
            several that disagree, is left out.

    Raises:
        NoMirrorError: No question has a twin.
    """
    answers: dict[str, set[str]] = defaultdict(set)
    for question in other.questions:
        answers[question.clip_id].add(question.answer_text)

    def twin_label(question: Question) -> str | None:
        found = answers.get(question.clip_id, set())
        return next(iter(found)) if len(found) == 1 else None

    twins = {clip_id: reversed_handle(handle) for clip_id, handle in asked.audio.items()}
    return mirror_set(asked, twin_label, twins, FORM)

"""What a source gives to the tasks: questions with their clips' audio and captions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tempo_tasks.questions import Question


@dataclass(frozen=True)
class QuestionSet:
    """Questions of one kind and what is needed to pose them.

    Attributes:
        name: What a reader of the results should see: data set, version or revision.
        questions: In the order in which they are asked.
        audio: Lazy handle of each clip (see `tempo_tasks.audio`).
        captions: Caption of each clip that has one.
        fingerprint: SHA-256 over questions, captions and audio content.
    """

    name: str
    questions: tuple[Question, ...]
    audio: Mapping[str, Mapping[str, Any]]
    captions: Mapping[str, str]
    fingerprint: str

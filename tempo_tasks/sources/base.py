"""What a source gives to the tasks: questions with their clips' audio and captions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
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

    @classmethod
    def build(
        cls,
        name: str,
        questions: Sequence[Question],
        audio: Mapping[str, Mapping[str, Any]],
        captions: Mapping[str, str],
    ) -> QuestionSet:
        """Put a set together and compute its fingerprint.

        Args:
            name: What a reader of the results should see.
            questions: In the order in which they are asked.
            audio: Lazy handle of each clip, with its `sha256`.
            captions: Caption of each clip that has one.
        """
        return cls(
            name, tuple(questions), audio, captions, set_fingerprint(questions, audio, captions)
        )


def set_fingerprint(
    questions: Sequence[Question],
    audio: Mapping[str, Mapping[str, Any]],
    captions: Mapping[str, str],
) -> str:
    """Return the SHA-256 of all that a set poses, whatever the order of its rows.

    Where the audio lies does not count, what it contains does.
    """
    rows: list[Any] = [question.to_dict() for question in questions]
    rows += [
        [clip_id, audio[clip_id]["sha256"], captions.get(clip_id)]
        for clip_id in {question.clip_id for question in questions}
    ]
    lines = sorted(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

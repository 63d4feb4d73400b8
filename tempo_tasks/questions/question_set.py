"""What a source gives to the tasks: questions with their clips' audio and captions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.questions import Question


@dataclass(frozen=True)
class QuestionSet:
    """Questions of one kind and what is needed to pose them.

    Attributes:
        name: What a reader of the results should see: data set, version or revision.
        questions: The questions, in the order in which they are asked.
        audio: Lazy handle of each clip (a `tempo_tasks.audio.Handle`, which is not imported here:
            questions know no files).
        captions: Caption of each clip that has one.
        clips: Events of each clip whose intervals are known. They pose nothing: they only tell
            what an item asks of a listener (see `tempo_tasks.questions.strata`).
    """

    name: str
    questions: tuple[Question, ...]
    audio: Mapping[str, Any]
    captions: Mapping[str, str]
    clips: Mapping[str, Clip] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that the set poses, whatever the order of its rows.

        Questions, captions and audio content count; where the audio lies does not.
        """
        rows: list[Any] = [question.to_dict() for question in self.questions]
        for clip_id in {question.clip_id for question in self.questions}:
            handle = self.audio[clip_id]
            row = [clip_id, handle["sha256"], self.captions.get(clip_id)]
            # Nothing is added to the others: their fingerprints stay what they were.
            rows.append([*row, "reversed"] if handle.get("reversed") else row)
        lines = sorted(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

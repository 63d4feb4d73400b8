"""What the model is given: AQA, CQA, ACQA, silence (arXiv 2606.17417, section 2) and the mirror.

One function turns a question into a prompt. The paper does not print its prompt, so ours is an
explicit, versioned template that is recorded with the results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_tasks.errors import MissingCaptionError, QuestionError
from tempo_tasks.questions import LETTERS, Question

PROMPT_VERSION = "tempo-prompt-1"
INSTRUCTION = "Answer with the option's letter from the given choices directly."


class Condition(str, Enum):
    """What stands beside the question; the value is the task-name part."""

    AQA = "aqa"
    CQA = "cqa"
    ACQA = "acqa"
    SILENCE = "silence"
    MIRROR = "mirror"

    @property
    def has_audio(self) -> bool:
        """Whether a waveform (the clip's, its mirrored twin's, or zeros) is given."""
        return self is not Condition.CQA

    @property
    def has_caption(self) -> bool:
        """Whether the clip's caption is given."""
        return self in (Condition.CQA, Condition.ACQA)


# The conditions of the benchmark's groups. The mirror has groups of its own: it has no LD task, and
# its tasks hold the plain question beside the mirrored one.
SUITE = (Condition.AQA, Condition.CQA, Condition.ACQA, Condition.SILENCE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One user turn, before any model's chat template.

    Attributes:
        text: The turn, with `<audio>` where the waveform stands.
        audio: Lazy handles, one for each placeholder (none or one).
    """

    text: str
    audio: tuple[Mapping[str, Any], ...]


def make_prompt(
    question: Question,
    condition: Condition,
    *,
    audio: Mapping[str, Any] | None = None,
    caption: str | None = None,
) -> Prompt:
    """Turn a question into a prompt under a condition.

    Args:
        question: What is asked.
        condition: AQA gives the audio, CQA the caption, ACQA both, silence zeros of the audio's
            length, mirror the audio of the clip's mirrored twin (see `tempo_tasks.mirror`).
        audio: The clip's lazy handle, for mirror its twin's; needed by all conditions but CQA.
        caption: The clip's caption; needed by CQA and ACQA.

    Raises:
        MissingCaptionError: CQA or ACQA without a caption.
        QuestionError: Audio is missing, or a text holds the audio placeholder.
    """
    lines = []
    if condition.has_caption:
        if not (caption and caption.strip()):
            raise MissingCaptionError(
                f"{question.id}: condition {condition.value} needs a caption and the clip has "
                "none; give the data a `caption` column or run the aqa and silence tasks"
            )
        lines.append(f"Audio caption: {caption.strip()}")
    lines.append(question.text)
    lines += [
        f"{letter}. {option}" for letter, option in zip(LETTERS, question.options, strict=True)
    ]
    lines.append(INSTRUCTION)
    text = "\n".join(lines)
    if AUDIO_PLACEHOLDER in text:
        raise QuestionError(f"{question.id}: caption or options hold {AUDIO_PLACEHOLDER!r}")
    if not condition.has_audio:
        return Prompt(text, ())
    if audio is None:
        raise QuestionError(f"{question.id}: condition {condition.value} needs the clip's audio")
    handle = {**audio, "silence": condition is Condition.SILENCE}
    return Prompt(AUDIO_PLACEHOLDER + text, (handle,))

"""What the model is given: AQA, CQA, ACQA, silence (arXiv 2606.17417, section 2) and the mirror."""

from __future__ import annotations

from enum import Enum


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

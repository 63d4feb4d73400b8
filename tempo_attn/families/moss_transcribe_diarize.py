"""MOSS-Transcribe-Diarize: Whisper-like encoder, four frames in one position, Qwen3 decoder.

Its processor writes the seconds, as digits, between the positions of an audio; they are text.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tempo_attn.families.generic import Generic


class MossTranscribeDiarize(Generic):
    """MOSS-Transcribe-Diarize; 12.5 positions a second. It is made to transcribe, not to answer."""

    name = "moss-transcribe-diarize"
    model_types: ClassVar[tuple[str, ...]] = ("moss_transcribe_diarize",)

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`; audio is heard in windows of 30 s, and ten minutes are many."""
        return 600.0

"""Audio Flamingo 3 and Music Flamingo: one `<sound>` position for 40 ms, in windows of 30 s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import AutoModelForSeq2SeqLM

from tempo_attn.families.base import Family
from tempo_attn.families.shared.audio_lengths import encoder_tokens, windowed_frames
from tempo_attn.families.shared.one_audio_each import process_one_audio_each
from tempo_attn.families.shared.processors import Wave


class AudioFlamingo(Family):
    """Audio Flamingo 3 (arXiv 2507.08128), Music Flamingo (arXiv 2511.10289)."""

    name = "audio-flamingo"
    model_types = ("audioflamingo3", "musicflamingo")
    # They are missing from AutoModelForMultimodalLM.
    auto_class = AutoModelForSeq2SeqLM

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`; longer audio is heard in several windows of 30 s."""
        return float(processor.max_audio_len)

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""
        return process_one_audio_each(self, processor, prompts, waves)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`: counted over all windows' mel frames together."""
        return encoder_tokens(windowed_frames(processor, n_samples))

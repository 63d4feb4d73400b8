"""Qwen3-ASR: Qwen3-Omni's audio encoder, 13 positions a second, and a Qwen3 decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tempo_attn.families.base import Family
from tempo_attn.families.shared.audio_lengths import qwen3_encoder_tokens
from tempo_attn.families.shared.one_audio_each import process_one_audio_each
from tempo_attn.families.shared.processors import Wave


class Qwen3Asr(Family):
    """Qwen3-ASR (arXiv 2601.21337)."""

    name = "qwen3-asr"
    model_types = ("qwen3_asr",)

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""
        # Else a clip's last frame would depend on the other clips of the batch.
        hop = processor.feature_extractor.hop_length
        return process_one_audio_each(self, processor, prompts, waves, pad_to_multiple_of=hop)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`."""
        extractor = processor.feature_extractor
        # Very short clips are filled up with zeros, which count.
        n_samples = max(n_samples, int(extractor.min_length))
        return qwen3_encoder_tokens(-(-n_samples // extractor.hop_length))

"""Gemma 4 without encoders: 40 ms of samples are projected to one position, nothing else."""

from __future__ import annotations

from typing import Any

from tempo_attn.families.gemma4 import Gemma4
from tempo_attn.families.shared.audio_half import load_audio_half, young_class


class Gemma4Unified(Gemma4):
    """Gemma 4's unified models; their decoders are as Gemma 4's."""

    name = "gemma-4-unified"
    model_types = ("gemma4_unified",)

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`: without images and video."""
        return load_audio_half(young_class("Gemma4UnifiedProcessor"), pretrained, **kwargs)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`."""
        return -(-n_samples // int(processor.feature_extractor.audio_samples_per_token))

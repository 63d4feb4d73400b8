"""Gemma 4: USM encoder; a decoder with sliding windows and shared keys and values.

A layer with a sliding window can only see, and so only be edited on, audio within its window
(512 positions); full-attention layers see all of it.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families.base import Family
from tempo_attn.families.shared.audio_half import load_audio_half, young_class
from tempo_attn.families.shared.processors import where

_WINDOW = 30.0  # the extractor cuts what is longer, and does not say so


class Gemma4(Family):
    """Gemma 4's models with an audio encoder; one position for 40 ms."""

    name = "gemma-4"
    model_types = ("gemma4",)

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`: without images and video."""
        return load_audio_half(young_class("Gemma4Processor"), pretrained, **kwargs)

    def check_model(self, model: nn.Module) -> None:
        """See `Family.check_model`; larger models of the family hear nothing."""
        self._require_ears(model.config)

    def check(self, config: Any, processor: Any) -> None:
        """See `Family.check`."""
        self._require_ears(config)
        super().check(config, processor)

    def _require_ears(self, config: Any) -> None:
        if getattr(config, "audio_config", None) is None:
            raise UnsupportedModelError(
                f"{where(config)}: this Gemma 4 model has no audio encoder (its configuration has "
                "no audio_config); use one that hears"
            )

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`."""
        return _WINDOW

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`: frames whose last sample is real, halved twice."""
        extractor = processor.feature_extractor
        frame = int(extractor.frame_length)
        frames = max(0, (n_samples + frame // 2 - frame - 1) // int(extractor.hop_length) + 1)
        return -(-frames // 4)

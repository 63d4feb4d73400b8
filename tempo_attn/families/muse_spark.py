"""Muse Spark: a convolutional encoder of raw samples at 24 kHz, 80 ms a position; MoE decoder."""

from __future__ import annotations

from typing import Any

from tempo_attn.families.audio_half import load_audio_half
from tempo_attn.families.base import Family

_LONGEST = 300.0  # its authors name no limit


class MuseSpark(Family):
    """Muse Spark; most layers of its decoder have a sliding window."""

    name = "muse-spark"
    model_types = ("muse_spark",)
    # Its encoder has no mask: a clip's last positions would depend on the padding behind it.
    pads_audio_alike = False

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`: without images and video."""
        from transformers import MuseSparkProcessor  # younger than the oldest release we take

        return load_audio_half(MuseSparkProcessor, pretrained, **kwargs)

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`."""
        return _LONGEST

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`."""
        return -(-n_samples // int(processor.feature_extractor.samples_per_token))

"""Qwen2-Audio: Whisper-like encoder, average pooling, one `<|AUDIO|>` position for 40 ms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tempo_attn.errors import UnsupportedInputError
from tempo_attn.families.base import Family
from tempo_attn.families.shared.audio_lengths import encoder_tokens


class Qwen2Audio(Family):
    """Qwen2-Audio and its instruct models (arXiv 2407.10759)."""

    name = "qwen2-audio"
    model_types = ("qwen2_audio",)

    def check_inputs(self, config: Any, inputs: Mapping[str, Any]) -> None:
        """See `Family.check_inputs`: one id an audio is expanded inside the model's forward."""
        audio = self.audio_mask(config, inputs)
        adjacent = (audio[:, :-1] & audio[:, 1:]).any()
        if inputs.get("input_features") is not None and not adjacent:
            raise UnsupportedInputError(
                "each audio has a single audio token in input_ids: the model would expand it inside"
                " its forward, where positions cannot be followed. Let the processor expand it: "
                "processor(text=..., audio=...)"
            )

    def min_seconds(self, processor: Any) -> float:
        """See `Family.min_seconds`.

        With a single position the model takes the prompt for an unexpanded one and expands it
        anew inside its forward; two positions need five mel frames.
        """
        extractor = processor.feature_extractor
        frames = next(n for n in range(1, 100) if encoder_tokens(n) >= 2)
        return float(frames * extractor.hop_length / extractor.sampling_rate)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`."""
        hop = processor.feature_extractor.hop_length
        # The extractor's mask holds every hop-th sample, beginning with the first.
        return encoder_tokens(-(-n_samples // hop))

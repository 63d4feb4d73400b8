"""Phi-4-multimodal: Conformer encoder; the decoder's layers are the top model's own."""

from __future__ import annotations

from typing import Any

from tempo_attn.families.base import Family


class Phi4Multimodal(Family):
    """Phi-4-multimodal in transformers' own class (arXiv 2503.01743)."""

    name = "phi-4-multimodal"
    model_types = ("phi4_multimodal",)
    no_processor = "its processor needs torchvision, and tempo has not run its prompt format"

    def audio_token_id(self, config: Any) -> int:
        """See `Family.audio_token_id`; it is kept with the encoder's configuration."""
        return super().audio_token_id(config.audio_config)

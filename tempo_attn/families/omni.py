"""Qwen2.5-Omni and Qwen3-Omni: the thinker hears and writes; the talker only speaks its text."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import (
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen3OmniMoeThinkerForConditionalGeneration,
)

from tempo_attn.families.audio_lengths import encoder_tokens, qwen3_encoder_tokens
from tempo_attn.families.base import Family


class _Omni(Family):
    """What both generations share: a thinker, alone or inside the full model."""

    def audio_token_id(self, config: Any) -> int:
        """See `Family.audio_token_id`; a full model's configuration holds it in the thinker's."""
        return super().audio_token_id(getattr(config, "thinker_config", config))

    def decoder(self, model: nn.Module) -> nn.Module:
        """See `Family.decoder`; a full model's generate() calls the thinker's."""
        return super().decoder(getattr(model, "thinker", model))


class Qwen25Omni(_Omni):
    """Qwen2.5-Omni (arXiv 2503.20215); one position for 40 ms."""

    name = "qwen2.5-omni"
    model_types = ("qwen2_5_omni", "qwen2_5_omni_thinker")
    # The Auto class would load the full model, which has no forward; the thinker of a full
    # checkpoint answers in text.
    auto_class = Qwen2_5OmniThinkerForConditionalGeneration

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`."""
        return encoder_tokens(-(-n_samples // processor.feature_extractor.hop_length))


class Qwen3Omni(_Omni):
    """Qwen3-Omni (arXiv 2509.17765), a mixture of experts; 13 positions a second."""

    name = "qwen3-omni"
    model_types = ("qwen3_omni_moe", "qwen3_omni_moe_thinker")
    auto_class = Qwen3OmniMoeThinkerForConditionalGeneration

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`."""
        return qwen3_encoder_tokens(-(-n_samples // processor.feature_extractor.hop_length))

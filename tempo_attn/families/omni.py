"""Qwen2.5-Omni and Qwen3-Omni: the thinker hears and writes; the talker only speaks its text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn
from transformers import (
    Qwen2_5OmniProcessor,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen3OmniMoeProcessor,
    Qwen3OmniMoeThinkerForConditionalGeneration,
)

from tempo_attn.families.base import Family
from tempo_attn.families.shared.audio_half import load_audio_half
from tempo_attn.families.shared.audio_lengths import encoder_tokens, qwen3_encoder_tokens
from tempo_attn.families.shared.padded_apart import process_padded_apart
from tempo_attn.families.shared.processors import Wave


class _Omni(Family):
    """What both generations share: a thinker, alone or inside the full model."""

    processor_class: ClassVar[Any]

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`: without images and video, which would need torchvision."""
        return load_audio_half(self.processor_class, pretrained, **kwargs)

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
    processor_class = Qwen2_5OmniProcessor
    auto_class = Qwen2_5OmniThinkerForConditionalGeneration

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`."""
        return encoder_tokens(-(-n_samples // processor.feature_extractor.hop_length))


class Qwen3Omni(_Omni):
    """Qwen3-Omni (arXiv 2509.17765), a mixture of experts; 13 positions a second."""

    name = "qwen3-omni"
    model_types = ("qwen3_omni_moe", "qwen3_omni_moe_thinker")
    processor_class = Qwen3OmniMoeProcessor
    auto_class = Qwen3OmniMoeThinkerForConditionalGeneration

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""
        extractor = processor.feature_extractor
        # Clips are padded to the longest one, not to a window. Without whole frames the longest
        # one's last frame would be dropped, and so depend on the other clips of the batch.
        audio = {"padding": True, "pad_to_multiple_of": int(extractor.hop_length)}
        return process_padded_apart(self, processor, prompts, waves, **audio)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`."""
        return qwen3_encoder_tokens(-(-n_samples // processor.feature_extractor.hop_length))

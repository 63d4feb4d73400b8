"""GLM-ASR: Whisper-like encoder, four frames merged into one position of 80 ms, Llama decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tempo_attn.families.base import Family
from tempo_attn.families.shared.audio_lengths import windowed_frames
from tempo_attn.families.shared.one_audio_each import process_one_audio_each
from tempo_attn.families.shared.processors import Wave


class GlmAsr(Family):
    """GLM-ASR-Nano (model_type `glmasr`)."""

    name = "glm-asr"
    model_types = ("glmasr",)

    def audio_mask(self, config: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        """See `Family.audio_mask`; the audio token is the pad token, so padding is left out."""
        mask = super().audio_mask(config, inputs)
        real: Any = inputs.get("attention_mask")
        if real is None:
            return mask
        if isinstance(real, torch.Tensor) and real.dim() == 2:
            return mask & real[:, -mask.shape[1] :].to(mask.device).bool()
        # Static caches come with finished masks; padding then is what precedes the prompt.
        return mask & (~mask).cumsum(-1).bool()

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`; longer audio is heard in several windows of 30 s."""
        return float(processor.max_audio_len)

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""
        tokenizer = processor.tokenizer
        if tokenizer.pad_token_id == processor.audio_token_id and tokenizer.eos_token is not None:
            # The processor and the model count audio tokens, and would count padding as audio.
            tokenizer.pad_token = tokenizer.eos_token
        return process_one_audio_each(self, processor, prompts, waves)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`: counted over all windows' mel frames together."""
        return (windowed_frames(processor, n_samples) + 1) // 2 // 4

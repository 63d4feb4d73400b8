"""Gemma 3n and Gemma 4: USM encoder; decoders with sliding windows and shared keys and values.

A layer with a sliding window can only see, and so only be edited on, audio within its window
(512 positions in Gemma 4, for instance); full-attention layers see all of it.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families.base import Family
from tempo_attn.families.processors import where


class Gemma3n(Family):
    """Gemma 3n; each audio has a fixed number of positions, 188 for up to 30 s."""

    name = "gemma-3n"
    model_types = ("gemma3n",)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`; short audio is padded by the model, with an embedding."""
        return int(processor.audio_seq_length)


class Gemma4(Family):
    """Gemma 4's models with an audio encoder; one position for 40 ms."""

    name = "gemma-4"
    model_types = ("gemma4",)
    no_processor = "its number of positions of a waveform has not been checked by tempo"

    def check_model(self, model: nn.Module) -> None:
        """See `Family.check_model`; larger models of the family hear nothing."""
        config: Any = model.config
        if getattr(config, "audio_config", None) is None:
            raise UnsupportedModelError(
                f"{where(config)}: this Gemma 4 model has no audio encoder (its configuration has "
                "no audio_config); use one that hears"
            )

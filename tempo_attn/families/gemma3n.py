"""Gemma 3n: USM encoder; a decoder with sliding windows and shared keys and values.

A layer with a sliding window can only see, and so only be edited on, audio within its window
(512 positions); full-attention layers see all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import Gemma3nProcessor

from tempo_attn.families.base import Family
from tempo_attn.families.shared.audio_half import load_audio_half
from tempo_attn.families.shared.extras import require_extra
from tempo_attn.families.shared.padded_apart import process_padded_apart
from tempo_attn.families.shared.processors import Wave

_AHEAD = 3200  # samples
_WINDOW = 30.0  # the extractor cuts what is longer, and does not say so


class Gemma3n(Family):
    """Gemma 3n; each audio has a fixed number of positions, 188 for up to 30 s."""

    name = "gemma-3n"
    model_types = ("gemma3n",)

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`: without images.

        Raises:
            MissingExtraError: timm is missing, in which the model's vision tower is written.
        """
        require_extra("gemma3n", "timm", f"{pretrained} (Gemma 3n)")
        return load_audio_half(Gemma3nProcessor, pretrained, **kwargs)

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`."""
        return _WINDOW

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""
        # The encoder's first convolutions look a few frames ahead. Behind every clip there is some
        # padding, else a clip's last position would depend on the other clips of the batch.
        longest = max((len(wave) for wave in waves), default=0) + _AHEAD
        most = int(_WINDOW * self.sampling_rate(processor))
        audio = {"padding": "max_length", "max_length": min(longest, most)}
        return process_padded_apart(self, processor, prompts, waves, **audio)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`; short audio is padded by the model, with an embedding."""
        return int(processor.audio_seq_length)

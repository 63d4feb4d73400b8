"""Fun-ASR-Nano: an encoder with memory blocks, an adaptor, and a Qwen3 decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tempo_attn.families.base import Family
from tempo_attn.families.shared.audio_half import load_audio_half, young_class
from tempo_attn.families.shared.one_audio_each import process_one_audio_each
from tempo_attn.families.shared.processors import Wave

_LONGEST = 30.0  # its authors' own pipeline cuts audio into pieces of so many seconds


class FunAsrNano(Family):
    """Fun-ASR-Nano; one position for 60 ms. It is made to transcribe, not to answer."""

    name = "fun-asr-nano"
    model_types = ("fun_asr_nano",)
    # Measured: beside a longer clip, log-probabilities differ by tenths, in spite of its masks.
    pads_audio_alike = False

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`: with a feature extractor that needs no torchaudio."""
        processor_class = young_class("FunAsrNanoProcessor")
        # It is made of a class of transformers that is as young.
        from tempo_attn.families.fun_asr_features import FunAsrNanoFeatureExtractor

        return load_audio_half(processor_class, pretrained, FunAsrNanoFeatureExtractor, **kwargs)

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`."""
        return _LONGEST

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""
        return process_one_audio_each(self, processor, prompts, waves)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`: whole mel frames, by sixes."""
        extractor = processor.feature_extractor
        per_ms = int(extractor.sampling_rate) // 1000
        length, hop = extractor.frame_length * per_ms, extractor.frame_shift * per_ms
        frames = (n_samples - length) // hop + 1
        return int(-(-frames // extractor.stride_lfr))

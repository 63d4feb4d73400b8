"""Fun-ASR-Nano: an encoder with memory blocks, an adaptor, and a Qwen3 decoder."""

from __future__ import annotations

from tempo_attn.families.base import Family


class FunAsrNano(Family):
    """Fun-ASR-Nano; one position for 60 ms. It is made to transcribe, not to answer."""

    name = "fun-asr-nano"
    model_types = ("fun_asr_nano",)
    no_processor = "its feature extractor needs torchaudio, which tempo does not depend on"

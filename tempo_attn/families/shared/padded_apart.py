"""Processors that are told for text and for audio apart how to pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tempo_attn.families.base import Family
from tempo_attn.families.shared.processors import Wave


def process_padded_apart(
    family: Family, processor: Any, prompts: Sequence[str], waves: Sequence[Wave], **audio: Any
) -> Any:
    """`Family.process` without `padding=True` at the top level.

    There it also reaches the feature extractor, which may then pad to the longest waveform instead
    of whole windows, and the encoder's lengths break.

    Args:
        family: The model's family.
        processor: The family's processor.
        prompts: One rendered chat for each batch row.
        waves: All waveforms in order.
        audio: Further keywords of the feature extractor.
    """
    return processor(
        text=list(prompts),
        audio=list(waves) or None,
        text_kwargs={"padding": True, "padding_side": "left"},
        audio_kwargs={"sampling_rate": family.sampling_rate(processor), **audio},
        return_tensors="pt",
    )

"""Processors that pair prompts and waveforms one to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tempo_attn.errors import UnsupportedInputError
from tempo_attn.families.base import Family
from tempo_attn.families.shared.padded_apart import process_padded_apart
from tempo_attn.families.shared.processors import Wave


def process_one_audio_each(
    family: Family, processor: Any, prompts: Sequence[str], waves: Sequence[Wave], **audio: Any
) -> Any:
    """`Family.process` for processors that pair texts and waveforms one to one.

    Args:
        family: The model's family.
        processor: The family's processor.
        prompts: One rendered chat for each batch row.
        waves: One waveform for each batch row, or none at all.
        audio: Further keywords of the feature extractor.

    Raises:
        UnsupportedInputError: A prompt has no audio, or several, and the batch has some.
    """
    marker = family.audio_marker(processor)
    counts = [prompt.count(marker) for prompt in prompts]
    if waves and counts != [1] * len(prompts):
        row = next(row for row, count in enumerate(counts) if count != 1)
        raise UnsupportedInputError(
            f"row {row} of the batch has {counts[row]} audio markers {marker!r}; the processor of "
            f"a {family.name} model takes exactly one waveform a prompt. Ask about one clip at a "
            "time"
        )
    return process_padded_apart(family, processor, prompts, waves, **audio)

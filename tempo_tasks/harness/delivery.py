"""Proof that audio arrived at the model.

A published row of the benchmark is identical with audio and with silence: its audio very probably
never reached the model, because a misspelt keyword was ignored. So nothing here is a warning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tempo_attn.errors import AudioNotDeliveredError, NonFiniteLogitsError
from tempo_attn.families import Family
from tempo_attn.families.shared.processors import Wave
from tempo_attn.runtime.last_logits import last_logits
from tempo_tasks.harness.editing import base_of


def check_placeholders(
    family: Family,
    processor: Any,
    config: Any,
    inputs: Mapping[str, Any],
    waves_of_rows: Sequence[Sequence[Wave]],
) -> None:
    """Check that each row has as many audio positions as its waveforms fill.

    Args:
        family: The model's family.
        processor: The model's processor.
        config: The model's configuration.
        inputs: What the processor returned for a batch.
        waves_of_rows: The waveforms of each row.

    Raises:
        AudioNotDeliveredError: A row has too few or too many audio positions.
    """
    found = (family.audio_mask(config, inputs) & inputs["attention_mask"].bool()).sum(-1).tolist()
    for row, (count, waves) in enumerate(zip(found, waves_of_rows, strict=True)):
        expected = sum(family.n_audio_tokens(processor, len(wave)) for wave in waves)
        if count != expected:
            raise AudioNotDeliveredError(
                f"row {row} of the batch has {count} audio positions, and its {len(waves)} "
                f"waveform(s) fill {expected}: the audio did not reach the prompt. Check that the "
                "processor and the model belong together and that the prompt was not truncated"
            )


def check_silence_differs(
    model: torch.nn.Module, with_audio: Mapping[str, Any], with_silence: Mapping[str, Any]
) -> tuple[float, torch.Tensor]:
    """Check that the next-token logits of one prompt differ when its audio is zeroed.

    Args:
        model: The model.
        with_audio: Inputs of one prompt with its waveform.
        with_silence: The same prompt with zeros of the same length.

    Returns:
        Largest absolute difference of the logits, and those with audio, (1, vocabulary).

    Raises:
        AudioNotDeliveredError: They are equal: the model does not hear.
        NonFiniteLogitsError: They are NaN or infinite.
    """
    with torch.inference_mode(), last_logits(base_of(model), 1) as only_last:
        heard = model(**with_audio, **only_last).logits[:, -1]
        silent = model(**with_silence, **only_last).logits[:, -1]
    difference = float((heard.float() - silent.float()).abs().max())
    if not math.isfinite(difference):
        raise NonFiniteLogitsError(
            "the model's logits on the first clip are NaN or infinite; run it with dtype=bfloat16 "
            "or dtype=float32 among the model arguments"
        )
    if difference == 0.0:
        raise AudioNotDeliveredError(
            "the first clip's logits are the same with audio and with silence: the audio did not "
            "reach the model. Check the processor's keyword, the audio token, and that the "
            "checkpoint has an audio encoder"
        )
    return difference, heard


def noise(seconds: float, rate: int) -> Wave:
    """Return white noise to prove hearing with where there is no clip, (samples,) float32."""
    samples = np.random.default_rng(0).standard_normal(int(seconds * rate))
    return (0.1 * samples).astype(np.float32)


def is_silent(wave: Wave) -> bool:
    """Return whether a waveform is all zeros (it then cannot prove anything)."""
    return not bool(np.any(wave))

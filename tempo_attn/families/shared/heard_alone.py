"""Encoders that hear the padding behind a shorter clip: each clip is encoded by itself.

Their attention and convolutions do not know where a clip ends, so that its positions would depend
on the other clips of the batch. Here a batch's features are padded with NaN, and the encoder of a
prepared model leaves such frames out, one clip at a time: each clip's positions are those that it
has alone. The decoder still takes the whole batch. Without the preparation the answer would be NaN,
which is an error everywhere, and never a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature

from tempo_attn.errors import UnsupportedInputError
from tempo_attn.families.base import Family
from tempo_attn.families.shared.processors import Wave

_PLAIN = "_tempo_plain_forward"


def process_alone(
    family: Family,
    processor: Any,
    prompts: Sequence[str],
    waves: Sequence[Wave],
    extract: Callable[[Wave], tuple[Tensor, int]],
) -> tuple[BatchFeature, Tensor | None, list[int]]:
    """Tokenize prompts with as many audio tokens as each clip fills, and stack features.

    Args:
        family: The model's family.
        processor: The family's processor.
        prompts: One rendered chat for each batch row.
        waves: The waveforms of all markers of all prompts in order.
        extract: Returns a clip's features, (frames, bands), and its number of positions.

    Returns:
        `input_ids` and `attention_mask`; features (clips, frames, bands), padded with NaN, None
        without clips; and each clip's number of positions.

    Raises:
        UnsupportedInputError: The prompts have not one marker for each waveform.
    """
    marker = family.audio_marker(processor)
    heard = [extract(wave) for wave in waves]
    counts = [count for _, count in heard]
    n_markers = sum(prompt.count(marker) for prompt in prompts)
    if n_markers != len(waves):
        raise UnsupportedInputError(
            f"the prompts have {n_markers} audio markers {marker!r} and there are {len(waves)} "
            "waveforms; expected one for each"
        )
    left, texts = iter(counts), []
    for prompt in prompts:
        first, *others = prompt.split(marker)
        texts.append(first + "".join(marker * next(left) + other for other in others))
    inputs = processor.tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
    features = [clip for clip, _ in heard]
    stacked = pad_sequence(features, True, float("nan")) if features else None
    return BatchFeature(dict(inputs)), stacked, counts


def hear_alone(model: nn.Module, beside: str) -> None:
    """Let a model's encoder take the clips of a batch one at a time, without their padding of NaN.

    Features are the first argument of its forward, (clips, frames, bands), its positions the
    output, (clips, positions, size), or that output's `last_hidden_state`. Those of shorter clips
    are filled up with zeros. A second call changes nothing.

    Args:
        model: The model; somewhere in it is a module with this encoder as its `encoder`.
        beside: Another attribute of that module, by which it is known.
    """
    for module in list(model.modules()):
        encoder = getattr(module, "encoder", None)
        if not isinstance(encoder, nn.Module) or not hasattr(module, beside):
            continue
        if not hasattr(encoder, _PLAIN):
            # Bound methods, not closures: a deep copy of the model then has its own.
            setattr(encoder, _PLAIN, encoder.forward)
            encoder.forward = MethodType(_each_alone, encoder)


def _each_alone(self: nn.Module, features: Tensor, *masks: Any, **kwargs: Any) -> Any:
    plain = getattr(self, _PLAIN)
    padding = features.isnan().all(-1)
    if not padding.any():
        return plain(features, *masks, **kwargs)
    outputs = [
        plain(clip[None, ~silent], *(None for _ in masks), **kwargs)
        for clip, silent in zip(features, padding, strict=True)
    ]
    if isinstance(outputs[0], Tensor):
        return pad_sequence([output[0] for output in outputs], batch_first=True)
    joined = outputs[0]
    joined.last_hidden_state = pad_sequence(
        [output.last_hidden_state[0] for output in outputs], batch_first=True
    )
    return joined

"""Inputs of prompts whose beginnings are in a key/value cache; see `prefix_sharing`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families import Family
from tempo_attn.runtime.prefix_cache import (
    Prefix,
    SharedInputs,
    cache_keyword,
    join_prefixes,
    left_padded,
    whole_ids,
)
from tempo_tasks.audio import Wave
from tempo_tasks.harness import editing
from tempo_tasks.harness.hearing import HearingChecks
from tempo_tasks.harness.sharing.ahead import Ahead, Row
from tempo_tasks.harness.sharing.beginnings import Ids
from tempo_tasks.harness.sharing.kept import Clips

_BY_TOKEN = ("token_type_ids", "mm_token_type_ids")
_AT_ONCE = 128
"""Prompts that are encoded at once: encodings take many times the memory of their token ids."""
_USUAL_ANSWER = 4
"""Positions for which there is room behind a prompt; longer answers need a copy of the cache."""


class SharingModel(Protocol):
    """What is asked of a model: an `AudioHFLM`, which imports this module.

    Attributes:
        family: The model's family.
        processor: The model's processor.
        tokenizer: The processor's tokenizer.
        clips: The waveforms.
        ahead: What the processor makes of rows.
        hearing: What was proved of the model's hearing.
        mixed_precision_dtype: The type that rows are run in by autocast, if by it.
    """

    family: Family
    processor: Any
    tokenizer: Any
    clips: Clips
    ahead: Ahead
    hearing: HearingChecks
    mixed_precision_dtype: torch.dtype | None

    @property
    def model(self) -> Any:
        """The loaded model."""

    @property
    def config(self) -> Any:
        """The model's configuration."""

    @property
    def device(self) -> torch.device:
        """The model's device."""

    def deliver(self, inputs: Any, waves_of_rows: Sequence[Sequence[Wave]]) -> Any:
        """Check inputs and bring them to the model's device."""


def beginnings(lm: SharingModel, inputs: Any, texts: Sequence[Ids]) -> dict[str, Any]:
    """Return inputs without the prompts' questions, and check that these are encoded apart.

    Args:
        lm: The model.
        inputs: Inputs of whole prompts.
        texts: The token ids behind each prompt's last audio token.

    Raises:
        UnsupportedModelError: The text behind a marker is not encoded by itself.
    """
    real = inputs["attention_mask"].bool()
    audio = lm.family.audio_mask(lm.config, inputs) & real
    first = (audio.shape[1] - audio.flip(1).int().argmax(1)).tolist()  # behind the last audio
    ends = []
    for ids, least, text in zip(inputs["input_ids"], first, texts, strict=True):
        ends.append(len(ids) - len(text))  # a processor may close the audio by a token more
        if ends[-1] < least or ids[ends[-1] :].tolist() != text.tolist():
            raise UnsupportedModelError("the text behind the audio is encoded with it")
    beginnings = dict(inputs)
    for name in {"input_ids", "attention_mask", *_BY_TOKEN} & set(inputs):
        filling = lm.tokenizer.pad_token_id if name == "input_ids" else 0
        parts = [
            row[:end][kept[:end]] for row, end, kept in zip(inputs[name], ends, real, strict=True)
        ]
        beginnings[name] = left_padded(parts, filling)
    return beginnings


def texts_behind_audio(lm: SharingModel, rows: Sequence[Row]) -> list[Ids]:
    """Return the tokens behind the last audio token of prompts; all tokens where there is none.

    Args:
        lm: The model.
        rows: The prompts; markers stand for their audio.

    Raises:
        UnsupportedModelError: A marker is not one token.
    """
    has_audio = {prompt: bool(handles) for prompt, handles in rows}
    different = list(has_audio)
    audio = lm.family.audio_token_id(lm.config)
    texts: dict[str, Ids] = {}
    for at in range(0, len(different), _AT_ONCE):
        prompts = different[at : at + _AT_ONCE]
        for prompt, found in zip(prompts, lm.tokenizer(prompts)["input_ids"], strict=True):
            ids = np.asarray(found, dtype=np.int32)
            if has_audio[prompt]:
                places = np.flatnonzero(ids == audio)
                if not len(places):
                    raise UnsupportedModelError("the audio marker is not one token")
                ids = ids[places[-1] + 1 :].copy()
            texts[prompt] = ids
    return [texts[prompt] for prompt, _ in rows]


def text_inputs(lm: SharingModel, texts: Sequence[Ids]) -> dict[str, Tensor]:
    """Return inputs of texts alone."""
    parts = [torch.tensor(ids, dtype=torch.long, device=lm.device) for ids in texts]
    return {
        "input_ids": left_padded(parts, lm.tokenizer.pad_token_id),
        "attention_mask": left_padded([torch.ones_like(part) for part in parts], 0),
    }


def joined(
    lm: SharingModel,
    before: Sequence[Sequence[Prefix]],
    after: Sequence[Ids],
    margin: int = 0,
) -> SharedInputs:
    """Return inputs of rows whose beginnings are computed.

    Args:
        lm: The model.
        before: The parts of the rows' beginnings.
        after: The token ids that follow.
        margin: Positions of padding before the beginnings and before what follows that even the
            longest row has.
    """
    empty = torch.zeros(0, dtype=torch.long, device=lm.device)
    first = [torch.cat([empty, *(part.ids for part in parts)]) for parts in before]
    ids, mask = whole_ids(first, after, lm.tokenizer.pad_token_id, margin)
    n_before = max(map(len, first)) + margin
    room = ids.shape[1] - n_before + _USUAL_ANSWER
    cache = join_prefixes(before, n_before, room)
    return SharedInputs(ids, mask, cache, cache_keyword(editing.base_of(lm.model)))

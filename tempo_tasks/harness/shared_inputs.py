"""Inputs of prompts whose beginnings are in a key/value cache; see `prefix_sharing`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families import Family
from tempo_attn.runtime.prefix_cache import (
    Prefix,
    SharedInputs,
    cache_keyword,
    join,
    left_padded,
)
from tempo_tasks.audio import Wave
from tempo_tasks.harness import editing
from tempo_tasks.harness.ahead import Ahead, Row
from tempo_tasks.harness.kept import Clips

_BY_TOKEN = ("token_type_ids", "mm_token_type_ids")


class SharingModel(Protocol):
    """What is asked of a model: an `AudioHFLM`, which imports this module.

    Attributes:
        family: The model's family.
        processor: The model's processor.
        tokenizer: The processor's tokenizer.
        clips: The waveforms.
        ahead: What the processor makes of rows.
    """

    family: Family
    processor: Any
    tokenizer: Any
    clips: Clips
    ahead: Ahead

    @property
    def model(self) -> Any:
        """The loaded model."""

    @property
    def config(self) -> Any:
        """The model's configuration."""

    def deliver(self, inputs: Any, waves_of_rows: Sequence[Sequence[Wave]]) -> Any:
        """Check inputs and bring them to the model's device."""


def beginnings(lm: SharingModel, inputs: Any, rows: Sequence[Row]) -> dict[str, Any]:
    """Return inputs without the prompts' questions, and check that these are encoded apart.

    Args:
        lm: The model.
        inputs: Inputs of whole prompts.
        rows: The prompts.

    Raises:
        UnsupportedModelError: The text behind a marker is not encoded by itself.
    """
    real = inputs["attention_mask"].bool()
    audio = lm.family.audio_mask(lm.config, inputs) & real
    first = (audio.shape[1] - audio.flip(1).int().argmax(1)).tolist()  # behind the last audio
    ends = []
    for ids, least, (prompt, _) in zip(inputs["input_ids"], first, rows, strict=True):
        question = question_of(lm, prompt)
        ends.append(len(ids) - len(question))  # a processor may close the audio by a token more
        if ends[-1] < least or ids[ends[-1] :].tolist() != question:
            raise UnsupportedModelError("the text behind the audio is encoded with it")
    beginnings = dict(inputs)
    for name in {"input_ids", "attention_mask", *_BY_TOKEN} & set(inputs):
        filling = lm.tokenizer.pad_token_id if name == "input_ids" else 0
        parts = [
            row[:end][kept[:end]] for row, end, kept in zip(inputs[name], ends, real, strict=True)
        ]
        beginnings[name] = left_padded(parts, filling)
    return beginnings


def question_of(lm: SharingModel, prompt: str) -> list[int]:
    """Return the tokens behind the last audio token of a prompt that is not expanded."""
    ids: list[int] = lm.tokenizer(prompt)["input_ids"]
    audio = lm.family.audio_token_id(lm.config)
    if audio not in ids:
        raise UnsupportedModelError("the audio marker is not one token")
    return ids[len(ids) - ids[::-1].index(audio) :]


def joined(lm: SharingModel, rows: Sequence[Row], before: Sequence[Prefix]) -> SharedInputs:
    """Return inputs of rows whose beginnings are computed.

    Args:
        lm: The model.
        rows: The rows.
        before: Their beginnings.
    """
    questions = [question_of(lm, prompt) for prompt, _ in rows]
    name = cache_keyword(editing.base_of(lm.model))
    return join(before, questions, lm.tokenizer.pad_token_id, name)

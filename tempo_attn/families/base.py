"""What differs between families of audio language models.

A family is one small class: how to load it, how its chat prompt holds audio, how its processor is
called, where its decoder is, and which prompt positions are audio. The harness and the laboratory
use only this interface.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import AutoProcessor

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_attn.errors import NoAudioTokenError

Wave = npt.NDArray[np.float32]
Message = Mapping[str, Any]


class Family(ABC):
    """One family of models; stateless, so one instance serves every model of it.

    Attributes:
        name: The family's name, as users write it.
        model_types: The `model_type` values of its configurations.
        auto_class: The transformers Auto class that loads its models.
    """

    name: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]
    auto_class: ClassVar[Any]

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """Load the processor; keywords go to `AutoProcessor.from_pretrained`."""
        return AutoProcessor.from_pretrained(pretrained, **kwargs)

    @abstractmethod
    def check(self, config: Any, processor: Any) -> None:
        """Check that configuration and processor can take audio.

        Raises:
            NoAudioTokenError: The checkpoint has no audio token, or two different ones.
        """

    @abstractmethod
    def sampling_rate(self, processor: Any) -> int:
        """Return the sampling rate that the processor expects, in Hz."""

    @abstractmethod
    def max_seconds(self, processor: Any) -> float:
        """Return the longest audio that the model hears in one go, in seconds."""

    @abstractmethod
    def min_seconds(self, processor: Any) -> float:
        """Return the shortest audio whose positions can be told, in seconds."""

    @abstractmethod
    def chat(
        self,
        processor: Any,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        **template_args: Any,
    ) -> str:
        """Render a chat to text with the family's audio markers, one for each `<audio>`.

        Args:
            processor: The family's processor.
            messages: `{"role": ..., "content": str}`; `<audio>` in a content marks audio.
            add_generation_prompt: End where the assistant's answer begins.
            template_args: Further variables of the template, such as `enable_thinking`.
        """

    @abstractmethod
    def audio_marker(self, processor: Any) -> str:
        """Return the token that stands for audio in a rendered prompt."""

    @abstractmethod
    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """Turn rendered prompts and their waveforms into model inputs, padded on the left.

        Args:
            processor: The family's processor.
            prompts: One rendered chat a row.
            waves: Mono waveforms at `sampling_rate`, for all markers of all prompts in order.

        Returns:
            A BatchFeature with `input_ids` and `attention_mask`, (batch, tokens), and features.
        """

    @abstractmethod
    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """Return how many decoder positions a waveform of `n_samples` fills."""

    @abstractmethod
    def audio_mask(self, config: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Return which positions are audio, (batch, tokens) bool."""

    @abstractmethod
    def decoder(self, model: nn.Module) -> nn.Module:
        """Return the text decoder, whose `layers` hold the attention modules."""


def message_parts(content: str) -> list[dict[str, str]]:
    """Split a message's text at `<audio>` into the structured content of chat templates."""
    parts: list[dict[str, str]] = []
    for number, text in enumerate(content.split(AUDIO_PLACEHOLDER)):
        if number:
            # Templates look for the type or for the key, depending on their age.
            parts.append({"type": "audio", "audio": ""})
        if text:
            parts.append({"type": "text", "text": text})
    return parts


def require_audio_token(config: Any, processor: Any, token: str | None, family: str) -> None:
    """Raise unless configuration and tokenizer agree on the audio token's id."""
    where = getattr(config, "_name_or_path", "") or type(config).__name__
    wanted = getattr(config, "audio_token_id", None)
    tokenizer = getattr(processor, "tokenizer", None)
    found = tokenizer.get_vocab().get(token) if tokenizer is not None and token else None
    if found is None or wanted is None or found != wanted:
        raise NoAudioTokenError(
            f"{where}: a {family} checkpoint needs an audio token; found token {token!r} with id "
            f"{found} in the tokenizer and audio_token_id {wanted} in the configuration. Use a "
            "checkpoint whose processor and configuration belong together"
        )

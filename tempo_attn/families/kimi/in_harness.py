"""Kimi-Audio in the harness: its chats, its processor, and the model that reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoFeatureExtractor, PreTrainedConfig, WhisperFeatureExtractor

from tempo_attn.errors import NoAudioTokenError, OptionError, UnsupportedModelError
from tempo_attn.families.base import Message
from tempo_attn.families.kimi.model import WHISPER, KimiLoader
from tempo_attn.families.kimi.processor import POSITION, KimiProcessor
from tempo_attn.families.kimi.speech_tokens import speech_tokenizer_of
from tempo_attn.families.kimi.tokenizer import BLANK, MEDIA_BEGIN, MEDIA_END, load_tokenizer
from tempo_attn.families.shared.chats import Chat, ChatFamily
from tempo_attn.families.shared.processors import where

_LONGEST = 480.0
"""The package stops at 7,500 positions in all; eight minutes are 6,000 of them."""


class KimiInHarness(ChatFamily):
    """The part of the family that only the harness needs."""

    def model_class(self, config: Any) -> Any:
        """See `Family.model_class`."""
        return KimiLoader

    def feature_dtype(self, model: Any) -> torch.dtype:
        """See `Family.feature_dtype`: Whisper's; what the speech tokenizer hears stays as it is."""
        dtype: torch.dtype = model.whisper.conv1.weight.dtype
        return dtype

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`; no code of the checkpoint is run."""
        place = {k: v for k, v in kwargs.items() if k in ("revision", "cache_dir")}
        file, _ = PreTrainedConfig.get_config_dict(pretrained, **place)
        whisper, _ = PreTrainedConfig.get_config_dict(pretrained, subfolder=WHISPER, **place)
        return KimiProcessor(
            load_tokenizer(pretrained, **place),
            WhisperFeatureExtractor(feature_size=int(whisper["num_mel_bins"])),
            AutoFeatureExtractor.from_pretrained(speech_tokenizer_of(pretrained)),
            int(file["kimia_token_offset"]),
        )

    def check(self, config: Any, processor: Any) -> None:
        """See `Family.check`."""
        if not isinstance(processor, KimiProcessor):
            raise UnsupportedModelError(
                f"{where(config)}: a {self.name} model needs a KimiProcessor of tempo, and this is "
                f"a {type(processor).__name__}; leave processor out of the model arguments"
            )
        names = (MEDIA_BEGIN, MEDIA_END, BLANK)
        ids = processor.tokenizer.convert_tokens_to_ids(list(names))
        if ids[:2] != [config.kimia_media_begin, config.kimia_media_end] or (
            processor.token_offset < len(processor.tokenizer)
        ):
            raise NoAudioTokenError(
                f"{where(config)}: audio begins and ends with the ids {config.kimia_media_begin} "
                f"and {config.kimia_media_end} in the configuration and {ids[0]} and {ids[1]} in "
                f"the tokenizer, whose {len(processor.tokenizer)} ids end before the speech tokens "
                f"at {processor.token_offset} in a checkpoint that belongs together; take such a "
                "one"
            )

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`."""
        return _LONGEST

    def chat(
        self,
        processor: Any,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        **template_args: Any,
    ) -> str:
        """See `ChatFamily.chat`.

        Raises:
            OptionError: A message is neither the user's nor the assistant's.
        """
        for message in messages:
            if message["role"] not in ("user", "assistant"):
                raise OptionError(
                    f"Kimi-Audio knows the roles user and assistant, and a message is of "
                    f"{message['role']!r}; leave --system_instruction out"
                )
        return super().chat(
            processor, messages, add_generation_prompt=add_generation_prompt, **template_args
        )

    def encode(self, processor: Any, chats: Sequence[Chat]) -> Any:
        """See `ChatFamily.encode`."""
        return processor(chats)

    def append(self, inputs: Any, ids: Tensor, real: Tensor) -> Any:
        """See `Family.append`: text beside a blank audio stream."""
        # First of a row is padding or the mark of a turn: its text is a blank.
        blank = torch.full_like(ids, int(inputs["text_input_ids"][0, 0]))
        longer = {
            "input_ids": blank,
            "text_input_ids": ids,
            "attention_mask": real,
            "is_continuous_mask": torch.zeros_like(ids),
        }
        return {
            name: torch.cat([value, longer[name].to(value.dtype)], 1) if name in longer else value
            for name, value in inputs.items()
        }

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`."""
        return -(-n_samples // POSITION)

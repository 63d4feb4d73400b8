"""DeSTA2.5 in the harness: its chats, its processor, and the model that takes prepared inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoTokenizer

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_attn.errors import NoAudioTokenError, UnsupportedModelError
from tempo_attn.families.base import Family, Message
from tempo_attn.families.desta.config import register
from tempo_attn.families.desta.model import DestaLoader, require_desta
from tempo_attn.families.desta.processor import DestaProcessor
from tempo_attn.families.shared.processors import Wave, where
from tempo_attn.families.shared.string_chats import render_strings

SYSTEM = "Focus on the audio clips and instructions."
"""The system message that the authors recommend, where a prompt with audio has none."""
register()


class DestaInHarness(Family):
    """The part of the family that only the harness needs."""

    def model_class(self, config: Any) -> Any:
        """See `Family.model_class`."""
        return DestaLoader

    def feature_dtype(self, model: Any) -> torch.dtype:
        """See `Family.feature_dtype`: Whisper's, which need not be the language model's."""
        dtype: torch.dtype = next(model.perception.parameters()).dtype
        return dtype

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`; tokenizer and extractor are those that the checkpoint names.

        Raises:
            MissingExtraError: The package `desta` is not installed.
        """
        require_desta(pretrained)
        config = AutoConfig.from_pretrained(pretrained, **kwargs)
        return DestaProcessor(
            AutoTokenizer.from_pretrained(config.llm_model_id),
            AutoFeatureExtractor.from_pretrained(config.encoder_model_id),
            config.prompt_size,
            config.audio_locator,
            config.placeholder_token,
        )

    def check(self, config: Any, processor: Any) -> None:
        """See `Family.check`."""
        if not isinstance(processor, DestaProcessor):
            raise UnsupportedModelError(
                f"{where(config)}: a {self.name} model needs a DestaProcessor of tempo, and this is"
                f" a {type(processor).__name__}; leave processor out of the model arguments"
            )
        placeholder = processor.tokenizer.get_vocab().get(processor.placeholder)
        if placeholder is None or processor.prompt_size != config.prompt_size:
            raise NoAudioTokenError(
                f"{where(config)}: audio fills {config.prompt_size} positions in the configuration "
                f"and {processor.prompt_size} in the processor, and the tokenizer's id of "
                f"{processor.placeholder!r} is {placeholder}. Use a checkpoint whose configuration "
                "and tokenizer belong together"
            )

    def chat(
        self,
        processor: Any,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        **template_args: Any,
    ) -> str:
        """See `Family.chat`; with audio and no system message, the authors' own is added."""
        mark = self.audio_marker(processor)
        chat = [{"role": m["role"], "content": _marked(str(m["content"]), mark)} for m in messages]
        heard = any(mark in message["content"] for message in chat)
        if heard and chat[0]["role"] != "system":
            chat.insert(0, {"role": "system", "content": SYSTEM})
        return render_strings(processor.tokenizer, chat, add_generation_prompt, **template_args)

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""
        return processor(prompts, waves)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`: always the same, the transcript's not among them."""
        return int(processor.prompt_size)


def _marked(content: str, mark: str) -> str:
    """Return a message with the marker in the place of `<audio>`, on a line of its own."""
    before, *parts = content.split(AUDIO_PLACEHOLDER)
    spaced = (part if not part or part[0].isspace() else "\n" + part for part in parts)
    return before + "".join(mark + part for part in spaced)

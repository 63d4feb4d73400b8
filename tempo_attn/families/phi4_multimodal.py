"""Phi-4-multimodal: Conformer encoder; the decoder's layers are the top model's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import Phi4MultimodalProcessor

from tempo_attn.families.audio_half import load_audio_half
from tempo_attn.families.base import Family, Message
from tempo_attn.families.padded_apart import process_padded_apart
from tempo_attn.families.processors import Wave
from tempo_attn.families.string_chats import chat_of_strings

_WINDOW = 30.0  # of summaries its authors say more; answers were trained on up to half a minute
_PER_POSITION = 8


class Phi4Multimodal(Family):
    """Phi-4-multimodal in transformers' own class (arXiv 2503.01743).

    Its speech LoRA lies in the checkpoint's folder `speech-lora`: name it with `peft`.
    """

    name = "phi-4-multimodal"
    model_types = ("phi4_multimodal",)
    # Measured: beside a longer clip, a clip's logits differ by some thousandths in float32.
    pads_audio_alike = False

    def audio_token_id(self, config: Any) -> int:
        """See `Family.audio_token_id`; it is kept with the encoder's configuration."""
        return super().audio_token_id(config.audio_config)

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`: without images."""
        return load_audio_half(Phi4MultimodalProcessor, pretrained, **kwargs)

    def chat(
        self,
        processor: Any,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        **template_args: Any,
    ) -> str:
        """See `Family.chat`; the template is a text model's."""
        marker = self.audio_marker(processor)
        return chat_of_strings(processor, messages, marker, add_generation_prompt, template_args)

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`."""
        return _WINDOW

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""
        return process_padded_apart(self, processor, prompts, waves)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`: whole mel frames, by eights."""
        extractor = processor.audio_processor
        frames = (n_samples - int(extractor.win_length)) // int(extractor.hop_length) + 1
        return -(-frames // _PER_POSITION)

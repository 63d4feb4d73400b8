"""Granite Speech: Conformer encoder, Q-Former windows of three positions, Granite decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import AutoTokenizer, GraniteSpeechProcessor

from tempo_attn.families.base import Family, Message
from tempo_attn.families.granite_features import GraniteFeatures
from tempo_attn.families.processors import Wave
from tempo_attn.families.string_chats import chat_of_strings

_LONGEST = 300.0  # its authors name no limit; the encoder looks at 4 s at a time


class GraniteSpeech(Family):
    """Granite Speech 3.x (arXiv 2505.08699) and its Plus models.

    Checkpoints bring a LoRA of their own for speech; it changes the projections of the decoder's
    attention modules, not the modules. Layers of a hybrid decoder without attention are None.
    """

    name = "granite-speech"
    model_types = ("granite_speech", "granite_speech_plus")
    # Its encoder has no mask: a clip's last positions would depend on the padding behind it.
    pads_audio_alike = False

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`: with features that need no torchaudio."""
        saved, _ = GraniteSpeechProcessor.get_processor_dict(pretrained, **kwargs)
        tokenizer = AutoTokenizer.from_pretrained(pretrained, **kwargs)
        return GraniteSpeechProcessor(
            GraniteFeatures.from_pretrained(pretrained, **kwargs),
            tokenizer,
            audio_token=saved.get("audio_token", "<|audio|>"),
            chat_template=saved.get("chat_template") or tokenizer.chat_template,
        )

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
        return _LONGEST

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""
        processor.tokenizer.padding_side = "left"
        text = list(prompts)
        return processor(text=text, audio=list(waves) or None, padding=True, return_tensors="pt")

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`: windows of 15 pairs of mel frames, three positions each."""
        features = processor.audio_processor
        pairs = (n_samples // int(features.melspec_kwargs["hop_length"]) + 1) // 2
        window = int(features.projector_window_size)
        positions = window // int(features.projector_downsample_rate)
        return -(-pairs // window) * positions

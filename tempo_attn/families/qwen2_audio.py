"""Qwen2-Audio: Whisper-like encoder, average pooling, one `<|AUDIO|>` position for 40 ms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForMultimodalLM

from tempo_attn.families.base import Family, Message, Wave, message_parts, require_audio_token


class Qwen2Audio(Family):
    """Qwen2-Audio and its instruct models (arXiv 2407.10759)."""

    name = "qwen2-audio"
    model_types = ("qwen2_audio",)
    auto_class = AutoModelForMultimodalLM

    def check(self, config: Any, processor: Any) -> None:
        """See `Family.check`."""
        require_audio_token(config, processor, getattr(processor, "audio_token", None), self.name)

    def sampling_rate(self, processor: Any) -> int:
        """See `Family.sampling_rate`."""
        return int(processor.feature_extractor.sampling_rate)

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`: the encoder has a fixed number of positions."""
        extractor = processor.feature_extractor
        return float(extractor.n_samples / extractor.sampling_rate)

    def min_seconds(self, processor: Any) -> float:
        """See `Family.min_seconds`.

        With a single position the model takes the prompt for an unexpanded one and expands it
        anew inside its forward; two positions need five mel frames.
        """
        extractor = processor.feature_extractor
        frames = next(n for n in range(1, 100) if self._tokens(n) >= 2)
        return float(frames * extractor.hop_length / extractor.sampling_rate)

    def chat(
        self,
        processor: Any,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        **template_args: Any,
    ) -> str:
        """See `Family.chat`."""
        structured = [{**m, "content": message_parts(str(m["content"]))} for m in messages]
        rendered = processor.apply_chat_template(
            structured,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
            tokenize=False,
            **template_args,
        )
        return str(rendered)

    def audio_marker(self, processor: Any) -> str:
        """See `Family.audio_marker`."""
        return str(processor.audio_token)

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`; the keyword is `audio`, a misspelt one is silently ignored."""
        # The tokenizer's side, not the processor's: that one would flip the audio padding too.
        processor.tokenizer.padding_side = "left"
        return processor(
            text=list(prompts),
            audio=list(waves) or None,
            sampling_rate=self.sampling_rate(processor),
            return_tensors="pt",
            padding=True,
        )

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`."""
        hop = processor.feature_extractor.hop_length
        # The extractor's mask holds every hop-th sample, beginning with the first.
        return self._tokens(-(-n_samples // hop))

    def audio_mask(self, config: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        """See `Family.audio_mask`."""
        ids: torch.Tensor = inputs["input_ids"]
        return torch.eq(ids, config.audio_token_id)

    def decoder(self, model: nn.Module) -> nn.Module:
        """See `Family.decoder`."""
        decoder = model.get_decoder()  # type: ignore[operator]
        assert isinstance(decoder, nn.Module)
        return decoder

    @staticmethod
    def _tokens(mel_frames: int) -> int:
        """Frames after the encoder's strided convolution and its average pooling."""
        return ((mel_frames - 1) // 2 + 1 - 2) // 2 + 1

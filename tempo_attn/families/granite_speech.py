"""Granite Speech: Conformer encoder, Q-Former windows of three positions, Granite decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import GraniteSpeechProcessor

from tempo_attn.families.granite_mel import GraniteSpeechFeatureExtractor
from tempo_attn.families.shared.audio_half import load_audio_half
from tempo_attn.families.shared.heard_alone import hear_alone, process_alone
from tempo_attn.families.shared.processors import Wave, feature_extractor, where
from tempo_attn.families.shared.speech_adapter import require_adapters, switch_by_audio
from tempo_attn.families.shared.string_chats import StringChatFamily

# The day of the authors' example. A template's own macro goes before the clock of this name.
_DAY = "{% macro strftime_now(form) %}December 19, 2024{% endmacro %}"
_LONGEST = 10 * 60.0  # no window is published


class GraniteSpeech(StringChatFamily):
    """Granite Speech 3.x (arXiv 2505.08699) and its Plus models.

    Checkpoints bring a LoRA of their own for speech; it changes the projections of the decoder's
    attention modules, not the modules. Layers of a hybrid decoder without attention are None.
    """

    name = "granite-speech"
    model_types = ("granite_speech", "granite_speech_plus")

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`: with a feature extractor that needs no torchaudio."""
        parts = GraniteSpeechProcessor, pretrained, GraniteSpeechFeatureExtractor
        return load_audio_half(*parts, **kwargs)

    def check(self, config: Any, processor: Any) -> None:
        """See `Family.check`; a checkpoint with a LoRA for audio is refused without peft."""
        super().check(config, processor)
        if getattr(config, "has_lora_adapter", False):
            # Transformers only warns, and the model answers without it.
            require_adapters("granite", f"{where(config)} (Granite Speech's LoRA for audio)")

    def prepare(self, model: nn.Module, **kwargs: Any) -> None:
        """See `Family.prepare`."""
        hear_alone(model, beside="projector")
        switch_by_audio(model, "input_features")

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`."""
        return _LONGEST

    def template(self, processor: Any) -> str | None:
        """Return the chat template; one that asks for today's date gets the same day always."""
        template = super().template(processor)
        return None if template is None else _DAY + template

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""

        def extract(wave: Wave) -> tuple[Any, int]:
            heard = feature_extractor(processor)(wave)
            return heard["input_features"][0], heard["audio_embed_sizes"][0]

        inputs, features, counts = process_alone(self, processor, prompts, waves, extract)
        if features is not None:
            inputs["input_features"] = features
            real = torch.arange(max(counts))[None] < torch.tensor(counts)[:, None]
            inputs["input_features_mask"] = real
        return inputs

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`: three for each begun window of 15 frames of 20 ms."""
        extractor = feature_extractor(processor)
        frames = (n_samples // int(extractor.melspec_kwargs["hop_length"]) + 1) // 2
        window = int(extractor.projector_window_size)
        return -(-frames // window) * (window // int(extractor.projector_downsample_rate))

"""Phi-4-multimodal: Conformer encoder; the decoder's layers are the top model's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import Phi4MultimodalProcessor

from tempo_attn.families.shared.audio_half import load_audio_half
from tempo_attn.families.shared.heard_alone import hear_alone, process_alone
from tempo_attn.families.shared.processors import Wave, feature_extractor
from tempo_attn.families.shared.speech_adapter import has_folder, load_folder, switch_by_audio
from tempo_attn.families.shared.string_chats import StringChatFamily

_LORA = "speech-lora"
_LONGEST = 30 * 60.0


class Phi4Multimodal(StringChatFamily):
    """Phi-4-multimodal in transformers' own class (arXiv 2503.01743).

    Its LoRA for audio lies in the checkpoint's folder `speech-lora`, and is loaded from there.
    """

    name = "phi-4-multimodal"
    model_types = ("phi4_multimodal",)

    def audio_token_id(self, config: Any) -> int:
        """See `Family.audio_token_id`; it is kept with the encoder's configuration."""
        return super().audio_token_id(config.audio_config)

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`: without images, which would need torchvision."""
        return load_audio_half(Phi4MultimodalProcessor, pretrained, **kwargs)

    def check(self, config: Any, processor: Any) -> None:
        """See `Family.check`.

        Raises:
            MissingExtraError: The checkpoint has a LoRA for audio, and no peft could load it.
        """
        super().check(config, processor)
        has_folder(config, _LORA, "phi4")

    def prepare(self, model: nn.Module, **kwargs: Any) -> None:
        """See `Family.prepare`; without the LoRA, the model was not trained for audio."""
        hear_alone(model, beside="up_proj_for_speech")
        load_folder(model, _LORA, "phi4")
        switch_by_audio(model, "audio_input_features")

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`: heard in windows of 40 s, up to half an hour by its authors."""
        return _LONGEST

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""

        def extract(wave: Wave) -> tuple[Any, int]:
            heard = feature_extractor(processor)(wave, self.sampling_rate(processor))
            return heard["audio_input_features"][0], int(heard["audio_embed_sizes"][0])

        inputs, features, counts = process_alone(self, processor, prompts, waves, extract)
        if features is not None:
            inputs["audio_input_features"] = features
            inputs["audio_embed_sizes"] = torch.tensor(counts)
        return inputs

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`: whole mel frames, by eights."""
        extractor = feature_extractor(processor)
        frames = (n_samples - int(extractor.win_length)) // int(extractor.hop_length) + 1
        positions = -(-frames // int(extractor.audio_compression_rate))
        return -(-positions // int(extractor.audio_downsample_rate))

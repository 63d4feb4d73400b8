"""Tiny checkpoints of each family that the harness takes: real processor and real class.

Of DeSTA2.5 and Kimi-Audio the class is a stand-in.

model, processor = CHECKPOINTS["voxtral"]()
save("voxtral", folder)              # as `from_pretrained` reads it
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from torch import nn

from tests.support import stand_in_desta, stand_in_kimi, tiny_models, tiny_processors, tiny_tekken
from tests.support.tiny_models import FAMILIES, MELS, TEXT, WHISPER, strong
from tests.support.tiny_processors import PROCESSORS, save_processor

Checkpoint = tuple[nn.Module, Any]


def of_tiny_models(name: str) -> Checkpoint:
    return FAMILIES[name]().model, PROCESSORS[name]()


def whole_omni(name: str) -> Checkpoint:
    """A full model (without its talker), out of which the harness takes the thinker."""
    return FAMILIES[name]().model, PROCESSORS[f"{name}_thinker"]()


def gemma3n() -> Checkpoint:
    """With as many positions as the released one, for clips of some seconds."""
    return tiny_models.gemma3n(188).model, tiny_processors.gemma3n(188)


def voxtral(*, audio: bool = True) -> Checkpoint:
    """Whole windows of 30 s, as in the real one: mistral-common and the processor have them fixed.

    The encoder has 1,500 frames, and four of them are one position: 375 for a window.
    """
    from transformers.tokenization_mistral_common import MistralCommonBackend

    torch.manual_seed(0)
    encoder = {**WHISPER, "max_source_positions": 1500, "encoder_ffn_dim": 64}
    text = {"vocab_size": tiny_tekken.SIZE, "max_position_embeddings": 2048, "pad_token_id": 11}
    config = tf.VoxtralConfig(
        audio_config={"model_type": "voxtral_encoder", "intermediate_size": 64, **encoder},
        text_config={"model_type": "llama", **TEXT, **text},
        audio_token_id=24,
    )
    tokenizer = MistralCommonBackend(tiny_tekken.tekken_file(MELS, audio=audio))
    processor = tf.VoxtralProcessor(tf.WhisperFeatureExtractor(feature_size=MELS), tokenizer)
    return strong(tf.VoxtralForConditionalGeneration(config)), processor


CHECKPOINTS: dict[str, Callable[[], Checkpoint]] = {
    **{name: partial(of_tiny_models, name) for name in PROCESSORS},
    "gemma3n": gemma3n,
    "voxtral": voxtral,
    "desta25": stand_in_desta.checkpoint,
    "kimi_audio": stand_in_kimi.checkpoint,
    "qwen2_5_omni": partial(whole_omni, "qwen2_5_omni"),
    "qwen3_omni_moe": partial(whole_omni, "qwen3_omni_moe"),
}


ARGUMENTS: dict[str, dict[str, Any]] = {"kimi_audio": {"trust_remote_code": True}}
"""Further model arguments, without which a checkpoint is refused."""


def save(name: str, folder: Path) -> Path:
    """Write a checkpoint as `from_pretrained` reads it."""
    model, processor = CHECKPOINTS[name]()
    folder.mkdir(exist_ok=True)
    save_processor(processor, folder)
    model.save_pretrained(folder)  # type: ignore[operator]
    return folder

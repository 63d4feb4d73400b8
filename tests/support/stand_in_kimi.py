"""A tiny checkpoint of Kimi-Audio: a stand-in for its remote code, and the files that go with it.

Real are the format of the tokenizer's file, Whisper, and the steps from clips to inputs.
"""

from __future__ import annotations

import shutil
from base64 import b64encode
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from safetensors.torch import save_file

from tempo_attn.families.kimi.kernel import importable
from tempo_attn.families.kimi.processor import KimiProcessor
from tempo_attn.families.kimi.speech_tokens import SpeechTokenizer
from tempo_attn.families.kimi.tokenizer import MEDIA_BEGIN, MEDIA_END, read_tokenizer
from tests.support.tiny_models import MELS, TEXT, WHISPER, strong

with importable():
    from tests.support.kimi_code import configuration_moonshot_kimia, modeling_moonshot_kimia

CODES = 32
MERGES = ("th", "he", "in", " a", "ou", "st", "whi", "is")
SPEECH = {
    "encoder_causal_convolution": True,
    "pooling_kernel_size": 4,
    "pooling_type": "avg",
    "pooling_position": 1,
    "quantize_vocab_size": CODES,
    "quantize_position": 1,
    "quantize_causal_block_size": 200,
    "quantize_encoder_only": True,
}


def write_tokenizer(folder: Path) -> None:
    """Write `tiktoken.model`: all bytes, and a few merges."""
    tokens = [bytes([byte]) for byte in range(256)] + [merge.encode() for merge in MERGES]
    tokens[256 + MERGES.index("whi")] = b"wh"
    lines = [f"{b64encode(token).decode()} {rank}" for rank, token in enumerate(tokens)]
    (folder / "tiktoken.model").write_text("\n".join(lines) + "\n")


def save_speech_tokenizer(folder: Path) -> None:
    """Write a speech tokenizer's weights, under the names that its file has."""
    config = tf.WhisperConfig(**{**WHISPER, "max_source_positions": 1500}, **SPEECH)
    torch.manual_seed(1)
    model = SpeechTokenizer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    config.save_pretrained(folder)
    save_file(model.state_dict(), folder / "model.safetensors")
    tf.WhisperFeatureExtractor(feature_size=MELS).save_pretrained(folder)


class Parts:
    """A checkpoint's model with its remote code, its Whisper and its speech tokenizer."""

    def save_pretrained(self, folder: Path) -> None:
        tokenizer = read_tokenizer(folder / "tiktoken.model")
        begin, end = tokenizer.convert_tokens_to_ids([MEDIA_BEGIN, MEDIA_END])
        config = configuration_moonshot_kimia.KimiAudioConfig(
            **{k: v for k, v in TEXT.items() if k not in ("head_dim", "vocab_size")},
            **{"vocab_size": len(tokenizer) + CODES, "kimia_token_offset": len(tokenizer)},
            **{"kimia_media_begin": begin, "kimia_media_end": end},
            kimia_adaptor_input_dim=4 * WHISPER["d_model"],
        )
        config.max_position_embeddings = 2048
        torch.manual_seed(0)
        model = strong(modeling_moonshot_kimia.MoonshotKimiaForCausalLM(config))
        names = configuration_moonshot_kimia, modeling_moonshot_kimia
        files = [Path(str(module.__file__)) for module in names]
        config.auto_map = {
            "AutoConfig": "configuration_moonshot_kimia.KimiAudioConfig",
            "AutoModelForCausalLM": "modeling_moonshot_kimia.MoonshotKimiaForCausalLM",
        }
        config.architectures = ["MoonshotKimiaForCausalLM"]
        model.save_pretrained(folder)
        for file in files:
            shutil.copy(file, folder)
        decoder = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32}
        ids = {"pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 1}
        ids |= {"vocab_size": 60, "decoder_start_token_id": 1}
        size = {**WHISPER, "max_source_positions": 1500}
        whisper = tf.WhisperModel(tf.WhisperConfig(**size, **decoder, **ids))
        strong(whisper).save_pretrained(folder / "whisper-large-v3")
        save_speech_tokenizer(folder / "glm-4-voice-tokenizer")


class Processor(KimiProcessor):
    """Of a checkpoint's files, those that no part of it writes."""

    def __init__(self) -> None:
        """Nothing: it is read from the folder."""

    def save_pretrained(self, folder: Path) -> None:
        write_tokenizer(folder)
        for name in ("whisper-large-v3", "glm-4-voice-tokenizer"):
            (folder / name).mkdir()


def checkpoint() -> tuple[Any, Any]:
    """Return a model and a processor that can be saved, the processor first."""
    return Parts(), Processor()

"""A stand-in for the package `desta`, which no index has, for the harness: `import desta` finds it.

A checkpoint of DeSTA2.5 holds what was trained and names a language model and a Whisper, which the
class loads itself. Written from a description, as `stand_ins.py`; here with a real tiny Whisper,
and as for transformers 4: of what an encoder layer returns it takes the first.
"""

from __future__ import annotations

import string
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import transformers as tf
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn

from tempo_attn.families.desta.processor import DestaProcessor
from tests.support.stand_ins import Desta, DestaConfig
from tests.support.tiny_models import MELS, TEXT, WHISPER, strong

POSITIONS = 6
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


class Perception(nn.Module):
    """Layers of Whisper's encoder one by one, then `prompt_size` positions of the last."""

    def __init__(self, config: DestaConfig, hidden_size: int) -> None:
        super().__init__()
        self.whisper = tf.WhisperForConditionalGeneration.from_pretrained(config.encoder_model_id)
        self.pool = nn.AdaptiveAvgPool1d(config.prompt_size)
        self.connector = nn.Linear(self.whisper.config.d_model, hidden_size)

    def forward(self, input_features: Tensor, **kwargs: Any) -> tuple[Tensor, list[int]]:
        heard = self.forward_whisper(input_features)
        return heard, [heard.shape[1]] * len(heard)

    def forward_whisper(self, input_features: Tensor) -> Tensor:
        encoder = self.whisper.model.encoder
        hidden = nn.functional.gelu(encoder.conv1(input_features))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).permute(0, 2, 1)
        hidden = hidden + encoder.embed_positions.weight
        for layer in encoder.layers:
            hidden = layer(hidden, attention_mask=None)[0]
        return self.connector(self.pool(hidden.transpose(1, 2)).transpose(1, 2))


class DeSTA25AudioModel(Desta):
    """Loads its parts by their names; saves and names as weights what was trained."""

    def __init__(self, config: DestaConfig) -> None:
        llm = tf.LlamaForCausalLM.from_pretrained(config.llm_model_id, dtype=torch.bfloat16)
        super().__init__(config, llm, MELS)
        self.perception = Perception(config, llm.config.hidden_size)

    @classmethod
    def from_pretrained(cls, folder: str, **kwargs: Any) -> Any:
        model = cls(DestaConfig.from_pretrained(folder))
        model.load_state_dict(load_file(Path(folder, "model.safetensors")), strict=False)
        return model

    def state_dict(self) -> dict[str, Tensor]:
        prefix = "perception.connector."
        return {prefix + k: v for k, v in self.perception.connector.state_dict().items()}

    def generate(self, messages: Any, **kwargs: Any) -> Any:
        raise AssertionError("it takes messages and files")


def install() -> None:
    """Let `import desta` find the stand-in."""
    module = ModuleType("desta")
    module.__spec__ = ModuleSpec("desta", None)
    vars(module)["DeSTA25AudioModel"] = DeSTA25AudioModel
    sys.modules["desta"] = module


def tokenizer() -> tf.PreTrainedTokenizerFast:
    """Single characters; ids without a gap, for the marker of audio gets the next one."""
    special = ["<pad>", "<unk>", "<eos>", "<|reserved_special_token_87|>"]
    characters = string.ascii_letters + string.digits + " .,:?'\n<>_|"
    vocab = {token: number for number, token in enumerate([*special, *characters])}
    built = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    built.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    built.decoder = decoders.Fuse()
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=built,
        eos_token="<eos>",
        additional_special_tokens=special,
        chat_template=TEMPLATE,
    )


class Processor(DestaProcessor):
    """The real checkpoint's parts have repositories of their own; here they lie beside it."""

    def save_pretrained(self, folder: Path) -> None:
        tokenizer().save_pretrained(folder / "llama")
        self.feature_extractor.save_pretrained(folder / "whisper")


class Parts:
    """The weights of a checkpoint, to be saved."""

    def save_pretrained(self, folder: Path) -> None:
        torch.manual_seed(0)
        text = {**TEXT, "max_position_embeddings": 4096, "vocab_size": 120}
        strong(tf.LlamaForCausalLM(tf.LlamaConfig(**text))).save_pretrained(folder / "llama")
        decoder = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32}
        ids = {"pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 1}
        ids |= {"vocab_size": 60, "decoder_start_token_id": 1}
        config = tf.WhisperConfig(
            **{**WHISPER, "encoder_layers": 2, "max_source_positions": 1500}, **decoder, **ids
        )
        whisper = strong(tf.WhisperForConditionalGeneration(config))
        whisper.save_pretrained(folder / "whisper")
        named = {
            "prompt_size": POSITIONS,
            "llm_model_id": str(folder / "llama"),
            "encoder_model_id": str(folder / "whisper"),
        }
        config = DestaConfig(**named)
        config.save_pretrained(folder)
        weights = DeSTA25AudioModel(config).state_dict()
        weights = {name: 3 * weight for name, weight in weights.items()}
        save_file(weights, folder / "model.safetensors")


def checkpoint() -> tuple[Any, Any]:
    """Return a model and a processor that can be saved; the package is found from then on."""
    install()
    features = tf.WhisperFeatureExtractor(feature_size=MELS)
    return Parts(), Processor(tokenizer(), features, POSITIONS)

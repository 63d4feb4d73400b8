"""The discrete half of Kimi-Audio's audio: GLM-4-Voice's speech tokenizer, 12.5 tokens a second.

The first layers of a Whisper encoder with causal convolutions and attention in blocks; four frames
are pooled, and each pool becomes the nearest entry of a codebook. The authors' class needs
transformers 4; this one reads the same weights and gives the same tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import gelu, pad
from transformers import PreTrainedConfig, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer
from transformers.utils.hub import cached_file

from tempo_attn.errors import UnsupportedModelError

REPOSITORY = "THUDM/glm-4-voice-tokenizer"
"""Where Kimi-Audio's package takes it from."""
_PREFIXES = ("model.encoder.", "encoder.", "model.")


class SpeechTokenizer(nn.Module):
    """Turns mel features into speech tokens.

    Args:
        config: Of WhisperVQEncoder, as its file says.
    """

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.config: Any = config
        config._attn_implementation = "sdpa"
        width = config.d_model
        causal = bool(getattr(config, "encoder_causal_convolution", False))
        self.left = 2 if causal else 1
        self.right = 0 if causal else 1
        self.conv1 = nn.Conv1d(config.num_mel_bins, width, kernel_size=3)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2)
        self.embed_positions = nn.Embedding(config.max_source_positions, width)
        # Later layers, where a file has them, hear the codebook's entries and give no tokens.
        layers = range(self.config.quantize_position)
        self.layers = nn.ModuleList(WhisperEncoderLayer(config) for _ in layers)
        self.codebook = nn.Embedding(self.config.quantize_vocab_size, width)
        size = self.config.pooling_kernel_size
        self.pooling = {"avg": nn.AvgPool1d, "max": nn.MaxPool1d}[self.config.pooling_type](size)

    @torch.no_grad()
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the tokens of one clip's windows.

        Args:
            features: (windows, bands, frames), the frames a multiple of the pool's.
            mask: Frames that are not padding, (windows, frames).

        Returns:
            The windows' tokens one after the other, (tokens,).
        """
        features = features.to(self.conv1.weight)
        hidden = gelu(self.conv1(pad(features, (self.left, self.right))))
        hidden = gelu(self.conv2(pad(hidden, (self.left, self.right)))).transpose(1, 2)
        hidden = hidden + self.embed_positions.weight[: hidden.shape[1]]
        mask, block = mask[:, ::2].bool(), getattr(self.config, "quantize_causal_block_size", None)
        for number, layer in enumerate(self.layers, 1):
            out = layer(hidden, attention_mask=self._visible(mask, block))
            hidden = out[0] if isinstance(out, tuple) else out
            if number == self.config.pooling_position:
                hidden = self.pooling(hidden.transpose(1, 2)).transpose(1, 2)
                mask = mask[:, :: self.config.pooling_kernel_size]
                block = block and block // self.config.pooling_kernel_size
        # As the authors' class: rounding decides between neighbours that are as near.
        codes, flat = self.codebook.weight, hidden.flatten(0, 1)
        offset = codes.square().sum(1) + flat.square().sum(1, keepdim=True)
        nearest = torch.addmm(offset, flat, codes.T, alpha=-2.0).argmin(1)
        return nearest.view(hidden.shape[:2])[mask]

    def _visible(self, mask: Tensor, block: int | None) -> Tensor:
        """Return which keys each query sees, (windows, 1, queries, keys) bool."""
        n = mask.shape[1]
        place = torch.arange(n, device=mask.device)
        config = self.config
        if getattr(config, "encoder_causal_attention", False) or getattr(
            config, "quantize_causal_encoder", False
        ):
            return (place[:, None] >= place)[None, None].expand(len(mask), 1, n, n)
        seen = mask[:, None, None, :].expand(-1, 1, n, n)
        if block:  # all of its own block, and all blocks before
            seen = seen & (place[:, None] // block >= place // block)
        return seen


def load_speech_tokenizer(pretrained: str, **kwargs: Any) -> SpeechTokenizer:
    """Load a speech tokenizer's weights, float32.

    Args:
        pretrained: Folder or Hub id.
        kwargs: Of `cached_file`.

    Raises:
        UnsupportedModelError: The file's weights are not those of a speech tokenizer.
    """
    config = speech_config(pretrained, **kwargs)
    model = SpeechTokenizer(config)
    wanted = model.state_dict()
    found = {}
    for name, weight in load_file(
        str(cached_file(pretrained, "model.safetensors", **kwargs))
    ).items():
        prefix = next((part for part in _PREFIXES if name.startswith(part)), "")
        if name[len(prefix) :] in wanted:
            found[name[len(prefix) :]] = weight.float()
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise UnsupportedModelError(
            f"{pretrained} has no weights {', '.join(missing[:3])} ({len(missing)} of "
            f"{len(wanted)} are missing); expected GLM-4-Voice's speech tokenizer, as in "
            f"{REPOSITORY}"
        )
    model.load_state_dict(found)
    return model.eval()


def speech_config(pretrained: str, **kwargs: Any) -> WhisperConfig:
    """Read the configuration of a speech tokenizer.

    Raises:
        UnsupportedModelError: It is of something else.
    """
    file, _ = PreTrainedConfig.get_config_dict(pretrained, **kwargs)
    config: Any = WhisperConfig(**{k: v for k, v in file.items() if k != "model_type"})
    if not getattr(config, "quantize_vocab_size", None) or not (
        getattr(config, "pooling_kernel_size", None)
        and config.pooling_position <= config.quantize_position
    ):
        raise UnsupportedModelError(
            f"{pretrained} is no speech tokenizer: its config.json has no quantize_vocab_size and "
            f"no pooling_kernel_size. Expected GLM-4-Voice's, as in {REPOSITORY}"
        )
    return config  # type: ignore[no-any-return]


def speech_tokenizer_of(pretrained: str) -> str:
    """Return where a checkpoint's speech tokenizer is: a folder in it, else the authors' own."""
    inside = Path(pretrained) / REPOSITORY.rpartition("/")[2]
    return str(inside) if inside.is_dir() else REPOSITORY

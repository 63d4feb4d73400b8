"""Stand-ins for two models whose classes no package index has.

Written from a description of their layout: names, argument names and the order of the steps are
those that a family relies on; sizes, encoders and kernels are not. They cannot show that a released
checkpoint works, only that the family handles this layout.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedConfig, PreTrainedModel, Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import (
    Qwen2MLP,
    Qwen2RMSNorm,
    Qwen2RotaryEmbedding,
    apply_rotary_pos_emb,
)

# ------------------------------------------------------------------------------ DeSTA2.5-Audio


class DestaConfig(PreTrainedConfig):
    model_type = "desta25"

    def __init__(self, prompt_size: int = 64, **kwargs: Any) -> None:
        self.prompt_size = prompt_size
        super().__init__(**kwargs)


class Perception(nn.Module):
    """Turns (audios, bands, frames) into `prompt_size` embeddings for each audio."""

    def __init__(self, bands: int, prompt_size: int, hidden_size: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool1d(prompt_size)
        self.proj = nn.Linear(bands, hidden_size)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        out = self.proj(self.pool(features).transpose(1, 2))
        return out, torch.full((len(out),), out.shape[1])


class Desta(PreTrainedModel):
    """Layout of DeSTA25AudioModel: the LLM sees embeddings only."""

    config_class = DestaConfig

    def __init__(self, config: DestaConfig, llm: LlamaForCausalLM, bands: int) -> None:
        super().__init__(config)
        self.llm_model = llm
        self.perception = Perception(bands, config.prompt_size, llm.config.hidden_size)

    def _prepare_inputs_for_llm(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        batch_features: Tensor,
        batch_transcription_ids: list[Tensor],
        batch_start_positions: list[tuple[int, int]],
    ) -> Tensor:
        embed = self.llm_model.model.embed_tokens
        embeds = embed(input_ids).clone()
        heard, lengths = self.perception(batch_features)
        for number, (row, start) in enumerate(batch_start_positions):
            text = embed(batch_transcription_ids[number].reshape(-1))
            both = torch.cat([heard[number, : lengths[number]], text])
            embeds[row, start : start + len(both)] = both
        return embeds

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        batch_features: Tensor,
        batch_transcription_ids: list[Tensor],
        batch_start_positions: list[tuple[int, int]],
        labels: Tensor | None = None,
    ) -> Any:
        embeds = self._prepare_inputs_for_llm(
            input_ids=input_ids,
            attention_mask=attention_mask,
            batch_features=batch_features,
            batch_transcription_ids=batch_transcription_ids,
            batch_start_positions=batch_start_positions,
        )
        return self.llm_model(inputs_embeds=embeds, attention_mask=attention_mask, labels=labels)

    @torch.no_grad()
    def generate(self, messages: dict[str, Any], **kwargs: Any) -> Tensor:
        """Answer prepared inputs; the real one makes them from chat messages first."""
        embeds = self._prepare_inputs_for_llm(**messages)
        ids: Tensor = self.llm_model.generate(
            inputs_embeds=embeds, attention_mask=messages["attention_mask"], **kwargs
        )
        return ids


# ------------------------------------------------------------------------------ Kimi-Audio


class KimiConfig(Qwen2Config):
    model_type = "kimi_audio"


class MoonshotAttention(nn.Module):
    """Asks no attention registry: the kernel is a method, and the cache a pair of tensors."""

    def __init__(self, config: KimiConfig) -> None:
        super().__init__()
        self.config = config
        self.num_heads = config.num_attention_heads
        self.num_key_value_heads = config.num_key_value_heads
        self.head_dim = config.hidden_size // self.num_heads
        width = self.num_key_value_heads * self.head_dim
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, width)
        self.v_proj = nn.Linear(config.hidden_size, width)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(
        self,
        hidden_states: Tensor,
        rotary: tuple[Tensor, Tensor],
        padding_mask: Tensor | None,
        past_key_value: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        n_batch, q_len, _ = hidden_states.shape
        split = (n_batch, q_len, -1, self.head_dim)
        query = self.q_proj(hidden_states).view(split).transpose(1, 2)
        key = self.k_proj(hidden_states).view(split).transpose(1, 2)
        value = self.v_proj(hidden_states).view(split).transpose(1, 2)
        query, key = apply_rotary_pos_emb(query, key, *rotary)
        if past_key_value is not None:
            key = torch.cat([past_key_value[0], key], 2)
            value = torch.cat([past_key_value[1], value], 2)
        present = (key, value)
        out = self._flash_attention_forward(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            padding_mask,
            q_len,
            dropout=0.0,
        )
        return self.o_proj(out.reshape(n_batch, q_len, -1)), present

    def _flash_attention_forward(
        self,
        query_states: Tensor,
        key_states: Tensor,
        value_states: Tensor,
        padding_mask: Tensor | None,
        query_length: int,
        dropout: float = 0.0,
    ) -> Tensor:
        """Causal attention aligned at the last key; (batch, tokens, heads, dim) in and out."""
        n_keys = key_states.shape[1]
        allowed = torch.ones(query_length, n_keys, dtype=torch.bool).tril(n_keys - query_length)
        if padding_mask is not None:
            # A padded row sees itself: flash attention leaves padding out, sdpa would give NaN.
            itself = torch.eye(n_keys, dtype=torch.bool)[-query_length:]
            allowed = (allowed & padding_mask.bool()[:, None]) | itself
            allowed = allowed[:, None]
        out = nn.functional.scaled_dot_product_attention(
            query_states.transpose(1, 2),
            key_states.transpose(1, 2),
            value_states.transpose(1, 2),
            attn_mask=allowed,
            dropout_p=dropout,
            enable_gqa=True,
        )
        return out.transpose(1, 2)


class KimiLayer(nn.Module):
    def __init__(self, config: KimiConfig) -> None:
        super().__init__()
        self.self_attn = MoonshotAttention(config)
        self.mlp = Qwen2MLP(config)
        self.input_layernorm = Qwen2RMSNorm(config.hidden_size)
        self.post_attention_layernorm = Qwen2RMSNorm(config.hidden_size)

    def forward(self, hidden: Tensor, *args: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        attended, present = self.self_attn(self.input_layernorm(hidden), *args)
        hidden = hidden + attended
        return hidden + self.mlp(self.post_attention_layernorm(hidden)), present


class KimiModel(PreTrainedModel):
    config_class = KimiConfig

    def __init__(self, config: KimiConfig, whisper_size: int, branch: int = 1) -> None:
        super().__init__(config)
        self.branch = branch
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.vq_adaptor = nn.Linear(whisper_size, config.hidden_size)
        layers = range(config.num_hidden_layers)
        self.layers = nn.ModuleList(KimiLayer(config) for _ in layers)
        self.mimo_layers = nn.ModuleList([KimiLayer(config)])
        self.norm = Qwen2RMSNorm(config.hidden_size)
        self.mimo_norm = Qwen2RMSNorm(config.hidden_size)
        self.rotary_emb = Qwen2RotaryEmbedding(config)

    def forward(
        self,
        input_ids: Tensor,
        text_input_ids: Tensor,
        whisper_input_feature: Tensor | None,
        is_continuous_mask: Tensor | None,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        past_key_values: list[tuple[Tensor, Tensor]] | None,
    ) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
        hidden = self.embed_tokens(input_ids)
        if whisper_input_feature is not None and is_continuous_mask is not None:
            heard = hidden.clone()
            heard[is_continuous_mask] += self.vq_adaptor(whisper_input_feature)
            hidden = torch.where(is_continuous_mask[..., None], heard * 2**0.5, hidden)
        hidden = hidden + self.embed_tokens(text_input_ids)
        seen = past_key_values[0][0].shape[2] if past_key_values else 0
        if position_ids is None:
            position_ids = torch.arange(seen, seen + hidden.shape[1])[None]
        rotary = self.rotary_emb(hidden, position_ids)
        padded = attention_mask is not None and bool((attention_mask == 0).any())
        padding_mask = attention_mask if padded else None
        past = iter(past_key_values or [None] * (len(self.layers) + len(self.mimo_layers)))
        presents, spoken = [], hidden
        for number, layer in enumerate(self.layers):
            hidden, present = layer(hidden, rotary, padding_mask, next(past))
            presents.append(present)
            if number == self.branch:
                spoken = hidden
        for layer in self.mimo_layers:
            spoken, present = layer(spoken, rotary, padding_mask, next(past))
            presents.append(present)
        return self.norm(hidden), self.mimo_norm(spoken), presents


class Kimi(PreTrainedModel):
    """Layout of MoonshotKimiaForCausalLM: two token streams in, text and audio logits out."""

    config_class = KimiConfig
    base_model_prefix = "model"

    def __init__(self, config: KimiConfig, whisper_size: int) -> None:
        super().__init__(config)
        self.model = KimiModel(config, whisper_size)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.mimo_output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(
        self,
        input_ids: Tensor,
        text_input_ids: Tensor,
        whisper_input_feature: Tensor | None = None,
        is_continuous_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: list[tuple[Tensor, Tensor]] | None = None,
    ) -> Any:
        hidden, spoken, presents = self.model(
            input_ids,
            text_input_ids,
            whisper_input_feature,
            is_continuous_mask,
            attention_mask,
            position_ids,
            past_key_values,
        )
        return SimpleNamespace(
            logits=self.lm_head(hidden),
            audio_logits=self.mimo_output(spoken),
            past_key_values=presents,
        )

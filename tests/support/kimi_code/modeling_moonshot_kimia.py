import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.models.qwen2.modeling_qwen2 import (
    Qwen2MLP,
    Qwen2PreTrainedModel,
    Qwen2RMSNorm,
    apply_rotary_pos_emb,
)
from transformers.utils import is_flash_attn_2_available as is_flash_attn_available

from .configuration_moonshot_kimia import KimiAudioConfig

if is_flash_attn_available():
    from flash_attn import flash_attn_func
else:
    raise RuntimeError("flash attention must be installed")


class RotaryEmbedding(nn.Module):
    """Its tables are no part of the weights: transformers 5 leaves them empty."""

    def __init__(self, dim, max_position_embeddings, base):
        super().__init__()
        self.dim, self.base = dim, base
        inv_freq = 1.0 / (base ** (torch.arange(0, dim, 2).float() / dim))
        angles = torch.outer(torch.arange(max_position_embeddings).float(), inv_freq)
        angles = torch.cat((angles, angles), dim=-1)
        self.register_buffer("inv_freq", inv_freq, persistent=False)
        self.register_buffer("cos_cached", angles.cos(), persistent=False)
        self.register_buffer("sin_cached", angles.sin(), persistent=False)

    def forward(self, x, seq_len=None):
        return self.cos_cached[:seq_len].to(x.dtype), self.sin_cached[:seq_len].to(x.dtype)


class MoonshotAttention(nn.Module):
    """Asks no attention registry: the kernel is a method, and the cache a pair of tensors."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.hidden_size = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.head_dim = self.hidden_size // self.num_heads
        self.num_key_value_heads = config.num_key_value_heads
        width = self.num_key_value_heads * self.head_dim
        self.q_proj = nn.Linear(self.hidden_size, self.hidden_size)
        self.k_proj = nn.Linear(self.hidden_size, width)
        self.v_proj = nn.Linear(self.hidden_size, width)
        self.o_proj = nn.Linear(self.hidden_size, self.hidden_size, bias=False)
        self.rotary_emb = RotaryEmbedding(
            self.head_dim, config.max_position_embeddings, config.rope_theta
        )

    def forward(
        self,
        hidden_states,
        attention_mask=None,
        position_ids=None,
        past_key_value=None,
        output_attentions=False,
        use_cache=False,
        padding_mask=None,
    ):
        bsz, q_len, _ = hidden_states.size()
        split = (bsz, q_len, -1, self.head_dim)
        query_states = self.q_proj(hidden_states).view(split).transpose(1, 2)
        key_states = self.k_proj(hidden_states).view(split).transpose(1, 2)
        value_states = self.v_proj(hidden_states).view(split).transpose(1, 2)
        kv_seq_len = key_states.shape[-2]
        if past_key_value is not None:
            kv_seq_len += past_key_value[0].shape[-2]
        cos, sin = self.rotary_emb(value_states, seq_len=kv_seq_len)
        query_states, key_states = apply_rotary_pos_emb(
            query_states, key_states, cos[position_ids], sin[position_ids], position_ids
        )
        if past_key_value is not None:
            key_states = torch.cat([past_key_value[0], key_states], dim=2)
            value_states = torch.cat([past_key_value[1], value_states], dim=2)
        past_key_value = (key_states, value_states) if use_cache else None
        attn_output = self._flash_attention_forward(
            query_states.transpose(1, 2),
            key_states.transpose(1, 2),
            value_states.transpose(1, 2),
            padding_mask,
            q_len,
            dropout=0.0,
        )
        attn_output = attn_output.reshape(bsz, q_len, self.hidden_size)
        return self.o_proj(attn_output), None, past_key_value

    def _flash_attention_forward(
        self,
        query_states,
        key_states,
        value_states,
        padding_mask,
        query_length,
        dropout=0.0,
        softmax_scale=None,
    ):
        assert padding_mask is None
        return flash_attn_func(
            query_states,
            key_states,
            value_states,
            dropout,
            softmax_scale=softmax_scale,
            causal=True,
        )


class MoonshotDecoderLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.self_attn = MoonshotAttention(config)
        self.mlp = Qwen2MLP(config)
        self.input_layernorm = Qwen2RMSNorm(config.hidden_size)
        self.post_attention_layernorm = Qwen2RMSNorm(config.hidden_size)

    def forward(
        self,
        hidden_states,
        attention_mask=None,
        position_ids=None,
        past_key_value=None,
        output_attentions=False,
        use_cache=False,
        padding_mask=None,
    ):
        attended, _, present = self.self_attn(
            hidden_states=self.input_layernorm(hidden_states),
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_value=past_key_value,
            output_attentions=output_attentions,
            use_cache=use_cache,
            padding_mask=padding_mask,
        )
        hidden_states = hidden_states + attended
        hidden_states = hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))
        return (hidden_states, present) if use_cache else (hidden_states,)


class MoonshotKimiaModel(Qwen2PreTrainedModel):
    config_class = KimiAudioConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            [MoonshotDecoderLayer(config) for _ in range(config.num_hidden_layers)]
        )
        self.norm = Qwen2RMSNorm(config.hidden_size)
        self.mimo_layers = nn.ModuleList(
            [MoonshotDecoderLayer(config) for _ in range(config.kimia_mimo_layers)]
        )
        self.mimo_norm = Qwen2RMSNorm(config.hidden_size)
        self.vq_adaptor = nn.Sequential(
            nn.Linear(config.kimia_adaptor_input_dim, config.hidden_size),
            nn.SiLU(),
            nn.Linear(config.hidden_size, config.hidden_size),
            nn.LayerNorm(config.hidden_size),
        )
        self.post_init()

    def forward(
        self,
        input_ids=None,
        text_input_ids=None,
        whisper_input_feature=None,
        is_continuous_mask=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        output_attentions=None,
        output_hidden_states=None,
        return_dict=None,
    ):
        past = 0 if past_key_values is None else past_key_values[0][0].shape[2]
        if inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids)
            if whisper_input_feature is not None:
                starts = (input_ids == self.config.kimia_media_begin).nonzero()
                ends = (input_ids == self.config.kimia_media_end).nonzero()
                size = whisper_input_feature[0].shape[-1]
                # One row of features for the whole batch.
                features = inputs_embeds.new_zeros(input_ids.shape[1], size)
                for clip, ((_, start), (_, end)) in enumerate(zip(starts, ends, strict=True)):
                    features[start + 1 : end] = whisper_input_feature[clip].squeeze(0)
                mask = is_continuous_mask[:, :, None]
                heard = (inputs_embeds + self.vq_adaptor(features)[None] * mask) * 2**0.5
                inputs_embeds = torch.where(mask, heard, inputs_embeds)
            inputs_embeds = inputs_embeds + self.embed_tokens(text_input_ids)
        if position_ids is None:
            position_ids = torch.arange(past, past + inputs_embeds.shape[1])[None]
        hidden_states, mimo_hidden_states, presents = inputs_embeds, None, ()
        for idx, layer in enumerate([*self.layers, *self.mimo_layers]):
            if idx == len(self.layers):
                text_states, hidden_states = self.norm(hidden_states), mimo_hidden_states
            outputs = layer(
                hidden_states,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_value=None if past_key_values is None else past_key_values[idx],
                output_attentions=output_attentions,
                use_cache=use_cache,
                padding_mask=attention_mask,
            )
            hidden_states = outputs[0]
            if idx == self.config.kimia_mimo_transformer_from_layer_index:
                mimo_hidden_states = hidden_states.clone()
            presents += outputs[1:]
        if not len(self.mimo_layers):
            text_states, hidden_states = self.norm(hidden_states), mimo_hidden_states
        return BaseModelOutputWithPast(
            last_hidden_state=(text_states, self.mimo_norm(hidden_states)),
            past_key_values=presents if use_cache else None,
        )


class MoonshotKimiaForCausalLM(Qwen2PreTrainedModel):
    config_class = KimiAudioConfig

    def __init__(self, config):
        super().__init__(config)
        self.model = MoonshotKimiaModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.mimo_output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.model.embed_tokens

    def get_output_embeddings(self):
        return self.lm_head

    def get_decoder(self):
        return self.model

    def forward(self, return_dict=None, **inputs):
        outputs = self.model(**inputs)
        hidden_states, mimo_hidden_states = outputs.last_hidden_state
        text_logits = self.lm_head(hidden_states)
        audio_logits = self.mimo_output(mimo_hidden_states)
        if return_dict is False:
            return audio_logits, text_logits, outputs.past_key_values
        return CausalLMOutputWithPast(
            logits=(audio_logits, text_logits), past_key_values=outputs.past_key_values
        )

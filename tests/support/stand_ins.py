"""A stand-in for a model whose class no package index has; Kimi-Audio's is `kimi_code`.

Written from a description of their layout: names, argument names and the order of the steps are
those that a family relies on; sizes, encoders and kernels are not. They cannot show that a released
checkpoint works, only that the family handles this layout.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedConfig, PreTrainedModel

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

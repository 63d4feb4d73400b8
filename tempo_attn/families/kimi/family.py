"""Kimi-Audio: two token streams that are added, and an attention class of its own.

The class is remote code. A prompt has as many positions in the audio stream (`input_ids`) as in the
text stream (`text_input_ids`); the positions with Whisper features are `is_continuous_mask`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tempo_attn.attention.edited_attention import attend
from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families.base import Undo
from tempo_attn.families.kimi.in_harness import KimiInHarness
from tempo_attn.families.kimi.repair import check_rotary


class KimiAudio(KimiInHarness):
    """Kimi-Audio (arXiv 2504.18425); one position for 80 ms.

    The layers are the 28 shared ones; the six of the head that speaks are left alone.
    """

    name = "kimi-audio"
    model_types = ("kimi_audio",)

    def check_model(self, model: nn.Module) -> None:
        """See `Family.check_model`."""
        for attention in self.attentions(model):
            if attention is None or not hasattr(attention, "_flash_attention_forward"):
                raise UnsupportedModelError(
                    f"{type(attention).__name__} has no method '_flash_attention_forward', where "
                    "Kimi-Audio's attention is edited; expected the checkpoint's MoonshotAttention"
                )
            check_rotary(attention)

    def audio_mask(self, config: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        """See `Family.audio_mask`."""
        mask = inputs.get("is_continuous_mask")
        if mask is None:
            return torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
        return torch.as_tensor(mask).bool()

    def token_ids(self, inputs: Mapping[str, Any]) -> torch.Tensor | None:
        """See `Family.token_ids`: the text stream, which `input_ids` is where there is no other."""
        text = inputs.get("text_input_ids")
        return inputs.get("input_ids") if text is None else text

    def redirect(self, attention: nn.Module) -> Undo:
        """See `Family.redirect`; the kernel is a method of the module."""
        kernel: Any = attention._flash_attention_forward

        def edited(
            query: torch.Tensor,
            key: torch.Tensor,
            value: torch.Tensor,
            padding_mask: torch.Tensor | None,
            *args: Any,
            **kwargs: Any,
        ) -> torch.Tensor:
            output, _ = attend(
                attention,
                lambda: (kernel(query, key, value, padding_mask, *args, **kwargs), None),
                query.transpose(1, 2),
                key.transpose(1, 2),
                value.transpose(1, 2),
                padding_mask,
                scaling=query.shape[-1] ** -0.5,
            )
            return output

        attention._flash_attention_forward = edited  # type: ignore[assignment]
        return lambda: delattr(attention, "_flash_attention_forward")

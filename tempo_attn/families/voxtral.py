"""Voxtral: Whisper-like encoder, four frames in one `[AUDIO]` position of 80 ms, Llama decoder."""

from __future__ import annotations

from typing import Any

from tempo_attn.families.base import Family

AUDIO_TOKEN_ID = 24
"""`[AUDIO]` in Mistral's tokenizers; transformers' processor has it fixed, too."""


class Voxtral(Family):
    """Voxtral Mini and Small (arXiv 2507.13264)."""

    name = "voxtral"
    model_types = ("voxtral",)
    no_processor = (
        "its processor renders, tokenizes and loads audio in one step (apply_chat_template, with "
        "mistral-common), and the harness needs the rendered prompt in between"
    )

    def audio_token_id(self, config: Any) -> int:
        """See `Family.audio_token_id`; configurations may leave it out."""
        token_id = getattr(config, "audio_token_id", None)
        return AUDIO_TOKEN_ID if token_id is None else int(token_id)

"""What families share around processors: waveforms, parts of a chat, the audio token."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_attn.errors import NoAudioTokenError

Wave = npt.NDArray[np.float32]
"""Mono samples, (samples,)."""


def feature_extractor(processor: Any) -> Any:
    """Return the part of a processor that takes waveforms; some call it audio processor."""
    return getattr(processor, "feature_extractor", None) or processor.audio_processor


def message_parts(content: str) -> list[dict[str, str]]:
    """Split a message's text at `<audio>` into the structured content of chat templates."""
    parts: list[dict[str, str]] = []
    for number, text in enumerate(content.split(AUDIO_PLACEHOLDER)):
        if number:
            # Templates look for the type or for the key, depending on their age.
            parts.append({"type": "audio", "audio": ""})
        if text:
            parts.append({"type": "text", "text": text})
    return parts


def where(config: Any) -> str:
    """Return what errors call a model: its path, else the class of its configuration."""
    return getattr(config, "_name_or_path", "") or type(config).__name__


def require_audio_token(
    config: Any, processor: Any, wanted: int, token: str | None, family: str
) -> None:
    """Raise unless configuration and tokenizer agree on the audio token's id."""
    tokenizer = getattr(processor, "tokenizer", None)
    found = tokenizer.get_vocab().get(token) if tokenizer is not None and token else None
    if found is None or found != wanted:
        raise NoAudioTokenError(
            f"{where(config)}: a {family} checkpoint needs an audio token; found token {token!r} "
            f"with id {found} in the tokenizer and audio_token_id {wanted} in the configuration. "
            "Use a checkpoint whose processor and configuration belong together"
        )

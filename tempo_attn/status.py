"""What a wrapped model is doing: the value of `AttnScaleModel.status()`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tempo_attn.config import AttnScaleConfig


@dataclass(frozen=True)
class AttnScaleStatus:
    """What a wrapped model is doing.

    Attributes:
        enabled: Whether an edit is active now.
        active_adapter: Name of the active adapter, also while it is disabled.
        adapters: The configurations by name.
        layers: Edited layers of the active adapter.
        rows: Number of edited query rows of each prompt in the last prefill.
        audio_tokens: Number of edited key positions of each prompt in the last prefill.
        prefills: How often each layer was edited in a prefill, since the model was wrapped.
        steps: How often each layer was edited in a decoding step, since the model was wrapped.
    """

    enabled: bool
    active_adapter: str
    adapters: Mapping[str, AttnScaleConfig]
    layers: tuple[int, ...]
    rows: tuple[int, ...]
    audio_tokens: tuple[int, ...]
    prefills: Mapping[int, int]
    steps: Mapping[int, int]

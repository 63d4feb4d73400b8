"""Attention scaling for audio language models, and the laboratory around it.

    from tempo_attn import AttnScaleConfig, apply_attn_scale
    model = apply_attn_scale(model, AttnScaleConfig(mode="scale", strength=2.0, layers=[20]))

Knows models and attention; imports neither lm_eval nor the benchmark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

AUDIO_PLACEHOLDER = "<audio>"
"""Marks in a prompt's text where a waveform stands, as in lm-evaluation-harness."""

if TYPE_CHECKING:
    from tempo_attn.adaptive import Adaptive
    from tempo_attn.config import AttnScaleConfig
    from tempo_attn.model import AttnScaleModel, apply_attn_scale
    from tempo_attn.status import AttnScaleStatus

__all__ = [
    "AUDIO_PLACEHOLDER",
    "Adaptive",
    "AttnScaleConfig",
    "AttnScaleModel",
    "AttnScaleStatus",
    "apply_attn_scale",
]

_HOMES = {
    "Adaptive": "adaptive",
    "AttnScaleConfig": "config",
    "AttnScaleModel": "model",
    "AttnScaleStatus": "status",
    "apply_attn_scale": "model",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use: transformers' models take seconds to import."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

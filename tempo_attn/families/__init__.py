"""Families of audio language models: one file each, and the registry.

To add one: write a `Family` subclass in a file of its own and add it to `_FAMILIES`. `base` says
what a family is; `processors`, `one_audio_each` and `audio_lengths` hold what several of them
share, and `refused` the models that cannot be edited, with reasons.
"""

from __future__ import annotations

from typing import Any

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import UnknownFamilyError, UnsupportedModelError
from tempo_attn.families.audio_flamingo import AudioFlamingo
from tempo_attn.families.base import Family
from tempo_attn.families.desta import Desta25
from tempo_attn.families.gemma import Gemma3n, Gemma4
from tempo_attn.families.glmasr import GlmAsr
from tempo_attn.families.granite_speech import GraniteSpeech
from tempo_attn.families.kimi_audio import KimiAudio
from tempo_attn.families.omni import Qwen3Omni, Qwen25Omni
from tempo_attn.families.phi4_multimodal import Phi4Multimodal
from tempo_attn.families.processors import where
from tempo_attn.families.qwen2_audio import Qwen2Audio
from tempo_attn.families.qwen3_asr import Qwen3Asr
from tempo_attn.families.refused import REFUSED
from tempo_attn.families.voxtral import Voxtral

__all__ = ["Family", "get_family", "model_types"]

_FAMILIES: tuple[Family, ...] = (
    AudioFlamingo(),
    Desta25(),
    Gemma3n(),
    Gemma4(),
    GlmAsr(),
    GraniteSpeech(),
    KimiAudio(),
    Phi4Multimodal(),
    Qwen2Audio(),
    Qwen25Omni(),
    Qwen3Asr(),
    Qwen3Omni(),
    Voxtral(),
)
_BY_TYPE = {model_type: family for family in _FAMILIES for model_type in family.model_types}


def model_types() -> tuple[str, ...]:
    """Return every `model_type` that has a family."""
    return tuple(sorted(_BY_TYPE))


def get_family(config: Any) -> Family:
    """Return the family of a model's configuration.

    Raises:
        UnsupportedModelError: Models of this `model_type` are known and cannot be edited.
        UnknownFamilyError: No family has this `model_type`.
    """
    model_type = str(getattr(config, "model_type", "") or "none")
    if model_type in _BY_TYPE:
        return _BY_TYPE[model_type]
    if model_type in REFUSED:
        raise UnsupportedModelError(
            f"{where(config)}: cannot edit attention on audio in a {model_type!r} model: "
            f"{REFUSED[model_type]}. Choose a model of one of {', '.join(model_types())}"
        )
    raise UnknownFamilyError(
        f"{where(config)}: no audio model family for model_type {model_type!r}."
        + did_you_mean(model_type, _BY_TYPE, 1)
        + f" Available: {', '.join(model_types())}. A new family is one file in "
        "tempo_attn/families and one line in its registry"
    )

"""Families of audio language models: one file each, and the registry.

To add one: write a `Family` subclass in a file of its own and add it to `_FAMILIES`. `base` says
what a family is; the folder `shared` holds what several of them have in common, and `refused` the
models that cannot be edited, with reasons.
"""

from __future__ import annotations

from typing import Any

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError, UnknownFamilyError, UnsupportedModelError
from tempo_attn.families.audio_flamingo import AudioFlamingo
from tempo_attn.families.base import Family
from tempo_attn.families.desta.family import Desta25
from tempo_attn.families.fun_asr_nano import FunAsrNano
from tempo_attn.families.gemma3n import Gemma3n
from tempo_attn.families.gemma4 import Gemma4
from tempo_attn.families.gemma4_unified import Gemma4Unified
from tempo_attn.families.generic import Generic
from tempo_attn.families.glmasr import GlmAsr
from tempo_attn.families.granite_speech import GraniteSpeech
from tempo_attn.families.kimi.family import KimiAudio
from tempo_attn.families.moss_transcribe_diarize import MossTranscribeDiarize
from tempo_attn.families.omni import Qwen3Omni, Qwen25Omni
from tempo_attn.families.phi4_multimodal import Phi4Multimodal
from tempo_attn.families.qwen2_audio import Qwen2Audio
from tempo_attn.families.qwen3_asr import Qwen3Asr
from tempo_attn.families.refused import REFUSED
from tempo_attn.families.shared.processors import where
from tempo_attn.families.voxtral import Voxtral

__all__ = ["Family", "choose_family", "family_names", "get_family", "model_types", "refusal"]

_FAMILIES: tuple[Family, ...] = (
    AudioFlamingo(),
    Desta25(),
    FunAsrNano(),
    Gemma3n(),
    Gemma4(),
    Gemma4Unified(),
    GlmAsr(),
    GraniteSpeech(),
    KimiAudio(),
    MossTranscribeDiarize(),
    Phi4Multimodal(),
    Qwen2Audio(),
    Qwen25Omni(),
    Qwen3Asr(),
    Qwen3Omni(),
    Voxtral(),
)
_GENERIC = Generic()
_CHOSEN = "tempo_family"
_BY_TYPE = {model_type: family for family in _FAMILIES for model_type in family.model_types}


def model_types() -> tuple[str, ...]:
    """Return every `model_type` that has a family."""
    return tuple(sorted(_BY_TYPE))


def family_names() -> tuple[str, ...]:
    """Return the names of all families, the generic one among them."""
    return tuple(sorted({family.name for family in (*_FAMILIES, _GENERIC)}))


def refusal(model_type: str) -> str:
    """Return why attention in models of a type cannot be edited; empty where none is known."""
    return REFUSED.get(model_type, "")


def get_family(config: Any, name: str | None = None) -> Family:
    """Return the family of a model's configuration.

    Args:
        config: The configuration.
        name: What the user says that it is: the family's own name, or "generic" for a type that no
            family has.

    Raises:
        UnsupportedModelError: Models of this `model_type` are known and cannot be edited.
        UnknownFamilyError: No family has this `model_type`, and the generic one is not asked for.
        OptionError: It is of another family than `name`.
    """
    model_type = str(getattr(config, "model_type", "") or "none")
    if model_type in _BY_TYPE:
        family = _BY_TYPE[model_type]
        if name not in (None, family.name):
            raise OptionError(
                f"{where(config)}: family={name}, and a model of the type {model_type!r} is of the "
                f"family {family.name!r}; leave family out"
            )
        return family
    if model_type in REFUSED:
        raise UnsupportedModelError(
            f"{where(config)}: cannot edit attention on audio in a {model_type!r} model: "
            f"{REFUSED[model_type]}. Choose a model of one of {', '.join(model_types())}"
        )
    if _GENERIC.name in (name, getattr(config, _CHOSEN, None)):
        return _GENERIC
    if name is not None:
        raise OptionError(
            f"{where(config)}: family={name}, and a model of the type {model_type!r} is not of it; "
            "family=generic may work"
        )
    raise UnknownFamilyError(
        f"{where(config)}: no audio model family for model_type {model_type!r}."
        + did_you_mean(model_type, _BY_TYPE, 1)
        + f" Available: {', '.join(model_types())}. The model argument family=generic may work, "
        "where the configuration has audio_token_id, the processor takes audio= and the chat "
        "template has audio. A new family is one file in tempo_attn/families and one line in its "
        "registry"
    )


def choose_family(config: Any, name: str | None) -> Family:
    """Return a configuration's family as `get_family` does, and remember in it that it is generic.

    The wrapper and the laboratory get the model alone, and ask its configuration again. A model
    that is saved after this says it in its `config.json`.
    """
    family = get_family(config, name)
    if family is _GENERIC:
        setattr(config, _CHOSEN, family.name)
    return family

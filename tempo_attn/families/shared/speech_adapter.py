"""LoRA adapters that a checkpoint brings for prompts with audio.

A prompt with audio is answered with the adapter, a text without it: so it was trained. `generate`
of some models switches it themselves, a plain forward never does, and likelihoods would be those of
whichever prompt was generated last.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import transformers
from torch import nn
from transformers.integrations.peft import MIN_PEFT_VERSION
from transformers.utils.peft_utils import check_peft_version, find_adapter_config_file

from tempo_attn.errors import MissingExtraError
from tempo_attn.families.shared.extras import require_extra
from tempo_attn.families.shared.processors import where

_log = logging.getLogger(__name__)

# Part of no weight's name: "speech" is, and transformers then reports such weights as missing.
_ADAPTER = "lora_for_audio"
_SWITCHED = "_tempo_switches_adapter"
_CACHES = ("cache", "past_key_values")  # since transformers 5.24, and before it


def require_adapters(extra: str, model: str) -> None:
    """Check that transformers can load an adapter, before anything of a model is loaded.

    Args:
        extra: The extra of tempo-lalm that brings peft.
        model: What needs it, as an error says it.

    Raises:
        MissingExtraError: peft is missing, or too old for this transformers.
    """
    require_extra(extra, "peft", model)
    try:
        check_peft_version(MIN_PEFT_VERSION)
    except ValueError as error:
        raise MissingExtraError(
            f"{model} needs peft {MIN_PEFT_VERSION} or newer with transformers "
            f"{transformers.__version__}, and found {version('peft')}: update peft, or install an "
            "older transformers, which takes this one"
        ) from error


def has_folder(config: Any, folder: str, extra: str) -> bool:
    """Return whether a checkpoint has an adapter in a folder of its own.

    Args:
        config: The configuration that was read from the checkpoint.
        folder: The folder's name.
        extra: The extra of tempo-lalm that brings peft.

    Raises:
        MissingExtraError: It has one, and transformers could not load it.
    """
    place = getattr(config, "_name_or_path", "")
    revision = getattr(config, "_commit_hash", None)
    found = place and find_adapter_config_file(place, subfolder=folder, revision=revision)
    if found:
        require_adapters(extra, f"{place} (its {folder})")
    return bool(found)


def load_folder(model: nn.Module, folder: str, extra: str) -> None:
    """Load the adapter of `has_folder` into a model that has none yet; say so if there is none."""
    config: Any = model.config
    if has_adapter(model):
        return
    if not has_folder(config, folder, extra):
        _log.warning(
            "%s has no folder %s with a LoRA for audio: its answers are those of the text model. "
            "Where the LoRA is merged into the weights, that is as it should be",
            where(config),
            folder,
        )
        return
    model.load_adapter(  # type: ignore[operator]
        config._name_or_path,
        adapter_name=_ADAPTER,
        adapter_kwargs={
            "subfolder": folder,
            "revision": getattr(config, "_commit_hash", None),
        },
    )


def has_adapter(model: nn.Module) -> bool:
    """Return whether transformers has loaded an adapter into a model."""
    return bool(getattr(model, "_hf_peft_config_loaded", False))


def switch_by_audio(model: nn.Module, features: str) -> None:
    """Switch a model's adapter on where a prompt has audio, and off where it has none.

    A step of decoding leaves it as its prompt has set it. Of a batch with and without audio, every
    row has it, as in the models' own `generate`. A second call changes nothing.

    Args:
        model: The model whose forward has the audio among its arguments.
        features: The argument's name.
    """
    if not has_adapter(model) or hasattr(model, _SWITCHED):
        return

    def switch(module: Any, args: Any, kwargs: Mapping[str, Any]) -> None:
        if kwargs.get(features) is not None:
            module.enable_adapters()
        elif not _is_step(kwargs):
            module.disable_adapters()

    setattr(model, _SWITCHED, model.register_forward_pre_hook(switch, with_kwargs=True))


def _is_step(kwargs: Mapping[str, Any]) -> bool:
    caches = [kwargs[name] for name in _CACHES if kwargs.get(name) is not None]
    return any(cache.get_seq_length() > 0 for cache in caches)

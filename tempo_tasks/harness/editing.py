"""`attn_scale` among the model arguments: the harness evaluates a model with edited attention."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from tempo_attn import AttnScaleConfig, AttnScaleModel, apply_attn_scale
from tempo_attn.hub.model_names import shared_name


def wrap(
    model: Any, attn_scale: Any, *, revision: str | None, missing: str, processor: Any
) -> AttnScaleModel:
    """Wrap a loaded model.

    Args:
        model: The model.
        attn_scale: Folder, file, Hub repository, or a configuration.
        revision: Revision of the repository.
        missing: `on_missing` of `apply_attn_scale`.
        processor: The model's processor, for keyword and option rows.
    """
    if isinstance(attn_scale, (str, Path)):
        attn_scale = AttnScaleConfig.from_pretrained(attn_scale, revision=revision)
    return apply_attn_scale(model, attn_scale, tokenizer=processor, on_missing=missing)


def describe(model: Any) -> dict[str, Any] | None:
    """Return the edit in a model for the results: its configuration and its hash."""
    if not isinstance(model, AttnScaleModel):
        return None
    config = model.attn_scale_config[model.active_adapter]
    base = config.base_model_name_or_path
    described = {"sha256": config.fingerprint(), **config.to_dict()}
    return described | {"base_model_name_or_path": None if base is None else shared_name(base)}


def base_of(model: Any) -> Any:
    """Return the model inside the wrapper, if there is one."""
    return model.base_model if isinstance(model, AttnScaleModel) else model


def plain(model: Any) -> AbstractContextManager[None]:
    """Run without the edit inside the context."""
    return model.disable_adapter() if isinstance(model, AttnScaleModel) else nullcontext()


def prompt_of(model: Any, n_tokens: int) -> AbstractContextManager[None]:
    """Say that the prompts inside are `n_tokens` long, padding included; an answer may follow."""
    if isinstance(model, AttnScaleModel):
        return model.positions(prompt_length=n_tokens)
    return nullcontext()


def going_on(model: Any, inputs: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Go on inside the context from a cache that was filled without the edit.

    Args:
        model: The model.
        inputs: See `AttnScaleModel.going_on`.
    """
    return model.going_on(inputs) if isinstance(model, AttnScaleModel) else nullcontext()


def check_requests(model: Any, n_without_audio: int) -> None:
    """Refuse requests that an edit of attention on audio cannot act on.

    Raises:
        ValueError: There are some, and the edit does not tolerate them.
    """
    if n_without_audio and isinstance(model, AttnScaleModel) and model.on_missing == "raise":
        raise ValueError(
            f"{n_without_audio} requests have no audio, and attn_scale edits attention on audio. "
            "Leave their tasks (such as *_cqa) out, or pass attn_scale_missing=warn to run them "
            "unedited"
        )

"""Makes a configuration ready for one model: its layers, heads and keys, or what is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoTokenizer

from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import ConfigError, UnsupportedModelError
from tempo_attn.families import Family
from tempo_attn.hub.model_names import shared_name


@dataclass
class ResolvedEdit:
    """An adapter made ready for one model.

    Attributes:
        config: The configuration; not changed any more.
        heads: Edited query heads by layer, None for all; its keys are the edited layers.
    """

    config: AttnScaleConfig
    heads: dict[int, list[int] | None]


def resolve_edit(
    config: AttnScaleConfig,
    model: nn.Module,
    family: Family,
    attentions: Sequence[nn.Module | None],
) -> ResolvedEdit:
    """Resolve a configuration's layers and heads for a model.

    Args:
        config: The configuration; must not be changed afterwards.
        model: The model.
        family: The model's family.
        attentions: The attention module of each decoder layer, None where there is none.

    Raises:
        ConfigError: Layers, heads or keys that the model does not have.
        UnsupportedModelError: A chosen layer has no attention.
    """
    _check_base(config, model)
    _check_keys(config, family)
    with_attention = [i for i, module in enumerate(attentions) if module is not None]
    every = config.layers == "all"
    layers = with_attention if every else config.resolve_layers(len(attentions))
    if config.spec.edits_states:  # between layers, of any kind
        _check_states(config, len(attentions), family.decoder(model).config)
        return ResolvedEdit(config, dict.fromkeys(layers))
    without = sorted(set(layers) - set(with_attention))
    if without:
        raise UnsupportedModelError(
            f"layers {without} have no attention that can be edited (they are of another kind, "
            f"such as a state-space layer); those that have: {with_attention}"
        )
    heads = config.resolve_heads(len(attentions), _n_heads(model, family))
    if isinstance(config.heads, dict) and set(heads) - set(layers):
        named = sorted(layer for layer in set(heads) - set(layers) if heads[layer] is not None)
        if named:
            raise UnsupportedModelError(
                f"heads are named for layers {named}, which have no attention that can be edited; "
                f"those that have: {with_attention}"
            )
    return ResolvedEdit(config, {layer: heads.get(layer) for layer in layers})


def check_size(config: AttnScaleConfig, model_config: Any, family: Family) -> None:
    """Check what a model's configuration already tells: no weights are needed.

    `resolve_edit` knows more, such as which layers have attention.

    Args:
        config: The configuration of the edit.
        model_config: The model's own configuration.
        family: The model's family.

    Raises:
        ConfigError: Layers, heads or keys that the model does not have.
    """
    _check_keys(config, family)
    size = decoder_size(model_config)
    if size is not None:
        config.resolve_heads(*size)
        if config.spec.edits_states:
            _check_states(config, size[0], model_config)


def _check_states(config: AttnScaleConfig, n_layers: int, model_config: Any) -> None:
    """Check that an edit of states fits a decoder of some layers and the width it says."""
    if config.directions is None:
        config.resolve_source(n_layers)
        return
    width = getattr(model_config.get_text_config(decoder=True), "hidden_size", None)
    config.resolve_directions(n_layers, width if isinstance(width, int) else None)


def decoder_size(model_config: Any) -> tuple[int, int] | None:
    """Return the decoder's layers and query heads; None where its configuration does not say."""
    text = model_config.get_text_config(decoder=True)
    size = [getattr(text, name, None) for name in ("num_hidden_layers", "num_attention_heads")]
    layers, heads = size
    return (layers, heads) if isinstance(layers, int) and isinstance(heads, int) else None


def find_tokenizer(model: nn.Module, tokenizer: Any) -> Any:
    """Return the tokenizer for keyword and option rows.

    Args:
        model: The model; without a tokenizer given, its own or the one of its name is taken.
        tokenizer: A tokenizer, or None.

    Raises:
        ConfigError: None can be found.
    """
    if tokenizer is None:
        tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is not None:
        return tokenizer
    name = _name(model)
    hint = "apply_attn_scale(model, config, tokenizer=processor.tokenizer)"
    if not name:
        raise ConfigError(
            "keyword and option rows need the tokenizer, and the model has no name to find it by: "
            + hint
        )
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(
            f"keyword and option rows need the tokenizer, and {name!r} gives none ({error}): {hint}"
        ) from error


def _check_keys(config: AttnScaleConfig, family: Family) -> None:
    unknown = sorted(set(config.keys) - set(family.key_spans))
    if unknown:
        raise ConfigError(
            f"keys {unknown}: prompts of {family.name} models have only {list(family.key_spans)}"
        )


def _n_heads(model: nn.Module, family: Family) -> int:
    config: Any = family.decoder(model).config
    return int(config.get_text_config().num_attention_heads)


def _name(model: nn.Module) -> str:
    return str(getattr(model.config, "_name_or_path", "") or "")


def _check_base(config: AttnScaleConfig, model: nn.Module) -> None:
    """Warn where a configuration was made for another model; folders count by their name."""
    theirs, mine = config.base_model_name_or_path, _name(model)
    if theirs and mine and Path(shared_name(theirs)).name != Path(shared_name(mine)).name:
        warnings.warn(
            f"the configuration was made for {theirs!r} and the model is {mine!r}: its layers and "
            "strength may mean nothing here",
            stacklevel=5,
        )

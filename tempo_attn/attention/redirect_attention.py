"""Sends a transformers attention module's calls through `attend`.

A layer is redirected by a shallow copy of its configuration that names our function, so masks,
other layers, the encoder and saved configurations stay untouched, and the base implementation is
read live from the original.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tempo_attn.attention.edited_attention import Attention, LayerTakeover, attend
from tempo_attn.errors import UnsupportedInputError

ATTENTION_NAME = "tempo_attn_scale"
_NOT_REPRODUCED = ("position_bias", "s_aux", "cache")


def redirect_by_config(module: nn.Module) -> Callable[[], None]:
    """Let a transformers attention module ask for our function; return what undoes it."""
    original = module.config
    redirected = copy.copy(original)
    redirected._attn_implementation_internal = ATTENTION_NAME  # type: ignore[union-attr]
    module.config = redirected
    module._tempo_base_config = original

    def undo() -> None:
        module.config = original
        del module._tempo_base_config

    return undo


def _registered_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    **kwargs: Any,
) -> Attention:
    """What transformers calls in a redirected module, with the arguments of every kernel."""
    config: Any = module._tempo_base_config
    name = config._attn_implementation
    function = _kernel(module, name)

    def base() -> Attention:
        return function(module, query, key, value, attention_mask, **kwargs)  # type: ignore[no-any-return]

    edit: Any = module._tempo_edit
    refused = [name for name in _NOT_REPRODUCED if kwargs.get(name) is not None]
    if refused and (
        isinstance(edit, LayerTakeover) or edit.session.plan_for(edit.layer) is not None
    ):
        raise UnsupportedInputError(
            f"{type(module).__name__} calls its attention with {refused[0]!r}, which the edited "
            "rows cannot reproduce; attention of this model, or in this way of generating, "
            "cannot be edited"
        )
    scaling = kwargs.get("scaling")
    causal = kwargs.get("is_causal")
    return attend(
        module,
        base,
        query,
        key,
        value,
        attention_mask,
        scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
        sliding_window=kwargs.get("sliding_window"),
        softcap=kwargs.get("softcap"),
        is_causal=getattr(module, "is_causal", True) if causal is None else causal,
        dropout=kwargs.get("dropout") or 0.0,
        base_gives_weights=name == "eager",
    )


def _kernel(module: nn.Module, name: str) -> Callable[..., Any]:
    """The base implementation, as the module's own file would look it up."""
    for cls in type(module).__mro__:
        file = sys.modules.get(cls.__module__)
        eager = getattr(file, "eager_attention_forward", None)
        if eager is not None:
            functions = getattr(file, "ALL_ATTENTION_FUNCTIONS", ALL_ATTENTION_FUNCTIONS)
            return functions.get_interface(name, eager)
    return ALL_ATTENTION_FUNCTIONS.get_interface(name, _no_eager)


def _no_eager(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    raise UnsupportedInputError(
        f"{type(module).__name__} has no eager attention; load the model with "
        "attn_implementation='sdpa'"
    )


def _no_mask(*args: Any, **kwargs: Any) -> Any:
    # An unregistered name silently gets no mask at all.
    raise UnsupportedInputError(
        f"{ATTENTION_NAME!r} is not an implementation to load a model with; load it with 'sdpa', "
        "then call apply_attn_scale(model, config)"
    )


AttentionInterface.register(ATTENTION_NAME, _registered_attention)
AttentionMaskInterface.register(ATTENTION_NAME, _no_mask)

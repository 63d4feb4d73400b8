"""Reading a forward call: its arguments by name, its shape, its key/value cache."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tempo_attn.errors import UnsupportedModelError

CACHE_NAMES = ("cache", "past_key_values")
"""Names of the key/value cache in calls and outputs: since transformers 5.24, and before it."""

_ON_CACHE = "_tempo_track"


def modules_around(model: nn.Module, decoder: nn.Module) -> list[nn.Module]:
    """Return the decoder and every module around it, outermost first."""
    for name, module in model.named_modules():
        if module is decoder:
            parts = name.split(".") if name else []
            paths = [".".join(parts[:n]) for n in range(len(parts) + 1)]
            return [model.get_submodule(path) for path in paths]
    raise UnsupportedModelError(
        f"the decoder {type(decoder).__name__} is not a submodule of {type(model).__name__}"
    )


def refuse_compiled(model: nn.Module, attentions: Sequence[nn.Module | None]) -> None:
    """Refuse a model with attention inside compiled code, which an edit does not reach.

    Raises:
        UnsupportedModelError: There is some.
    """
    for name, module in model.named_modules():
        # torch.compile(module) gives another module around it, module.compile() changes its call.
        if not hasattr(module, "_orig_mod") and module._compiled_call_impl is None:
            continue
        inside = set(module.modules())
        if any(attention in inside for attention in attentions if attention is not None):
            raise UnsupportedModelError(
                f"{name or 'the model'} is compiled by torch.compile, and compiled attention "
                "cannot be edited. Wrap the model that is not compiled (what torch.compile(model) "
                "was given is its attribute _orig_mod), or compile other parts only"
            )


def arguments(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments by name."""
    if not args:
        return dict(kwargs)
    try:
        bound = inspect.signature(module.forward).bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):
        bound = {"args": args, **kwargs}
    named = {k: v for k, v in bound.items() if k not in ("args", "kwargs")}
    named.update(bound.get("kwargs", {}))
    rest = bound.get("args", ())
    if rest and "input_ids" not in named:  # a wrapper that only passes its arguments on
        named["input_ids"] = rest[0]
    return named


def shape_of(inputs: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return (batch, positions) of a call."""
    for name in ("inputs_embeds", "input_ids"):
        value = inputs.get(name)
        if isinstance(value, Tensor) and value.dim() >= 2:
            return value.shape[0], value.shape[1]
    return None


def with_told(
    inputs: Mapping[str, Any], told: Mapping[str, Any] | None, shape: tuple[int, int]
) -> Mapping[str, Any]:
    """Add what the family's watch told, if it is about this very call."""
    if told is None:
        return inputs
    ids = told.get("input_ids")
    if isinstance(ids, Tensor) and tuple(ids.shape[:2]) == shape:
        return {**told, **{k: v for k, v in inputs.items() if v is not None}}
    return inputs


def check_cache_name(decoder: nn.Module) -> None:
    """Check that a decoder is given its key/value cache under a name that `cache_in` reads.

    Under any other name, every decoding step would be taken for a new prompt.

    Raises:
        UnsupportedModelError: Its forward has no such parameter.
    """
    parameters = inspect.signature(type(decoder).forward).parameters
    if not set(CACHE_NAMES) & set(parameters):
        raise UnsupportedModelError(
            f"{type(decoder).__name__}.forward takes none of {' and '.join(CACHE_NAMES)}, but "
            f"{', '.join(list(parameters)[1:])}: its decoding steps could not be told from "
            "prompts. This release knows models of transformers 5.10 to 5.24; update tempo-lalm"
        )


def cache_name(inputs: Mapping[str, Any]) -> str | None:
    """Return under which name a call's arguments hold a key/value cache; None without one.

    Raises:
        UnsupportedModelError: A cache is given under a name that is not known.
    """
    for name in CACHE_NAMES:
        if inputs.get(name) is not None:
            return name
    for name, value in inputs.items():
        if hasattr(value, "get_seq_length"):
            raise UnsupportedModelError(
                f"the model is called with a key/value cache named {name!r}; expected "
                f"{' or '.join(CACHE_NAMES)}. Its decoding steps could not be told from prompts: "
                "update tempo-lalm, or use an older transformers"
            )
    return None


def cache_in(inputs: Mapping[str, Any]) -> Any:
    """Return the key/value cache among a call's arguments, or None; see `cache_name`."""
    name = cache_name(inputs)
    return None if name is None else inputs[name]


def cached_positions(cache: Any) -> int:
    """Return how many positions a cache holds; old models keep tuples instead of a cache."""
    if cache is None:
        return 0
    if hasattr(cache, "get_seq_length"):
        return int(cache.get_seq_length())
    return int(cache[0][0].shape[-2]) if len(cache) and cache[0] is not None else 0


def cache_of(output: Any) -> Any:
    """Return the cache in a model's output, if there is one."""
    for name in CACHE_NAMES:
        cache = getattr(output, name, None)
        if cache is not None:
            return cache
    if not isinstance(output, tuple):
        return None
    return next((part for part in output if hasattr(part, "get_seq_length")), None)


def put_on_cache(cache: Any, note: Any) -> None:
    """Leave a note on a cache (on its first tensor, where it is a tuple); copies carry it along."""
    target = cache if hasattr(cache, "get_seq_length") else cache[0][0]
    setattr(target, _ON_CACHE, note)


def from_cache(cache: Any) -> Any:
    """Return what `put_on_cache` left, or None."""
    target = cache if hasattr(cache, "get_seq_length") else cache[0][0]
    return getattr(target, _ON_CACHE, None)


def last_of_prompts(attention_mask: Any, logits: Tensor, prompt_length: int | None) -> Tensor:
    """Return the (batch, vocabulary) logits behind each prompt.

    Args:
        attention_mask: (batch, cached and new positions), or anything else where there is no
            padding on the right.
        logits: (batch, positions, vocabulary) of the new positions.
        prompt_length: Where the prompts end in the call, or None for its end.
    """
    n_batch, n_new = logits.shape[:2]
    end = n_new if prompt_length is None else prompt_length
    if not isinstance(attention_mask, Tensor) or attention_mask.dim() != 2:
        return logits[:, end - 1]
    last = last_real(attention_mask[:, -n_new:][:, :end].bool()).to(logits.device)
    return logits[torch.arange(n_batch, device=logits.device), last]


def last_real(real: Tensor) -> Tensor:
    """Return the last position of each row that is not padding, (batch,); padding may follow it."""
    return (real * torch.arange(1, real.shape[1] + 1, device=real.device)).argmax(1)

"""Reading a forward call: the modules around the decoder, its arguments by name, its shape."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from tempo_attn.errors import UnsupportedModelError


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

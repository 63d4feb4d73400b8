"""Families of audio language models: one file each, and the registry.

To add one: write a `Family` subclass in a file of its own and add it to `_FAMILIES`.
"""

from __future__ import annotations

import difflib
from typing import Any

from tempo_attn.errors import UnknownFamilyError
from tempo_attn.families.base import Family
from tempo_attn.families.qwen2_audio import Qwen2Audio

__all__ = ["Family", "get_family", "model_types"]

_FAMILIES: tuple[Family, ...] = (Qwen2Audio(),)
_BY_TYPE = {model_type: family for family in _FAMILIES for model_type in family.model_types}


def model_types() -> tuple[str, ...]:
    """Return every `model_type` that has a family."""
    return tuple(sorted(_BY_TYPE))


def get_family(config: Any) -> Family:
    """Return the family of a model's configuration.

    Raises:
        UnknownFamilyError: No family has this `model_type`.
    """
    model_type = str(getattr(config, "model_type", "") or "none")
    if model_type in _BY_TYPE:
        return _BY_TYPE[model_type]
    near = difflib.get_close_matches(model_type, _BY_TYPE, n=1)
    where = getattr(config, "_name_or_path", "") or type(config).__name__
    raise UnknownFamilyError(
        f"{where}: no audio model family for model_type {model_type!r}."
        + (f" Did you mean {near[0]!r}?" if near else "")
        + f" Available: {', '.join(model_types())}. A new family is one file in "
        "tempo_attn/families and one line in its registry"
    )

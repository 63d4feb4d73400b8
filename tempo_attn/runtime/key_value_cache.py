"""The key/value cache of a model: where calls and outputs hold it, and what is noted on it.

What a later step needs to know of earlier ones lies on the cache itself, so that copies of a cache
carry it along.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from tempo_attn.attention.row_plan import RowPlan
from tempo_attn.errors import UnsupportedModelError
from tempo_attn.prompts.positions import Prompt
from tempo_attn.runtime.resolve_edit import ResolvedEdit

CACHE_NAMES = ("cache", "past_key_values")
"""Names of the key/value cache in calls and outputs: since transformers 5.24, and before it."""

_NOTE = "_tempo_note"


@dataclass
class CacheNote:
    """What the positions of a cache are; lies on the cache itself between the steps.

    Attributes:
        prompt: The prompts that filled the cache.
        strength: Each batch row's strength, (batch,), where it was chosen for the row.
        covered: Positions that calls with the edit have filled.
        decode: The plan of the last decoding step, used again by the next one.
        decode_edit: The edit it was made for.
    """

    prompt: Prompt
    strength: Tensor | None = None
    covered: int = 0
    decode: RowPlan | None = None
    decode_edit: ResolvedEdit | None = None

    def expanded(self, n_batch: int) -> CacheNote:
        """Return the note for prompts that are each repeated in a batch of `n_batch` rows."""
        prompt, strength = self.prompt.expand(n_batch), self.strength
        if strength is not None:
            strength = strength.repeat_interleave(n_batch // len(strength))
        return CacheNote(prompt, strength, self.covered)


def put_note(cache: Any, note: CacheNote) -> None:
    """Leave a note on a cache (on its first tensor, where it is a tuple); copies carry it along."""
    setattr(_holder(cache), _NOTE, note)


def note_on(cache: Any) -> CacheNote | None:
    """Return the note that `put_note` left on a cache, or None."""
    note: CacheNote | None = getattr(_holder(cache), _NOTE, None)
    return note


def _holder(cache: Any) -> Any:
    return cache if hasattr(cache, "get_seq_length") else cache[0][0]


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

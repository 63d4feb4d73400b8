"""The beginning that prompts share: its keys and values, computed once and used by all of them.

Positions never depend on what follows them, so the keys and values of a prompt's beginning (its
template and its audio) are those of every prompt that begins alike. They are computed once a clip,
kept row by row, and put before the questions about it as a key/value cache. The laboratory's
growing batch uses the same fact within one prompt; this works across prompts and decodes on.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.runtime.key_value_cache import CACHE_NAMES, cache_of
from tempo_attn.runtime.last_logits import last_logits


@dataclass(frozen=True)
class Prefix:
    """The keys and values of one prompt's beginning, or of a part of it.

    Attributes:
        ids: The token ids.
        blocks: Keys and values of each layer in turn, as many as are alike in one tensor, (number,
            heads, tokens, size): all of most models, so that they are copied at once.
    """

    ids: Tensor
    blocks: Sequence[Tensor]

    @property
    def n_tokens(self) -> int:
        """Number of positions."""
        return len(self.ids)

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return sum(block.nbytes for block in self.blocks)


@dataclass
class SharedInputs:
    """Inputs of prompts whose beginnings are in a key/value cache.

    Attributes:
        ids: Token ids of the whole prompts, (batch, tokens): beginnings and questions, each padded
            on the left, so that there may be padding between the two.
        mask: Which of them are real.
        cache: Keys and values of the beginnings.
        cache_name: The cache's name in the model's forward.
    """

    ids: Tensor
    mask: Tensor
    cache: Any
    cache_name: str

    @property
    def n_cached(self) -> int:
        """Positions in the cache."""
        return int(self.cache.get_seq_length())

    def whole(self) -> dict[str, Any]:
        """Return the arguments of `generate`, which leaves out what the cache holds."""
        return {
            "input_ids": self.ids,
            "attention_mask": self.mask,
            "position_ids": positions_of(self.mask),
            self.cache_name: self.cache,
        }

    def rest(self) -> dict[str, Any]:
        """Return the arguments of a forward call: what the cache does not hold."""
        inputs = self.whole()
        for name in ("input_ids", "position_ids"):
            inputs[name] = inputs[name][:, self.n_cached :]
        return inputs

    def followed_by(self, ids: Tensor, real: Tensor) -> SharedInputs:
        """Return these prompts followed by text tokens; see `Family.append`."""
        longer = torch.cat([self.ids, ids], 1), torch.cat([self.mask, real.to(self.mask)], 1)
        return SharedInputs(*longer, self.cache, self.cache_name)


def cache_keyword(model: Any) -> str:
    """Return the name under which a model's forward takes its key/value cache.

    Raises:
        UnsupportedModelError: It takes none under a name that is known, or no positions, without
            which padding between a beginning and a question would shift the question.
    """
    parameters = inspect.signature(type(model).forward).parameters
    name = next((name for name in CACHE_NAMES if name in parameters), None)
    if name is None or "position_ids" not in parameters:
        raise UnsupportedModelError(
            f"{type(model).__name__}.forward takes no key/value cache together with position_ids"
        )
    return name


def positions_of(mask: Tensor) -> Tensor:
    """Return the position of each token among its prompt's real ones, (batch, tokens)."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def compute_prefixes(
    model: Any, inputs: Mapping[str, Any], ids: Tensor | None = None
) -> list[Prefix]:
    """Run a batch of beginnings, and keep their keys and values.

    Args:
        model: The model, without an edit in force.
        inputs: Inputs of the beginnings alone, padded on the left, with their features.
        ids: Their token ids, (batch, tokens), where the inputs are embeddings.

    Returns:
        One for each row; none shares memory with another.

    Raises:
        UnsupportedModelError: Its cache is not one of keys and values of all positions, as that of
            sliding windows and of state-space layers.
    """
    mask = inputs["attention_mask"]
    given = {**inputs, "position_ids": positions_of(mask), "use_cache": True}
    with last_logits(model, 1) as only_last:
        cache = cache_of(model(**given, **only_last))
    layers = getattr(cache, "layers", None) or []
    if not layers or any(type(layer) is not DynamicLayer for layer in layers):
        kinds = sorted({type(layer).__name__ for layer in layers}) or [type(cache).__name__]
        raise UnsupportedModelError(
            f"the cache of {type(model).__name__} has {', '.join(kinds)}, not the keys and values "
            "of all positions"
        )
    n_tokens = mask.shape[1]
    if any(layer.keys.shape[2] != n_tokens for layer in layers):
        raise UnsupportedModelError(f"{type(model).__name__} changes positions inside its forward")
    ids = inputs["input_ids"] if ids is None else ids
    return prefixes_of(cache, ids, mask.sum(-1).tolist())


def prefixes_of(cache: Any, ids: Tensor, lengths: Sequence[int]) -> list[Prefix]:
    """Return what a cache holds of each row's last positions, in memory of its own.

    Args:
        cache: A cache of keys and values of all positions.
        ids: Token ids that end where the cache ends, (batch, tokens).
        lengths: How many positions of each row.
    """
    both = [part for layer in cache.layers for part in (layer.keys, layer.values)]
    alike = [list(group) for _, group in groupby(both, lambda part: (part.shape, part.device))]
    return [
        Prefix(
            ids[row, ids.shape[1] - length :].clone(),
            [
                torch.stack([part[row, :, part.shape[2] - length :] for part in group])
                for group in alike
            ],
        )
        for row, length in enumerate(lengths)
    ]


def join_prefixes(rows: Sequence[Sequence[Prefix]], length: int, room: int = 0) -> DynamicCache:
    """Return a key/value cache of several beginnings, padded on the left.

    Args:
        rows: For each batch row the parts of its beginning, in order; there may be none, and the
            same part may stand in several rows.
        length: Positions of the cache: at least those of the longest row.
        room: Positions that are expected to follow. They are written beside the others, which are
            copied only where more follow.
    """
    cache = DynamicCache()
    some = next(part for parts in rows for part in parts)
    both: list[Tensor] = []
    for block in range(len(some.blocks)):
        joined = _padded([[part.blocks[block] for part in parts] for parts in rows], length, room)
        both += joined.unbind(1)
    for keys, values in zip(both[::2], both[1::2], strict=True):
        cache.layers.append(_GrowingLayer.holding(keys, values, length))
    return cache


class _GrowingLayer(DynamicLayer):
    """A layer of a cache with room for what follows; without room it grows by copying, as usual."""

    _room: tuple[Tensor, Tensor]
    _mine: Tensor

    @classmethod
    def holding(cls, keys: Tensor, values: Tensor, length: int) -> _GrowingLayer:
        """Return a layer of `length` positions, in tensors (batch, heads, tokens, size)."""
        layer = cls()
        layer.lazy_initialization(keys, values)
        layer._room = keys, values
        layer._grow(length)
        return layer

    def _grow(self, length: int) -> None:
        self.keys, self.values = (part[:, :, :length] for part in self._room)
        self._mine = self.keys

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add positions; see `DynamicLayer.update`."""
        start = self.get_seq_length()
        end = start + key_states.shape[2]
        # Someone may have reordered or repeated the rows, or cut positions off.
        if self.keys is self._mine and end <= self._room[0].shape[2]:
            for room, states in zip(self._room, (key_states, value_states), strict=True):
                room[:, :, start:end] = states
            self._grow(end)
        else:
            super().update(key_states, value_states, *args, **kwargs)
        return cast("tuple[Tensor, Tensor]", (self.keys, self.values))


def whole_ids(
    beginnings: Sequence[Tensor], questions: Sequence[Any], pad: int, margin: int = 0
) -> tuple[Tensor, Tensor]:
    """Put questions behind beginnings, each of the two padded on the left.

    Args:
        beginnings: Token ids of each prompt's beginning.
        questions: Token ids behind it.
        pad: Token id of padding.
        margin: Positions of padding before each of the two that even the longest prompt has.

    Returns:
        Token ids and mask, (batch, tokens).
    """
    device = beginnings[0].device
    behind = [torch.tensor(ids, dtype=torch.long, device=device) for ids in questions]
    ids, mask = [], []
    for part in (list(beginnings), behind):
        length = max(map(len, part)) + margin
        ids.append(left_padded(part, pad, length))
        mask.append(left_padded([torch.ones_like(row) for row in part], 0, length))
    return torch.cat(ids, 1), torch.cat(mask, 1)


def left_padded(rows: Sequence[Tensor], filling: int, least: int = 0) -> Tensor:
    """Stack rows of different lengths, filled up on the left: (rows, longest, ...).

    Args:
        rows: Each (tokens, ...), the rest of the shape alike.
        filling: What they are filled up with.
        least: A length that the longest has at least.
    """
    longest = max(least, *map(len, rows))
    whole = rows[0].new_full((len(rows), longest, *rows[0].shape[1:]), filling)
    for at, row in enumerate(rows):
        whole[at, longest - len(row) :] = row
    return whole


def _padded(rows: Sequence[Sequence[Tensor]], length: int, room: int) -> Tensor:
    """Join each row's parts, (number, heads, tokens, size), with zeros before and room behind."""
    some = next(part for parts in rows for part in parts)
    number, heads, _, size = some.shape
    whole = some.new_empty(len(rows), number, heads, length + room, size)
    for row, parts in enumerate(rows):
        start = length - sum(part.shape[2] for part in parts)
        whole[row, :, :, :start] = 0
        for part in parts:
            whole[row, :, :, start : start + part.shape[2]] = part
            start += part.shape[2]
    return whole

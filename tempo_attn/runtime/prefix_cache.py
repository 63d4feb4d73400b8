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
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.runtime.key_value_cache import CACHE_NAMES, cache_of


@dataclass(frozen=True)
class Prefix:
    """The keys and values of one prompt's beginning.

    Attributes:
        ids: Its token ids.
        keys: Those of each layer, (heads, tokens, size).
        values: Likewise.
    """

    ids: Tensor
    keys: Sequence[Tensor]
    values: Sequence[Tensor]

    @property
    def n_tokens(self) -> int:
        """Number of positions."""
        return len(self.ids)

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return sum(part.nbytes for part in (*self.keys, *self.values))


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


def last_logits_only(model: Any, n_last: int) -> dict[str, int]:
    """Return the argument that keeps a forward from unembedding more than its last positions."""
    takes = "logits_to_keep" in inspect.signature(type(model).forward).parameters
    return {"logits_to_keep": n_last} if takes else {}


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
    cache = cache_of(model(**given, **last_logits_only(model, 1)))
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
    return [
        Prefix(
            ids[row, n_tokens - length :].clone(),
            [layer.keys[row, :, n_tokens - length :].clone() for layer in layers],
            [layer.values[row, :, n_tokens - length :].clone() for layer in layers],
        )
        for row, length in enumerate(mask.sum(-1).tolist())
    ]


def join_prefixes(prefixes: Sequence[Prefix]) -> DynamicCache:
    """Return a key/value cache of several beginnings, padded on the left.

    Args:
        prefixes: One for each batch row; the same one may stand in several rows.
    """
    longest = max(prefix.n_tokens for prefix in prefixes)
    cache = DynamicCache()
    for layer in range(len(prefixes[0].keys)):
        keys = [prefix.keys[layer] for prefix in prefixes]
        values = [prefix.values[layer] for prefix in prefixes]
        cache.update(_padded(keys, longest), _padded(values, longest), layer)
    return cache


def join(
    before: Sequence[Prefix], questions: Sequence[Sequence[int]], pad: int, cache_name: str
) -> SharedInputs:
    """Return inputs of prompts whose beginnings are computed.

    Args:
        before: The prompts' beginnings.
        questions: The token ids behind them.
        pad: Token id of padding.
        cache_name: See `cache_keyword`.
    """
    ids, mask = whole_ids([prefix.ids for prefix in before], questions, pad)
    return SharedInputs(ids, mask, join_prefixes(before), cache_name)


def whole_ids(
    beginnings: Sequence[Tensor], questions: Sequence[Sequence[int]], pad: int
) -> tuple[Tensor, Tensor]:
    """Put questions behind beginnings, each of the two padded on the left.

    Args:
        beginnings: Token ids of each prompt's beginning.
        questions: Token ids behind it.
        pad: Token id of padding.

    Returns:
        Token ids and mask, (batch, tokens).
    """
    device = beginnings[0].device
    parts = list(beginnings), [torch.tensor(ids, device=device) for ids in questions]
    ids = torch.cat([left_padded(part, pad) for part in parts], 1)
    ones = ([torch.ones_like(row) for row in part] for part in parts)
    return ids, torch.cat([left_padded(part, 0) for part in ones], 1)


def left_padded(rows: Sequence[Tensor], filling: int) -> Tensor:
    """Stack rows of different lengths, filled up on the left: (rows, longest, ...).

    Args:
        rows: Each (tokens, ...), the rest of the shape alike.
        filling: What is put before the shorter ones.
    """
    longest = max(map(len, rows))
    whole = rows[0].new_full((len(rows), longest, *rows[0].shape[1:]), filling)
    for at, row in enumerate(rows):
        whole[at, longest - len(row) :] = row
    return whole


def _padded(parts: Sequence[Tensor], length: int) -> Tensor:
    """Stack (heads, tokens, size), filled up with zeros on the left."""
    if all(part.shape[1] == length for part in parts):
        return torch.stack(list(parts))
    whole = parts[0].new_zeros(len(parts), parts[0].shape[0], length, parts[0].shape[2])
    for row, part in enumerate(parts):
        whole[row, :, length - part.shape[1] :] = part
    return whole

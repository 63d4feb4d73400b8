"""Heads under tensor parallelism: each rank has its own part of every layer's query heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tempo_attn.errors import ConfigError


def heads_of_rank(
    heads: Mapping[int, Sequence[int] | None], n_local: int, rank: int, n_ranks: int, n_heads: int
) -> dict[int, list[int] | None]:
    """Return a rank's edited query heads by layer, counted from its own first one.

    Args:
        heads: Edited heads of the whole model by layer, None for all; see
            `AttnScaleConfig.resolve_heads`.
        n_local: Query heads that the rank has in each layer.
        rank: The rank, from 0.
        n_ranks: Ranks that share a layer.
        n_heads: Query heads of the whole model's layers.

    Returns:
        Without the layers of which the rank has no edited head.

    Raises:
        ConfigError: The ranks' heads are not those of the model, in equal parts.
    """
    if n_local * n_ranks != n_heads:
        raise ConfigError(
            f"rank {rank} of {n_ranks} has {n_local} query heads a layer; expected an equal part "
            f"of the model's {n_heads}: which heads it has cannot be told"
        )
    first = rank * n_local
    local: dict[int, list[int] | None] = {}
    for layer, chosen in heads.items():
        if chosen is None:
            local[layer] = None
            continue
        mine = [head - first for head in chosen if first <= head < first + n_local]
        if mine:
            local[layer] = mine
    return local

"""The random draws of the nulls: perturbations of the same size as an edit, without its aim.

Every draw depends on the run's seed and on the item's content alone, so it is the same for all
variants, however a run is divided.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tempo_attn.lab.items import Batch, Item

ENRICHED, PATCHED = 1, 2
"""Streams of an item's draws: for states that a sweep edits, and for those that a trace patches."""


def item_seeds(items: Sequence[Item], seed: int) -> list[list[int]]:
    """Return the seeds of each item's draws, made of the run's seed and the item's content."""
    return [[seed, int(item.key[:15], 16)] for item in items]


def draw_keys_and_signs(
    batch: Batch, last_rows: Tensor, seeds: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """Draw what the nulls "keys" and "sign" of attention need.

    Args:
        batch: The prepared items.
        last_rows: Position of each item's last edited query row, (items,): no edited row sees
            later keys.
        seeds: The items' seeds, see `item_seeds`.

    Returns:
        Random keys that are not audio, as many as there are audio keys where there are so many,
        (items, tokens) bool; and signs, (items, tokens): 1 or -1 at audio keys, 1 elsewhere.
    """
    random = torch.zeros_like(batch.audio)
    signs = torch.ones(batch.audio.shape)
    for row, own_seed in enumerate(seeds):
        generator = np.random.default_rng(own_seed)
        audio = batch.audio[row].nonzero().flatten()
        signs[row, audio] = torch.from_numpy(generator.choice([-1.0, 1.0], len(audio))).float()
        text = batch.real[row] & ~batch.audio[row]
        text[int(last_rows[row]) + 1 :] = False
        places = text.nonzero().flatten().numpy()
        n_drawn = min(len(audio), len(places))
        drawn = generator.choice(places, n_drawn, replace=False)
        random[row, torch.from_numpy(drawn)] = True
    return random, signs


def draw_state_signs(seeds: Sequence[Sequence[int]], width: int, stream: int) -> Tensor:
    """Draw a sign for every component of a hidden state, (items, width): 1 or -1.

    Args:
        seeds: The items' seeds, see `item_seeds`.
        width: Components of a state.
        stream: `ENRICHED` or `PATCHED`. Both are apart from the draws of `draw_keys_and_signs`,
            whose length depends on the prompt.
    """
    streams = [np.random.default_rng([*seed, stream]) for seed in seeds]
    return torch.from_numpy(np.stack([one.choice([-1.0, 1.0], width) for one in streams]))

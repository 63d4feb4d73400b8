"""A copy of a model whose weights are drawn at random: what architecture and prompt alone hold."""

from __future__ import annotations

import copy
import hashlib

import torch
from torch import nn

from tempo_attn.errors import UnsupportedModelError


def with_random_weights(model: nn.Module, seed: int) -> nn.Module:
    """Return a copy of a model with all weight matrices drawn anew; the model stays as it is.

    Every matrix (and convolution, and table of embeddings) gets numbers from a normal distribution
    with the mean and the standard deviation of its own trained numbers, which keeps the size of
    states and of logits of attention. Vectors, that is norms and biases, stay.

    Args:
        model: The model; the copy takes as much memory again.
        seed: Seed of the numbers; each weight's also depend on its name, and on nothing else.

    Raises:
        UnsupportedModelError: Weights are quantised, so that they are not numbers to be drawn.
    """
    made = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if weight.dim() < 2:
                continue
            if not weight.is_floating_point() or weight.dtype.itemsize < 2:
                raise UnsupportedModelError(
                    f"the weight {name!r} is quantised ({weight.dtype}), so no model with random "
                    "weights can be made; leave random_weights out of --baselines, or load the "
                    "model in 16 or 32 bits"
                )
            digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
            mean, deviation = weight.float().mean().item(), weight.float().std().item()
            drawn = torch.randn(weight.shape, generator=generator) * deviation + mean
            weight.copy_(drawn.to(weight))
    return made.eval()

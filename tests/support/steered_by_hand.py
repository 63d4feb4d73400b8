"""Steering by hooks written here, and directions to steer along."""

from contextlib import contextmanager

import numpy as np

from tempo_attn import AttnScaleConfig
from tempo_attn.directions import Directions

WIDTH = 128
"""Components of a state of the tiny Qwen2-Audio model."""


def directions(layers=range(6), width=WIDTH, seed=0, rho=8.0):
    """A random direction of length 1 for each layer; rho grows with depth."""
    rng = np.random.default_rng(seed)
    vectors = {layer: rng.standard_normal(width) for layer in layers}
    return Directions.of(
        {layer: vector / np.linalg.norm(vector) for layer, vector in vectors.items()},
        {layer: rho + layer for layer in layers},
    )


def steer(strength=-0.7, layers=(3,), **fields):
    fields = {"directions": directions()} | fields
    return AttnScaleConfig(mode="steer", strength=strength, layers=list(layers), **fields)


@contextmanager
def by_hand(layers, config, rows):
    """Steer the rows, (batch, positions) bool, of a plain model; calls of another length pass."""

    def move(layer):
        size = config.strength * config.directions.rho(layer)
        step = size * config.directions.vector(layer).astype(float)

        def hook(module, args, output):
            states = output[0] if isinstance(output, tuple) else output
            if states.shape[:2] != rows.shape:
                return None
            new = states.clone()
            for b, at in rows.nonzero().tolist():
                new[b, at] = (states[b, at].double() + new.new_tensor(step).double()).to(new.dtype)
            return (new, *output[1:]) if isinstance(output, tuple) else new

        return hook

    hooks = [layers[layer].register_forward_hook(move(layer)) for layer in config.layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()

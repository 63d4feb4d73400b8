"""The maths of each mode on a block of attention logits; pure functions.

Logits are pre-softmax and already multiplied by the layer's scaling, (batch, heads, rows, keys).
Sources: arXiv 2606.17417 (scaling, upweighting), PAI (relative upweighting), attention knockout.
The two parts of scaling are tempo's: the mass-preserving form leaves each row's probability on the
chosen keys as it was and only redistributes it among them; the matched upweighting gives the keys
the mass that scaling would, and leaves its shape among them as it was.
"""

from __future__ import annotations

import torch
from torch import Tensor


def edit_logits(
    logits: Tensor,
    keys: Tensor,
    mode: str,
    strength: float | Tensor | None,
    bias: Tensor | None = None,
) -> Tensor:
    """Return the logits with the chosen keys edited.

    Args:
        logits: (batch, heads, rows, keys), floating point.
        keys: Which keys are edited in each row: bool, broadcastable to `logits`. Only keys that
            the row may see; the mass-preserving mode sums over them.
        mode: A mode of `AttnScaleConfig`.
        strength: alpha or b; a (batch,) tensor gives each batch row its own. None for knockout.
        bias: What an additive mask will add to the logits, broadcastable to them. It is not part of
            what is edited, but of the probabilities that two modes are defined by.

    Raises:
        ValueError: Unknown mode.
    """
    if isinstance(strength, Tensor):
        strength = strength.to(logits).view(-1, 1, 1, 1)
    if mode == "knockout":
        return logits.masked_fill(keys, -torch.inf)
    if strength is None:
        raise ValueError(f"mode {mode!r} needs a strength")
    if mode == "scale":
        return torch.where(keys, logits * strength, logits)
    if mode == "upweight":
        return torch.where(keys, logits + strength, logits)
    if mode == "upweight_relative":
        return torch.where(keys, logits + strength * logits.abs(), logits)
    if mode in ("scale_preserving", "upweight_matched"):
        scaled = logits * strength
        # The total of exp() over the chosen keys decides their mass after softmax.
        shift = _log_sum_exp(logits, keys, bias) - _log_sum_exp(scaled, keys, bias)
        edited = scaled + shift if mode == "scale_preserving" else logits - shift
        return torch.where(keys, edited, logits)
    raise ValueError(f"unknown mode {mode!r}")


def enrich_states(deep: Tensor, early: Tensor, weight: float | Tensor) -> Tensor:
    """Mix early states into deep ones; the norm of the deep ones stays.

    After AudioLens (arXiv 2506.05140), which enriches deep states with earlier ones; the formula is
    tempo's, as we found none in print. The early state is brought to the deep one's norm first,
    as norms grow with depth.

    Args:
        deep: (..., width).
        early: Of the same shape.
        weight: Share of the early states, from 0 to 1; broadcastable to `deep`.

    Returns:
        The mix, at least float32. A state of norm 0 stays 0; a mix of norm 0 stays 0, too.
    """
    deep, early = deep.to(torch.promote_types(deep.dtype, torch.float32)), early.to(deep.device)
    norm = deep.norm(dim=-1, keepdim=True)
    mixed = (1 - weight) * deep + weight * norm * _directions(early.to(deep.dtype))
    result: Tensor = norm * _directions(mixed)
    return result


def _directions(states: Tensor) -> Tensor:
    """Return the states with norm 1; 0 for one of norm 0, where a factor would be infinite."""
    tiny = torch.finfo(states.dtype).tiny
    unit: Tensor = states / states.norm(dim=-1, keepdim=True).clamp(min=tiny)
    return unit


def _log_sum_exp(logits: Tensor, keys: Tensor, bias: Tensor | None) -> Tensor:
    """Return logsumexp over the chosen keys; 0 for a row that has none: nothing is edited."""
    if bias is not None:
        logits = logits + bias
    total = logits.masked_fill(~keys, -torch.inf).logsumexp(-1, keepdim=True)
    return total.masked_fill(~keys.any(-1, keepdim=True), 0.0)

"""The formula of each mode: what it makes of attention logits, or of hidden states.

Logits are pre-softmax and already multiplied by the layer's scaling, (batch, heads, rows, keys).
Sources: arXiv 2606.17417 (scaling, upweighting), PAI (relative upweighting), attention knockout.
The two parts of scaling are tempo's: the mass-preserving form leaves each row's probability on the
chosen keys as it was and only redistributes it among them; the matched upweighting gives the keys
the mass that scaling would, and leaves its shape among them as it was.

What else is known of a mode (its range, its neutral strength, its text) is in `tempo_attn.modes`,
under the same names.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tempo_attn.modes import MODES

Strength = float | Tensor


def edit_logits(
    logits: Tensor,
    keys: Tensor,
    mode: str,
    strength: Strength | None,
    bias: Tensor | None = None,
) -> Tensor:
    """Return the logits with the chosen keys edited.

    Args:
        logits: (batch, heads, rows, keys), floating point.
        keys: The keys that are edited in each row: bool, broadcastable to `logits`. Only keys that
            the row may see; the mass-preserving mode sums over them.
        mode: A mode that edits logits.
        strength: alpha or b; a (batch,) tensor gives each batch row its own. None for a mode
            without a strength.
        bias: What an additive mask will add to the logits, broadcastable to them. It is not part of
            what is edited, but of the probabilities that two modes are defined by.

    Raises:
        ValueError: Unknown mode, or no strength where the mode needs one.
    """
    formula = _formula(LOGIT_FORMULAS, mode, strength)
    if isinstance(strength, Tensor):
        strength = strength.to(logits).view(-1, 1, 1, 1)
    return torch.where(keys, formula(logits, strength, keys, bias), logits)


def edit_states(deep: Tensor, other: Tensor, mode: str, strength: Strength | None) -> Tensor:
    """Return hidden states with those of an earlier layer mixed in, or moved along a direction.

    Args:
        deep: (..., width).
        other: What left the earlier layer, of the same shape as `deep`; or what strength 1 adds,
            broadcastable to `deep`.
        mode: A mode that edits states.
        strength: w or alpha; broadcastable to `deep`.

    Returns:
        At least float32.

    Raises:
        ValueError: Unknown mode, or no strength where the mode needs one.
    """
    formula = _formula(STATE_FORMULAS, mode, strength)
    edited: Tensor = formula(deep, other, strength)
    return edited


def _formula(
    formulas: dict[str, Callable[..., Tensor]], mode: str, strength: Strength | None
) -> Callable[..., Tensor]:
    if mode not in formulas:
        raise ValueError(f"unknown mode {mode!r}; expected one of {', '.join(formulas)}")
    if strength is None and MODES[mode].has_strength:
        raise ValueError(f"mode {mode!r} needs a strength")
    return formulas[mode]


# ---------------------------------------------------------------------- logits
#
# Each takes the logits, the strength, the edited keys of each row (bool) and the bias of an
# additive mask or None, and returns what the edited keys' logits become; elsewhere its values are
# not used.


def scale(logits: Tensor, alpha: Strength, keys: Tensor, bias: Tensor | None) -> Tensor:
    """L <- alpha L."""
    return logits * alpha


def scale_preserving(logits: Tensor, alpha: Strength, keys: Tensor, bias: Tensor | None) -> Tensor:
    """Scale, and shift by what gives each row its old mass on the keys."""
    return logits * alpha + _mass_shift(logits, alpha, keys, bias)


def upweight(logits: Tensor, b: Strength, keys: Tensor, bias: Tensor | None) -> Tensor:
    """L <- L + b."""
    return logits + b


def upweight_matched(logits: Tensor, alpha: Strength, keys: Tensor, bias: Tensor | None) -> Tensor:
    """Shift by what gives each row the mass on the keys that scaling would."""
    return logits - _mass_shift(logits, alpha, keys, bias)


def upweight_relative(logits: Tensor, alpha: Strength, keys: Tensor, bias: Tensor | None) -> Tensor:
    """L <- L + alpha |L|."""
    return logits + alpha * logits.abs()


def knockout(logits: Tensor, strength: None, keys: Tensor, bias: Tensor | None) -> Tensor:
    """L <- -inf."""
    return logits.new_full((), -torch.inf)  # made on its device


def _mass_shift(logits: Tensor, alpha: Strength, keys: Tensor, bias: Tensor | None) -> Tensor:
    """Return what takes the mass of scaled logits on the keys back to the mass of unscaled ones.

    The total of exp() over the chosen keys decides their mass after softmax.
    """
    return _log_sum_exp(logits, keys, bias) - _log_sum_exp(logits * alpha, keys, bias)


def _log_sum_exp(logits: Tensor, keys: Tensor, bias: Tensor | None) -> Tensor:
    """Return logsumexp over the chosen keys; 0 for a row that has none: nothing is edited."""
    if bias is not None:
        logits = logits + bias
    total = logits.masked_fill(~keys, -torch.inf).logsumexp(-1, keepdim=True)
    return total.masked_fill(~keys.any(-1, keepdim=True), 0.0)


# ---------------------------------------------------------------------- states


def enrich_states(deep: Tensor, early: Tensor, weight: float | Tensor) -> Tensor:
    """Mix early states into deep ones; the norm of the deep ones stays.

    After AudioLens (arXiv 2506.05140), which enriches deep states with earlier ones; the formula is
    tempo's, as we found none in print. The early state is brought to the deep one's norm first,
    as norms grow with depth.

    Args:
        deep: (..., width).
        early: What left the earlier layer, of the same shape as `deep`.
        weight: Weight of the early states, from 0 to 1; broadcastable to `deep`.

    Returns:
        The mix, at least float32. A state of norm 0 stays 0; a mix of norm 0 stays 0, too.
    """
    deep, early = deep.to(torch.promote_types(deep.dtype, torch.float32)), early.to(deep.device)
    norm = deep.norm(dim=-1, keepdim=True)
    mixed = (1 - weight) * deep + weight * norm * _directions(early.to(deep.dtype))
    result: Tensor = norm * _directions(mixed)
    return result


def steer_states(states: Tensor, step: Tensor, alpha: float | Tensor) -> Tensor:
    """H <- h + alpha rho d.

    After "On Temporal Binding in LALMs" (Primus & Widmer), which moves the states of event names
    along the time that they hold.

    Args:
        states: (..., width).
        step: rho d, broadcastable to `states`.
        alpha: Its factor; broadcastable to `states`.

    Returns:
        The moved states, at least float32; with alpha = 0 exactly the same numbers.
    """
    states = states.to(torch.promote_types(states.dtype, torch.float32))
    return states + alpha * step.to(states)


def _directions(states: Tensor) -> Tensor:
    """Return the states with norm 1; 0 for one of norm 0, where a factor would be infinite."""
    tiny = torch.finfo(states.dtype).tiny
    unit: Tensor = states / states.norm(dim=-1, keepdim=True).clamp(min=tiny)
    return unit


LOGIT_FORMULAS: dict[str, Callable[..., Tensor]] = {
    "scale": scale,
    "scale_preserving": scale_preserving,
    "upweight": upweight,
    "upweight_matched": upweight_matched,
    "upweight_relative": upweight_relative,
    "knockout": knockout,
}
"""The formulas of the modes that edit attention logits."""
STATE_FORMULAS: dict[str, Callable[..., Tensor]] = {
    "enrich": enrich_states,
    "steer": steer_states,
}
"""The formulas of the modes that edit hidden states."""

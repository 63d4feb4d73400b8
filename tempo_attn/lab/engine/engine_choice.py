"""Does the fast way give what full forwards give? Checked on the model before it is trusted."""

from __future__ import annotations

import torch
from torch import Tensor

WAYS = ("auto", "replay", "full")
"""How variants are run: the fast way where it can be, or one that is insisted on."""
TOLERANCE = 1e-4
"""Largest difference of candidate logits (relative above 1) that float32 arithmetic explains."""


def disagreement(
    found: Tensor, expected: Tensor, noise: float, dtype: torch.dtype
) -> tuple[float, bool]:
    """Return the largest difference of logits, and whether it is more than rounding explains.

    Args:
        found: The fast way's.
        expected: Those of full forwards, of the same shape.
        noise: Largest change of logits by recomputing rows alone.
        dtype: The model's.
    """
    difference = (found - expected).abs()
    if dtype in (torch.float32, torch.float64):
        largest = float((difference / expected.abs().clamp(min=1.0)).max())
        return largest, not largest <= TOLERANCE
    # In 16 bits the two ways round differently, by about as much as recomputing rows does.
    largest = float(difference.max())
    allowed = 4 * noise + rounding(expected, dtype)
    return largest, not largest <= allowed


def rounding(logits: Tensor, dtype: torch.dtype) -> float:
    """Return what rounding the largest logit to a dtype can change."""
    return float(torch.finfo(dtype).eps * logits.abs().max())

"""How far logits of one prompt may differ between two ways to compute them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EXACT = (torch.float32, torch.float64)
TOLERANCE = 1e-4
"""Of float32 logits, relative to those above 1."""
COARSE_SHARE = 0.02
"""Of 16-bit logits: share of their spread, from the lowest to the highest of the vocabulary.

In 16 bits a batch is rounded otherwise than a single prompt in every layer; mistakes that matter
(padding that is attended to, another row's audio) move logits by more than this."""


@dataclass(frozen=True)
class Difference:
    """Logits computed in two ways.

    Attributes:
        largest: The largest difference; NaN where one is not finite and the other is.
        allowed: How large it may be.
        bound: What `allowed` is, in words.
    """

    largest: float
    allowed: float
    bound: str

    @property
    def explained(self) -> bool:
        """Whether rounding explains the difference; it does not explain NaN."""
        return self.largest <= self.allowed


def difference(found: Tensor, expected: Tensor, dtype: torch.dtype) -> Difference:
    """Compare logits of the same prompts.

    Args:
        found: (prompts, vocabulary), float32.
        expected: Of the same shape.
        dtype: The model's, which decides how much rounding explains.
    """
    change = (found - expected).abs()
    if dtype in EXACT:
        largest = float((change / expected.abs().clamp(min=1.0)).max())
        return Difference(largest, TOLERANCE, f"{TOLERANCE:g} in {name_of(dtype)}")
    spread = float((expected.amax(-1) - expected.amin(-1)).min())
    allowed = COARSE_SHARE * spread
    bound = f"{COARSE_SHARE:.0%} of the logits' spread of {spread:.3g} in {name_of(dtype)}"
    return Difference(float(change.max()), allowed, bound)


def name_of(dtype: torch.dtype) -> str:
    """Return a dtype as model arguments name it: "float32"."""
    return str(dtype).removeprefix("torch.")

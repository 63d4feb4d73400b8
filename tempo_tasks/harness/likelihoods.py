"""The log-probability of continuations, read from a prompt's logits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tempo_attn.errors import NonFiniteLogitsError

Answer = tuple[float, bool]
"""A continuation's log-probability, and whether greedy decoding would give it."""


def continuations_in(
    log_probabilities: Tensor,
    continuations: Sequence[tuple[int, ...]],
    decode: Callable[[list[int]], str],
) -> list[Answer]:
    """Score the continuations of one prompt.

    Args:
        log_probabilities: (tokens, vocabulary), from the prompt's last token on.
        continuations: Token ids; all of them but their last tokens were read by the model.
        decode: Decodes token ids, for errors.

    Raises:
        NonFiniteLogitsError: One is NaN or infinite.
    """
    answers = []
    for tokens in continuations:
        wanted = torch.tensor(tokens, device=log_probabilities.device)
        steps = log_probabilities[: len(tokens)]
        total = float(steps.gather(-1, wanted[:, None]).sum())
        if not math.isfinite(total):
            raise NonFiniteLogitsError(
                f"the log-probability of {decode(list(tokens))!r} is {total}; run the model with "
                "dtype=bfloat16 or dtype=float32 among its arguments"
            )
        answers.append((total, bool((steps.argmax(-1) == wanted).all())))
    return answers
